#include "engine/io/number.h"

#include "engine/io/strict_json.h"
#include "tests/catch.h"
#include "tests/error_of.h"

using ek::parse_integer;
using ek::parse_real;
using ek::parse_unsigned;
using ek::whole_number;
using nlohmann::json;

namespace {

// The number, or "" for what is refused.
std::string whole(const std::string& text) {
  const auto number = whole_number(text);
  if (!number) return "";
  return (number->negative ? "-" : "") + std::to_string(number->magnitude);
}

json parsed(const std::string& text) {
  return ek::parse_strict_json(text, 4, "a test", "here");
}

}  // namespace

TEST_CASE("numbers: whole ones are exact, in every way of writing them") {
  CHECK(whole("0") == "0");
  CHECK(whole("-7") == "-7");
  CHECK(whole("1e4") == "10000");
  CHECK(whole("2.50E+2") == "250");
  CHECK(whole("1200e-2") == "12");
  CHECK(whole("0e999999999999") == "0");
  CHECK(whole("9007199254740993") == "9007199254740993");
  CHECK(whole("9007199254740993.0") == "9007199254740993");
  CHECK(whole("18446744073709551615") == "18446744073709551615");
  CHECK(whole("1.8446744073709551615e19") == "18446744073709551615");
}

TEST_CASE("numbers: what is not a whole decimal number of 64 bits is refused") {
  for (const char* text : {"",
                           "-",
                           "+5",
                           " 5",
                           "5 ",
                           "010",
                           "-010",
                           "00",
                           "0x10",
                           "0b1",
                           "1_000",
                           "1,000",
                           "5.",
                           ".5",
                           "1e",
                           "1e+",
                           "1.5",
                           "15e-1",
                           "1.0000000000000000000001",
                           "nan",
                           "inf",
                           "Infinity",
                           "18446744073709551616",
                           "1e20",
                           "1e400",
                           "1e99999999999999999999",
                           "1e-1",
                           "5\n"}) {
    CAPTURE(text);
    CHECK(whole(text).empty());
  }
}

TEST_CASE("numbers: real ones are the nearest double, never another number") {
  CHECK(ek::real_number("0.1") == 0.1);
  CHECK(ek::real_number("-2.5e-3") == -2.5e-3);
  CHECK(ek::real_number("5e-324") == 5e-324);
  CHECK(ek::real_number("0e-999") == 0.0);
  for (const char* text : {"1e400", "-1e400", "1e-400", "nan", "inf", "0x1p3", "01.5", "1.", ""}) {
    CAPTURE(text);
    CHECK(!ek::real_number(text));
  }
}

TEST_CASE("numbers: an error says what was expected, in limits that people read") {
  CHECK(parse_integer("12", "--n") == 12);
  CHECK(parse_unsigned("18446744073709551615", "--seed") == 18446744073709551615u);
  CHECK(parse_real("0.5", "--x", 0, 1) == 0.5);
  CHECK(error_of([] { parse_integer("-5", "--n", 0); }) ==
        "--n: expected a whole number of 0 or more, came '-5'");
  CHECK(error_of([] { parse_integer("5000", "--n", 0, 4096); }) ==
        "--n: expected a whole number from 0 to 4096, came '5000'");
  CHECK(error_of([] { parse_integer("010", "--n", 0); }) ==
        "--n: expected a whole number of 0 or more, came '010', which begins with a 0");
  CHECK(error_of([] { parse_unsigned("-1", "--seed"); }) ==
        "--seed: expected a whole number from 0 to 18446744073709551615, came '-1'");
  CHECK(error_of([] { parse_real("nan", "--x", 0); }) ==
        "--x: expected a number of 0 or more, came 'nan'");
  CHECK(error_of([] { parse_real("\xff", "--x"); }) == "--x: expected a number, came '\\ufffd'");
  CHECK(ek::limit_text(18446744073709551615.0) == "18446744073709551615");
  CHECK(ek::limit_text(4294967295.0) == "4294967295");
  CHECK(ek::limit_text(0.25) == "0.25");
}

TEST_CASE("strict JSON: whole numbers are integers, exactly") {
  CHECK(parsed("[1e4, 2.0, -3.0]").dump() == "[10000,2,-3]");
  CHECK(parsed("9007199254740993").dump() == "9007199254740993");
  CHECK(parsed("9007199254740993.0").dump() == "9007199254740993");
  CHECK(parsed("18446744073709551615").dump() == "18446744073709551615");
  CHECK(parsed("0.1").dump() == "0.1");
  CHECK(parsed("18446744073709551616").is_number_float());
}

TEST_CASE("strict JSON: what would be changed or passed over in silence is refused") {
  CHECK(contains(error_of([] { parsed("[1e-400]"); }), "1e-400 is too small or too large"));
  CHECK(error_of([] { parsed(std::string("{}\0{", 4)); }) ==
        "here: a NUL byte at byte 2, expected "
        "text");
  CHECK(error_of([] { parsed(R"({"a": {"b": 1, "b": 2}})"); }) == "here: duplicate key 'b'");
  CHECK(contains(error_of([] { parsed("[[[[[1]]]]]"); }), "nested deeper than the 4 levels"));
  CHECK_THROWS_AS(parsed("[1e400]"), json::exception);
  CHECK_THROWS_AS(parsed("{} {}"), json::exception);
  CHECK_THROWS_AS(parsed("[010]"), json::exception);
}

TEST_CASE("strict JSON: values come as they were written") {
  const std::string text = R"({"a":[1,[2,{"b":null}],"x"],"c":{"d":true,"e":{}},"f":[],"g":-0.5})";
  CHECK(parsed(text) == json::parse(text));
  CHECK(parsed(text).dump() == text);
}
