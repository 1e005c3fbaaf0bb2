#include "engine/io/text.h"

#include "tests/catch.h"
#include "tests/error_of.h"

namespace ek {
namespace {

// What escaped_bytes says it undoes.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
    } else if (text.at(++i) == '\\') {
      out += '\\';
    } else {
      out += char(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    }
  }
  return out;
}

bool is_utf8(std::string_view text) {
  return error_of([&] { require_utf8(text, "x"); }).empty();
}

}  // namespace

TEST_CASE("UTF-8 is told from what is not", "[text]") {
  for (const char* good : {"", "plain", "caf\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x90\xB1",
                           "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF", "\xEE\x80\x80", "\n"}) {
    CAPTURE(escaped_bytes(good));
    CHECK(is_utf8(good));
  }
  // A lone byte, a Latin-1 letter, cut characters, overlong forms, a surrogate, past the last one.
  for (const char* bad : {"\xFF", "caf\xE9", "\x80", "\xC3", "\xE2\x82", "\xF0\x9F\x90", "\xC0\x80",
                          "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3(", "\xE2\x82("}) {
    CAPTURE(escaped_bytes(bad));
    CHECK_FALSE(is_utf8(bad));
  }
  CHECK(is_utf8(std::string_view("a\0b", 3)));
}

TEST_CASE("a name that is not UTF-8 is shown escaped", "[text]") {
  CHECK(error_of([] { require_utf8("caf\xE9\n", "names.txt: line 3"); }) ==
        "names.txt: line 3: expected UTF-8, got \"caf\\xe9\\x0a\" (byte 4 is 0xe9)");
}

TEST_CASE("escaped bytes are UTF-8 on one line and lead back to the text", "[text]") {
  CHECK(escaped_bytes("data/caf\xC3\xA9 \xF0\x9F\x90\xB1") == "data/caf\xC3\xA9 \xF0\x9F\x90\xB1");
  CHECK(escaped_bytes("caf\xE9") == "caf\\xe9");
  CHECK(escaped_bytes("a\\xe9") == "a\\\\xe9");
  CHECK(escaped_bytes("\xE2\x82") == "\\xe2\\x82");
  std::string all;
  for (int a = 0; a < 256; ++a) {
    for (const int b : {0, 10, 65, 92, 120, 127, 128, 159, 160, 191, 194, 224, 240, 255}) {
      all += char(a);
      all += char(b);
    }
  }
  const std::string escaped = escaped_bytes(all);
  CHECK(is_utf8(escaped));
  CHECK_FALSE(contains(escaped, "\n"));
  CHECK(unescaped(escaped) == all);
}

}  // namespace ek
