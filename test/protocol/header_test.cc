// SPDX-License-Identifier: MIT
#include "cleave/protocol/header.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

using namespace cleave;
using namespace std::string_literals;

namespace {

// The sentence by which a header is refused, or what came of it instead.
std::string refusal(std::string_view json, const HeaderLimits& limits = {}) {
  HeaderParser parser(limits);
  const auto header = parser.parse(json);
  if (header) return "it was taken";
  if (header.error().code != Errc::protocol_error) return "it has another code";
  return header.error().message;
}

Ref<const Header> parsed(std::string_view json) {
  HeaderParser parser;
  auto header = parser.parse(json);
  REQUIRE_MESSAGE(header.has_value(), (header ? "" : header.error().message));
  return *header;
}

// Writes a value as it was understood, in the order of the document.
std::string written(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::boolean:
      return *value.boolean() ? "true" : "false";
    case Value::Kind::number:
      return std::string(value.text());
    case Value::Kind::string:
      return '\'' + std::string(*value.string()) + '\'';
    case Value::Kind::array:
    case Value::Kind::object:
      break;
  }
  const bool object = value.kind() == Value::Kind::object;
  std::string text = object ? "{" : "[";
  for (const Value inner : value) {
    if (text.size() > 1) text += ' ';
    if (object) text += std::string(inner.name()) + '=';
    text += written(inner);
  }
  return text + (object ? '}' : ']');
}

std::string repeated(std::size_t count, std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("every kind of value is read, at any depth, in the order of the document") {
  const auto header = parsed(
      R"( {"a":null,"b":[true,false,[],{}],"c":{"d":-12,"e":{"f":"x"},"g":[1,[2,[3]],4]},"h":1.5e3} )");
  CHECK(written(header->root()) ==
        "{a=null b=[true false [] {}] c={d=-12 e={f='x'} g=[1 [2 [3]] 4]} h=1.5e3}");
  CHECK(header->root().size() == 4);
  CHECK(header->find("b")->size() == 4);
  CHECK(header->find("c")->find("e")->find("f")->string() == "x");
  CHECK_FALSE(header->find("d").has_value());
  CHECK_FALSE(header->find("a")->find("a").has_value());
  CHECK(header->find("a")->begin() == header->find("a")->end());
}

TEST_CASE("an empty object is a header, also with blanks around it") {
  for (const char* json : {"{}", " {}", "{} ", "\t\r\n {\n}\t\r\n "}) {
    const auto header = parsed(json);
    CHECK(header->root().size() == 0);
    CHECK(header->json() == json);
    CHECK_FALSE(header->frame().id.has_value());
    CHECK_FALSE(header->frame().data_size.has_value());
    CHECK_FALSE(header->frame().more);
  }
}

TEST_CASE("strings and names are decoded: escapes, pairs of surrogates, U+0000 in a string") {
  const auto header =
      parsed(R"({"\u0063md":"\"\\\/\b\f\n\r\t","x":"\u7c98\ud83d\ude00","z":"a\u0000b"})");
  CHECK(header->string("cmd") == "\"\\/\b\f\n\r\t");
  CHECK(header->string("x") == "粘\U0001F600");
  CHECK(header->string("z") == "a\0b"s);
}

TEST_CASE("a member has a name, the elements of an array and the object itself have none") {
  const auto header = parsed(R"({"a":[1,{"b":2},[3]],"c":4})");
  std::string names;
  for (const Value value : header->root()) names += std::string(value.name()) + ',';
  const Value elements = *header->find("a");
  for (const Value element : elements) names += std::string(element.name()) + ',';
  CHECK(names == "a,c,,,,");
  CHECK(header->root().name() == "");
}

TEST_CASE("a value says its kind in words") {
  const auto header = parsed(R"({"a":null,"b":true,"c":1,"d":"","e":[],"f":{}})");
  std::string kinds;
  for (const Value value : header->root()) kinds += std::string(value.kind_name()) + ", ";
  CHECK(kinds == "null, a boolean, a number, a string, an array, an object, ");
}

