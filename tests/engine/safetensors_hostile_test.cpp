#include <algorithm>
#include <cstring>

#include "engine/io/safetensors.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + rest;
}

// The Error of reading these bytes, without the path. Both ways of reading must agree, and the
// message is one line of printable characters.
std::string fault(const std::string& bytes) {
  TempDir dir;
  const auto path = dir / "a.safetensors";
  put_file(path, bytes);
  const std::string error = error_of([&] { read_safetensors(path); });
  CHECK(error_of([&] { read_safetensors_metadata(path); }) == error);
  const std::string start = path.string() + ": ";
  REQUIRE(error.substr(0, start.size()) == start);
  for (char c : error) REQUIRE((c >= 32 && c < 127));
  CHECK(error.size() < 600);
  return error.substr(start.size());
}

// The same for a header, with `data_bytes` of data.
std::string header_fault(const std::string& header, std::size_t data_bytes = 8) {
  return fault(with_length(header.size(), header + std::string(data_bytes, 'd')));
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":" + dtype + ",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

// A header of one tensor with one of its fields exchanged.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{" + entry("w", dtype, shape, offsets) + "}";
}

}  // namespace

TEST_CASE("safetensors: the tests' own file is sound") {
  TempDir dir;
  const std::string header = one("\"F32\"", "[2]", "[0,8]");
  put_file(dir / "a", with_length(header.size(), header + std::string(8, 'd')));
  CHECK(read_safetensors(dir / "a").tensors.size() == 1);
}

TEST_CASE("safetensors: truncated files and lying lengths") {
  CHECK(fault("") == "0 bytes, expected a safetensors file of 8 at least");
  CHECK(contains(fault("1234567"), "7 bytes, expected"));
  CHECK(fault(with_length(3, "{}")) == "a header of 3 bytes, but the file ends after 2");
  CHECK(contains(fault(with_length(100'000'001, "{}")), "a header of 100000001 bytes, expected"));
  CHECK(contains(fault(with_length(~0ull, "{}")), "a header of 18446744073709551615 bytes"));
  CHECK(contains(fault(with_length(99'999'999, "{}")), "but the file ends after 2"));
  CHECK(contains(fault(std::string(4096, '\0')), "not JSON"));  // a header of 0 bytes
  CHECK(contains(fault("\x89PNG\r\n\x1a\n" + std::string(100, 'x')), "safetensors file?"));
  const std::string whole = one("\"F32\"", "[2]", "[0,8]");
  CHECK(contains(header_fault(whole, 7), "bytes 0 to 8, expected within the 7 bytes of data"));
  CHECK(header_fault(whole, 9) == "9 bytes of data, expected 8 from the header");
}

TEST_CASE("safetensors: headers that are not JSON, or not the right JSON") {
  for (const char* text : {"", "   ", "{", "{]", "{\"a\":}", "{}{}", "{} x", "\x01", "{'a':1}",
                           "{\"a\":1e}", "{\"__metadata__\":{\"a\":\"b\"}", "nul", "{},"}) {
    CHECK(contains(header_fault(text), "the header is not JSON in UTF-8, at its byte "));
  }
  CHECK(contains(header_fault("{\"\xff\":1}"), "not JSON in UTF-8"));
  CHECK(contains(header_fault("{\"\xc0\x80\":1}"), "not JSON in UTF-8"));
  CHECK(contains(header_fault("{\"\xed\xa0\x80\":1}"), "not JSON in UTF-8"));  // a surrogate
  CHECK(contains(header_fault("{\"a\":" + std::string("\0", 1) + "}"), "a NUL at its byte 5"));

  CHECK(header_fault("[]") == "the header is an array, expected an object");
  CHECK(header_fault("1") == "the header is a number, expected an object");
  CHECK(header_fault("null") == "the header is null, expected an object");
  CHECK(header_fault("\"a\"") == "the header is a string, expected an object");
  CHECK(header_fault("{\"w\":1}") == "\"w\" is a number, expected an object");
  CHECK(header_fault("{\"w\":[]}") == "\"w\" is an array, expected an object");
  CHECK(header_fault("{\"w\":{}}", 0) == "tensor \"w\" has no dtype");
  CHECK(header_fault("{\"w\":{\"dtype\":\"F32\"}}") == "tensor \"w\" has no shape");
  CHECK(contains(header_fault("{\"w\":{\"strides\":[1]}}"), "has the key \"strides\", expected"));
  CHECK(header_fault("{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}") ==
        "tensor \"w\" has dtype twice");
  CHECK(header_fault("{\"__metadata__\":[]}") ==
        "\"__metadata__\" is an array, expected an object");
  CHECK(header_fault("{\"__metadata__\":{\"a\":1}}") ==
        "__metadata__ has a number under \"a\", expected a string");
  CHECK(header_fault("{\"__metadata__\":{\"a\":{}}}") ==
        "__metadata__ has an object under \"a\", expected a string");
}

TEST_CASE("safetensors: a header does not end at a NUL") {
  const std::string whole = one("\"F32\"", "[2]", "[0,8]");
  const std::string place = std::to_string(whole.size());
  CHECK(header_fault(whole + std::string("\0{", 2)) ==
        "the header has a NUL at its byte " + place + ", expected JSON");
  CHECK(header_fault(whole + std::string(8, '\0')) ==
        "the header has a NUL at its byte " + place + ", expected JSON");
}

TEST_CASE("safetensors: nesting is refused where it starts, however deep") {
  const std::size_t deep = 2'000'000;
  CHECK(contains(header_fault(std::string(deep, '[')), "the header is an array"));
  std::string objects;
  for (std::size_t i = 0; i < deep; ++i) objects += "{\"a\":";
  CHECK(contains(header_fault(objects), "tensor \"a\" has the key \"a\""));
  CHECK(contains(header_fault("{\"w\":{\"shape\":" + std::string(deep, '[')),
                 "has an array in its shape"));
}

TEST_CASE("safetensors: names that are double, odd or endless") {
  const std::string w = entry("w", "\"U8\"", "[4]", "[0,4]");
  CHECK(header_fault("{" + w + "," + w + "}") == "\"w\" is there twice");
  CHECK(header_fault("{\"__metadata__\":{},\"__metadata__\":{}}") ==
        "\"__metadata__\" is there twice");
  CHECK(header_fault("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}") ==
        "__metadata__ has \"a\" twice");
  CHECK(header_fault("{\"line\\nbreak \\u001b[1m \xc3\xa9\":1}") ==
        "\"line\\nbreak \\u001b[1m \\u00e9\" is a number, expected an object");
  CHECK(
      contains(header_fault("{\"" + std::string(100'000, 'n') + "\":1}"), "nnn\"... is a number"));
}

TEST_CASE("safetensors: shapes, types and offsets that do not fit") {
  const std::string f32 = "\"F32\"";
  // Shapes.
  CHECK(contains(header_fault(one(f32, "[-2]", "[0,8]")), "has -2 in its shape, expected whole"));
  CHECK(contains(header_fault(one(f32, "[2.0]", "[0,8]")), "in its shape, expected whole"));
  CHECK(contains(header_fault(one(f32, "[1.5]", "[0,8]")), "has 1.5 in its shape"));
  CHECK(contains(header_fault(one(f32, "[1e300]", "[0,8]")), "in its shape, expected whole"));
  CHECK(
      contains(header_fault(one(f32, "[9223372036854775808]", "[0,8]")), "in its shape, expected"));
  CHECK(contains(header_fault(one(f32, "[99999999999999999999999]", "[0,8]")), "in its shape"));
  CHECK(contains(header_fault(one(f32, "[\"2\"]", "[0,8]")), "has a string in its shape"));
  CHECK(contains(header_fault(one(f32, "[null]", "[0,8]")), "has null in its shape"));
  CHECK(contains(header_fault(one(f32, "[true]", "[0,8]")), "has true or false in its shape"));
  CHECK(contains(header_fault(one(f32, "2", "[0,8]")), "has a number as its shape"));
  CHECK(contains(header_fault(one(f32, "{}", "[0,8]")), "has an object as its shape"));
  CHECK(contains(header_fault(one(f32, "[1,1,1,1,1,1,2]", "[0,8]")), "more than 6 numbers"));
  // Products that overflow 64 bits, once to exactly the right size.
  CHECK(contains(header_fault(one(f32, "[4294967296,4294967296]", "[0,0]"), 0), "too large"));
  CHECK(contains(header_fault(one(f32, "[4611686018427387906]", "[0,8]")), "too large"));
  // A zero extent hides nothing.
  CHECK(contains(header_fault(one(f32, "[4611686018427387904,4,0]", "[0,8]")), "too large"));
  // Types.
  CHECK(contains(header_fault(one("\"F8_E4M3\"", "[8]", "[0,8]")), "dtype \"F8_E4M3\", expected"));
  CHECK(contains(header_fault(one("\"f32\"", "[2]", "[0,8]")), "dtype \"f32\", expected"));
  CHECK(contains(header_fault(one("32", "[2]", "[0,8]")), "has a number as its dtype"));
  // Offsets.
  CHECK(contains(header_fault(one(f32, "[2]", "[0]")), "has 1 data_offsets, expected 2"));
  CHECK(contains(header_fault(one(f32, "[2]", "[]")), "has 0 data_offsets, expected 2"));
  CHECK(contains(header_fault(one(f32, "[2]", "[0,4,8]")), "more than 2 numbers"));
  CHECK(contains(header_fault(one(f32, "[2]", "[8,0]")), "bytes 8 to 0, expected within"));
  CHECK(contains(header_fault(one(f32, "[2]", "[0,16]")), "bytes 0 to 16, expected within the 8"));
  CHECK(contains(header_fault(one(f32, "[2]", "[-8,0]")), "has -8 in its data_offsets"));
  CHECK(contains(header_fault(one(f32, "[2]", "[0,9223372036854775807]")), "expected within"));
  CHECK(header_fault(one(f32, "[3]", "[0,8]")) ==
        "tensor \"w\" of shape [3] needs 12 bytes, its data_offsets hold 8");
  CHECK(contains(header_fault(one(f32, "[1]", "[0,8]")), "needs 4 bytes"));
  CHECK(contains(header_fault(one(f32, "[250000000000]", "[0,8]")), "needs 1000000000000 bytes"));
}

TEST_CASE("safetensors: data that overlaps or has holes") {
  const auto two = [](const std::string& first, const std::string& second) {
    return "{" + entry("a", "\"U8\"", "[4]", first) + "," + entry("b", "\"U8\"", "[4]", second) +
           "}";
  };
  CHECK(contains(header_fault(two("[0,4]", "[0,4]"), 4),
                 "\"b\" begins at byte 0 of the data, "
                 "expected 4 (it overlaps"));
  CHECK(contains(header_fault(two("[3,7]", "[0,4]"), 7), "\"a\" begins at byte 3"));
  CHECK(contains(header_fault(two("[0,4]", "[5,9]"), 9), "expected 4 (there is a hole"));
  CHECK(contains(header_fault(two("[4,8]", "[8,12]"), 12), "expected 0 (there is a hole"));
  CHECK(header_fault("{}", 4) == "4 bytes of data, expected 0 from the header");
}

TEST_CASE("safetensors: every cut and every flipped byte is an Error or a sound file") {
  TempDir dir;
  const auto path = dir / "a";
  write_safetensors(path,
                    {{"w", Tensor::from(std::vector<float>{1, 2}, {2})},
                     {"b", Tensor::from(std::vector<std::uint8_t>{1, 2, 3}, {1, 3})}},
                    {{"k", "v"}});
  const std::string good = file_bytes(path);
  const auto read = [&](const std::string& bytes) {
    put_file(path, bytes);
    return error_of([&] { read_safetensors(path); });
  };
  for (std::size_t length = 0; length < good.size(); ++length) {
    INFO("cut to " << length);
    CHECK_FALSE(read(good.substr(0, length)).empty());
  }
  CHECK_FALSE(read(good + "x").empty());
  int refused = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int bit : {0, 3, 5, 7}) {
      std::string bytes = good;
      bytes[i] = char(bytes[i] ^ (1 << bit));
      const std::string error = read(bytes);  // an exception of another kind would fail the test
      CHECK(std::ranges::count(error, '\n') == 0);
      refused += error.empty() ? 0 : 1;
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("safetensors: things that are not files") {
  TempDir dir;
  const auto missing = dir / "none";
  CHECK(error_of([&] { read_safetensors(missing); }) ==
        missing.string() + ": cannot read: No such file or directory");
  CHECK(error_of([&] { read_safetensors(dir.path()); }) ==
        dir.path().string() + ": cannot read: not a regular file");
  CHECK(contains(error_of([] { read_safetensors("/dev/zero"); }), "not a regular file"));
}