TEST_CASE("an integer is a whole token of digits within 64 bits, and nothing is converted") {
  const auto integer = [](const std::string& json) {
    return parsed("{\"n\":" + json + "}")->find("n")->integer();
  };
  CHECK(integer("0") == 0);
  CHECK(integer("-1") == -1);
  CHECK(integer("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
  CHECK(integer("-9223372036854775808") == std::numeric_limits<std::int64_t>::min());
  for (const char* json : {"9223372036854775808", "-9223372036854775809", "18446744073709551616",
                           "-0", "1.0", "1e3", "1E3", "0.0", "\"5\"", "true", "null", "[5]"}) {
    CAPTURE(json);
    CHECK_FALSE(integer(json).has_value());
  }
}

TEST_CASE("numbers that crash a careless use of the JSON library are opaque text") {
  for (const char* number :
       {"0.00000000000001e-2147483639", "128.74836467836484838364836483643636483648e-336",
        "1e-999999999999999999999999", "0.1e-308", "123456789012345678901234567890"}) {
    const auto header = parsed("{\"a\":"s + number + "}");
    CHECK(header->find("a")->kind() == Value::Kind::number);
    CHECK(header->find("a")->text() == number);
    CHECK_FALSE(header->find("a")->integer().has_value());
  }
  CHECK(parsed(R"({"a":0.00000000000001e-2147483639})")->json().size() == 34);
}

TEST_CASE("what is no strict JSON is refused") {
  for (const std::string& json : {"{"s,
                                  "{\"a\""s,
                                  "{\"a\":"s,
                                  "{\"a\":1"s,
                                  "{\"a\":1,"s,
                                  "{\"a\":1,}"s,
                                  "{,}"s,
                                  "{\"a\":[1,]}"s,
                                  "{\"a\":01}"s,
                                  "{\"a\":1.}"s,
                                  "{\"a\":.5}"s,
                                  "{\"a\":+1}"s,
                                  "{\"a\":-}"s,
                                  "{\"a\":1e}"s,
                                  "{\"a\":NaN}"s,
                                  "{\"a\":Infinity}"s,
                                  "{\"a\":-Infinity}"s,
                                  "{\"a\":0x10}"s,
                                  "{'a':1}"s,
                                  "{a:1}"s,
                                  "{\"a\" 1}"s,
                                  "{\"a\":1 \"b\":2}"s,
                                  "{\"a\":tru}"s,
                                  "{\"a\":True}"s,
                                  "{}/**/"s,

                                  "{//\n}"s,
                                  "{}{}"s,
                                  "{},"s,
                                  "{} x"s,
                                  "{}}"s,
                                  "{\"a\":\"\x01\"}"s,
                                  "{\"a\":\"\n\"}"s,
                                  "{\"a\":\"\\x\"}"s,
                                  "{\"a\":\"\\u12\"}"s,
                                  "{\"a\":\"\\u12g4\"}"s,
                                  "{\"a\":\"b}"s,
                                  "{\"a\":[}"s,
                                  "{\"a\":{]}"s,
                                  "{\v}"s,
                                  "{\"a\":" + repeated(60'000, "9") + "}"}) {
    CAPTURE(json.substr(0, 40));
    CHECK(refusal(json).starts_with("the header is not strict JSON at byte "));
  }
  CHECK(refusal("{\"a\":1,}") ==
        "the header is not strict JSON at byte 7: Missing a name for object member.");
}

TEST_CASE("what is no object is refused, and the sentence says what came first") {
  CHECK(refusal("[]") == "a header must be one JSON object, and \"[\" at byte 0 came");
  CHECK(refusal("\"{}\"") == "a header must be one JSON object, and \"\\\"\" at byte 0 came");
  CHECK(refusal(" 12") == "a header must be one JSON object, and \"1\" at byte 1 came");
  CHECK(refusal("null") == "a header must be one JSON object, and \"n\" at byte 0 came");
  CHECK(refusal("  ") == "a header must be one JSON object, and nothing but blanks came");
  CHECK(refusal("\xEF\xBB\xBF{}").starts_with("a header must be one JSON object"));
  CHECK(refusal("\0{}"s).starts_with("a header must be one JSON object"));
  CHECK(refusal("/**/{}") == "a header must be one JSON object, and \"/\" at byte 0 came");
}

TEST_CASE("a NUL does not end a header early") {
  CHECK(refusal("{\"cmd\":\"echo\"}\0GARBAGE"s) ==
        "the header's object ends before byte 14 of 22, and a NUL follows it");
  CHECK(refusal("{}\0"s) == "the header's object ends before byte 2 of 3, and a NUL follows it");
  for (const std::string& json : {"{\0}"s, "{\"a\0\":1}"s, "{\"a\":\"\0\"}"s, "{\"a\":1\0}"s}) {
    CHECK(refusal(json).starts_with("the header is not strict JSON at byte "));
  }
}

TEST_CASE("bytes that are not UTF-8 are refused in strings and in names") {
  for (const std::string& bytes : {"\xC0\xAF"s, "\xE0\x80\xAF"s, "\xED\xA0\x80"s,
                                   "\xF5\x80\x80\x80"s, "\xE4\xB8"s, "\xFF"s, "\x80"s}) {
    CHECK(refusal("{\"a\":\"" + bytes + "\"}") ==
          "the header is not strict JSON at byte 6: Invalid encoding in string.");
    CHECK(refusal("{\"" + bytes + "\":1}") ==
          "the header is not strict JSON at byte 2: Invalid encoding in string.");
  }
}

TEST_CASE("half a pair of surrogates is refused, whichever half it is") {
  for (const char* escape : {R"(\ud83d)", R"(\ud83dx)", R"(\ud83d\n)", R"(\ud83d\ud83d)"}) {
    CHECK(refusal("{\"a\":\""s + escape + "\"}") ==
          "the header is not strict JSON at byte 6: The surrogate pair in string is invalid.");
  }
  CHECK(refusal(R"({"a":"\udc00"})") ==
        "the header has a string that is not UTF-8: half a surrogate pair (byte 13)");
  CHECK(refusal(R"({"a\udfff":1})") ==
        "the header has a name that is not UTF-8: half a surrogate pair (byte 10)");
}

TEST_CASE("U+0000 in a name is refused") {
  CHECK(refusal(R"({"cmd\u0000x":1})") == "the header has a name with U+0000 in it (byte 13)");
}

TEST_CASE("a member twice in one object is refused, at any depth and however it is spelled") {
  CHECK(refusal(R"({"cmd":"a","cmd":"a"})") ==
        "the header has the member \"cmd\" twice in one object (byte 21)");
  CHECK(refusal(R"({"cmd":"a","\u0063md":"b"})") ==
        "the header has the member \"cmd\" twice in one object (byte 26)");
  CHECK(refusal(R"({"a":[{"b":{"x":1,"y":2,"x":3}}]})") ==
        "the header has the member \"x\" twice in one object (byte 30)");
  CHECK(refusal(R"({"":1,"a":2,"":3})") ==
        "the header has the member \"\" twice in one object (byte 17)");
  CHECK(refusal(R"({"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]})") == "it was taken");
  CHECK(refusal(R"({"a":1,"A":2,"a ":3,"":4})") == "it was taken");
}

TEST_CASE("nesting is refused beyond its limit, and taken at it") {
  const auto nested = [](std::size_t depth) {
    return "{\"a\":" + repeated(depth - 1, "[") + repeated(depth - 1, "]") + "}";
  };
  CHECK(refusal(nested(16)) == "it was taken");
  CHECK(refusal(nested(17)) ==
        "the header has deeper nesting than the limit (header_depth) of 16 (byte 21)");
  const auto objects = [](std::size_t depth) {
    return repeated(depth - 1, "{\"a\":") + "{}" + repeated(depth - 1, "}");
  };
  CHECK(refusal(objects(16)) == "it was taken");
  CHECK(refusal(objects(17)).starts_with("the header has deeper nesting than the limit"));
  CHECK(refusal("{\"a\":" + repeated(65'000, "[")).starts_with("the header has deeper nesting"));
  CHECK(refusal(repeated(13'000, "{\"a\":")).starts_with("the header has deeper nesting"));
  CHECK(refusal("{}", {.depth = 0}) ==
        "the header has deeper nesting than the limit (header_depth) of 0 (byte 1)");
}

TEST_CASE("values are counted, members and elements alike, and refused beyond their limit") {
  CHECK(refusal("{\"a\":[" + repeated(1'022, "0,") + "0]}") == "it was taken");
  CHECK(refusal("{\"a\":[" + repeated(1'023, "0,") + "0]}") ==
        "the header has more values than the limit (header_values) of 1024 (byte 2052)");
  CHECK(refusal("{}", {.values = 0}) == "it was taken");
  CHECK(refusal("{\"a\":{}}", {.values = 0}).starts_with("the header has more values"));
  CHECK(refusal("{\"a\":{},\"b\":[1]}", {.values = 3}) == "it was taken");
  CHECK(refusal("{\"a\":{},\"b\":[1]}", {.values = 2}).starts_with("the header has more values"));
}

TEST_CASE("a name is measured as decoded, and refused beyond its limit") {
  CHECK(refusal("{\"" + repeated(64, "k") + "\":1}") == "it was taken");
  CHECK(refusal("{\"" + repeated(65, "k") + "\":1}") ==
        "the header has a name of 65 bytes, and the limit (header_key_bytes) is 64 (byte 68)");
  CHECK(refusal("{\"" + repeated(64, "\\u006b") + "\":1}") == "it was taken");
  CHECK(refusal("{\"a\":{\"" + repeated(22, "粘") + "\":1}}")
            .starts_with("the header has a name of 66 bytes"));
}

TEST_CASE("the members of the frame are read") {
  const auto first =
      parsed(R"({"id":9007199254740991,"data_size":9223372036854775807,"more":true})");
  CHECK(first->frame().id == 9007199254740991U);
  CHECK(first->frame().data_size == 9223372036854775807U);
  CHECK(first->frame().more);
  const auto second = parsed(R"({"more":false,"data_size":0,"id":0,"inner":{"id":"x","more":1}})");
  CHECK(second->frame().id == 0U);
  CHECK(second->frame().data_size == 0U);
  CHECK_FALSE(second->frame().more);
}

TEST_CASE("an unusable data_size is refused: where the frame ends cannot be told") {
  const std::string expected =
      "\"data_size\" must be an integer from 0 to 9223372036854775807, and ";
  const auto came = [](const std::string& json) { return refusal("{\"data_size\":" + json + "}"); };
  CHECK(came("-1") == expected + "the number -1 came");
  CHECK(came("-0") == expected + "the number -0 came");
  CHECK(came("1.0") == expected + "the number 1.0 came");
  CHECK(came("1e3") == expected + "the number 1e3 came");
  CHECK(came("9223372036854775808") == expected + "the number 9223372036854775808 came");
  CHECK(came("18446744073709551615") == expected + "the number 18446744073709551615 came");
  CHECK(came("18446744073709551616") == expected + "the number 18446744073709551616 came");
  CHECK(came("\"5\"") == expected + "the string \"5\" came");
  CHECK(came("true") == expected + "true came");
  CHECK(came("null") == expected + "null came");
  CHECK(came("[5]") == expected + "an array came");
  CHECK(came("{}") == expected + "an object came");
  CHECK(came("01").starts_with("the header is not strict JSON"));
  CHECK(came("1" + repeated(100, "0")) == expected + "the number 1" + repeated(39, "0") + "… came");
  CHECK(came("\"" + repeated(100, "x") + "\"") ==
        expected + "the string \"" + repeated(40, "x") + "\"… came");
  CHECK(came("1,\"data_size\":1").starts_with("the header has the member \"data_size\" twice"));
}

TEST_CASE("an unusable id or more is refused") {
  const std::string expected = "\"id\" must be an integer from 0 to 9007199254740991, and ";
  CHECK(refusal(R"({"id":9007199254740992})") == expected + "the number 9007199254740992 came");
  CHECK(refusal(R"({"id":-1})") == expected + "the number -1 came");
  CHECK(refusal(R"({"id":"7"})") == expected + "the string \"7\" came");
  CHECK(refusal(R"({"id":null})") == expected + "null came");
  CHECK(refusal(R"({"id":1,"more":1})") == "\"more\" must be true or false, and the number 1 came");
  CHECK(refusal(R"({"id":1,"more":null})") == "\"more\" must be true or false, and null came");
  CHECK(refusal(R"({"more":true})") == "\"more\" needs an \"id\", and none came");
  CHECK(refusal(R"({"more":false})") == "\"more\" needs an \"id\", and none came");
}

TEST_CASE("a getter gives the member, or a sentence that names it") {
  const auto header = parsed(R"({"s":"text","n":7,"b":true,"l":["a","b"],"m":["a",5],"z":null})");
  const auto error = [](const auto& result) {
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == Errc::invalid_argument);
    return result.error().message;
  };
  CHECK(header->string("s") == "text");
  CHECK(error(header->string("n")) == "\"n\" must be a string, and the number 7 came");
  CHECK(error(header->string("gone")) == "\"gone\" is missing: it must be a string");
  CHECK(header->string_or("gone", "fallback") == "fallback");
  CHECK(error(header->string_or("z", "fallback")) == "\"z\" must be a string, and null came");

  CHECK(header->integer("n", 0, 10) == 7);
  CHECK(header->integer("n", 7, 7) == 7);
  CHECK(error(header->integer("n", 0, 6)) ==
        "\"n\" must be an integer from 0 to 6, and the number 7 came");
  CHECK(error(header->integer("n", 8, 9)) ==
        "\"n\" must be an integer from 8 to 9, and the number 7 came");
  CHECK(error(header->integer("gone", -1, 1)) ==
        "\"gone\" is missing: it must be an integer from -1 to 1");
  CHECK(header->integer_or("gone", 0, 1, 42) == 42);
  CHECK(error(header->integer_or("s", 0, 1, 42)) ==
        "\"s\" must be an integer from 0 to 1, and the string \"text\" came");

  CHECK(header->boolean_or("b", false) == true);
  CHECK(header->boolean_or("gone", true) == true);
  CHECK(error(header->boolean_or("n", true)) ==
        "\"n\" must be true or false, and the number 7 came");

  CHECK(header->strings("l") == std::vector<std::string>{"a", "b"});
  CHECK(error(header->strings("s")) ==
        "\"s\" must be an array of strings, and the string \"text\" came");
  CHECK(error(header->strings("m")) ==
        "\"m\" must be an array of strings, and the number 5 came as element 1");
  CHECK(error(header->strings("gone")) == "\"gone\" is missing: it must be an array of strings");
}

TEST_CASE("headers outlive their parser, and it may be moved while they live") {
  Ref<const Header> first;
  Ref<const Header> second;
  {
    HeaderParser parser;
    first = *parser.parse(R"({"cmd":"first"})");
    HeaderParser moved = std::move(parser);
    second = *moved.parse(R"({"cmd":"second"})");
    HeaderParser other;
    other = std::move(moved);
    CHECK(*other.parse(R"({"cmd":"first"})") == first);
  }
  CHECK(first->string("cmd") == "first");
  first = {};
  CHECK(second->string("cmd") == "second");
}

TEST_CASE("a header in use is not touched by the ones parsed after it") {
  HeaderParser parser;
  std::vector<Ref<const Header>> headers;
  for (int i = 0; i < 1'000; ++i) {
    headers.push_back(
        *parser.parse("{\"id\":" + std::to_string(i) + ",\"n\":[" + std::to_string(i) + "]}"));
    if (i % 3 == 0) headers[static_cast<std::size_t>(i / 2)] = {};
  }
  int alive = 0;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    if (!headers[i]) continue;
    ++alive;
    REQUIRE(headers[i]->frame().id == i);
    REQUIRE(headers[i]->find("n")->text() == "");
    REQUIRE((*headers[i]->find("n")->begin()).text() == std::to_string(i));
  }
  CHECK(alive == 666);
}

TEST_CASE("bytes equal to a recent header's share its parse, and limits that change end that") {
  HeaderParser parser;
  const std::string json = R"({"cmd":"echo","a":[[1]]})";
  const auto header = *parser.parse(json);
  CHECK(*parser.parse(std::string(json)) == header);
  CHECK_FALSE(*parser.parse(json + " ") == header);
  CHECK(*parser.parse(json) == header);

  parser.set_limits({.depth = 2});
  CHECK(parser.limits().depth == 2);
  CHECK_FALSE(parser.parse(json).has_value());
  CHECK(header->string("cmd") == "echo");
}

TEST_CASE("only a few recent headers are remembered, and no long one") {
  HeaderParser parser;
  const auto numbered = [](int i) { return "{\"n\":\"" + std::to_string(i) + "\"}"; };
  std::vector<Ref<const Header>> headers;
  for (int i = 0; i < 5; ++i) headers.push_back(*parser.parse(numbered(i)));
  for (int i = 1; i < 5; ++i)
    CHECK(*parser.parse(numbered(i)) == headers[static_cast<std::size_t>(i)]);
  CHECK_FALSE(*parser.parse(numbered(0)) == headers[0]);

  const std::string longest = "{\"a\":\"" + repeated(4'096 - 8, "x") + "\"}";
  CHECK(*parser.parse(longest) == *parser.parse(longest));
  const std::string longer = "{\"a\":\"" + repeated(4'096 - 7, "x") + "\"}";
  const auto kept = *parser.parse(longer);
  CHECK_FALSE(*parser.parse(longer) == kept);

  // Not one either that is longer than the one that it has the shape of.
  const auto counting = [](const std::string& number) {
    return "{\"a\":[" + repeated(500, number + ",") + number + "]}";
  };
  (void)*parser.parse(counting("1"));
  const auto grown = *parser.parse(counting("12345678901234567"));
  CHECK_FALSE(*parser.parse(counting("12345678901234567")) == grown);
}

TEST_CASE("a header with other digits than a recent one's is what it is on its own") {
  // Around each number of these headers every other is put, in a parser that knows the header, and
  // in one that knows nothing.
  const std::vector<std::string> numbers = {"0",
                                            "1",
                                            "9",
                                            "10",
                                            "007",
                                            "-1",
                                            "-0",
                                            "1.5",
                                            "1e3",
                                            "",
                                            "12x",
                                            "1 2",
                                            "1,2",
                                            "\"1\"",
                                            "null",
                                            "1]",
                                            "1}",
                                            "99999999999999999",
                                            "999999999999999999",
                                            "9223372036854775807",
                                            "9223372036854775808",
                                            "9007199254740992",
                                            "123456789012345678901234567890"};
  const std::vector<std::array<std::string, 2>> surroundings = {
      {R"({"cmd":"echo","data_size":64,"id":)", "}"},
      {R"({"cmd":"echo","id":)", R"(,"data_size":3,"more":true})"},
      {R"({"a":1.5,"b":[1,)", R"(,-3,{"c":44}],"id":7})"},
      {R"({"a":0,"a2":)", R"( , "x":"\u00e4 1", "y":12 } )"}};
  for (const auto& [before, after] : surroundings) {
    for (const std::string& known : numbers) {
      for (const std::string& number : numbers) {
        HeaderParser used;
        (void)used.parse(before + known + after);
        const std::string json = before + number + after;
        CAPTURE(json);
        const auto header = used.parse(json);
        const auto expected = HeaderParser().parse(json);
        REQUIRE(header.has_value() == expected.has_value());
        if (!header) {
          CHECK(header.error() == expected.error());
          continue;
        }
        CHECK((*header)->json() == json);
        CHECK(written((*header)->root()) == written((*expected)->root()));
        CHECK((*header)->frame().id == (*expected)->frame().id);
        CHECK((*header)->frame().data_size == (*expected)->frame().data_size);
        CHECK((*header)->frame().more == (*expected)->frame().more);
      }
    }
  }
}

TEST_CASE("headers have the same shape only where they differ in nothing but digits of integers") {
  HeaderParser parser;
  const auto shape = [&](std::string_view json) { return (*parser.parse(json))->shape(); };
  const std::uint64_t first = shape(R"({"cmd":"echo","id":9})");
  CHECK(first != 0);
  CHECK(shape(R"({"cmd":"echo","id":10})") == first);
  CHECK(shape(R"({"cmd":"echo","id":123456789})") == first);
  CHECK(shape(R"({"cmd":"echo","id":9})") == first);
  CHECK(shape(R"({"cmd":"Echo","id":9})") != first);
  CHECK(shape(R"({"cmd":"echo","ix":9})") != first);
  CHECK(shape(R"({"cmd":"echo","id":9 })") != first);
  CHECK(shape(R"({"cmd":"echo2","id":9})") != first);
  CHECK(shape(R"({"cmd":"echo","x":1.0})") != shape(R"({"cmd":"echo","x":2.0})"));
  CHECK(shape("{\"a\":\"" + repeated(5'000, "x") + "\"}") == 0);
}

TEST_CASE("a refused header leaves nothing behind in the next one") {
  HeaderParser parser;
  CHECK_FALSE(parser.parse(R"({"id":5,"more":true,"data_size":1,"x":[1,2,{"y":"z"}],"id":5})"));
  const auto header = *parser.parse(R"({"a":1})");
  CHECK(written(header->root()) == "{a=1}");
  CHECK_FALSE(header->frame().id.has_value());
  CHECK_FALSE(header->frame().data_size.has_value());
  CHECK_FALSE(header->frame().more);
}
