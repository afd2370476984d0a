// SPDX-License-Identifier: MIT
#include "cleave/bin/client/frame_lines.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "cleave/testing/every_split.h"

using namespace cleave;
using namespace cleave::cli;
using namespace std::string_literals;

namespace {

std::string frame_of(std::string_view header, std::string_view body = {}) {
  std::string wire;
  for (unsigned i = 0; i < 4; ++i) wire += static_cast<char>(header.size() >> (8 * i));
  return wire.append(header).append(body);
}

class LinesSubject final : public testing::SplitSubject {
 public:
  explicit LinesSubject(const HeaderLimits& limits) : lines_(limits, 16) {}
  void feed(std::string_view piece) override { lines_.feed(piece, out_); }
  std::string transcript() override {
    lines_.finish(out_);
    if (lines_.fault()) out_ += "! " + lines_.fault()->message + "\n";
    return out_;
  }

 private:
  FrameLines lines_;
  std::string out_;
};

// The lines of a stream, which are the same however it is cut.
std::string lines_of(std::string_view wire, const HeaderLimits& limits = {}) {
  const testing::SplitReport report =
      testing::every_split(wire, [&] { return std::make_unique<LinesSubject>(limits); });
  CHECK(report.difference == "");
  return report.whole;
}

}  // namespace

TEST_CASE("each frame of requests and replies is a line with its offsets") {
  const std::string wire = frame_of(R"({"cmd":"echo","data_size":5})", "hello") +
                           frame_of(R"({ "status":"ok" })") +
                           frame_of(R"({"id":1,"more":true,"data_size":2})", "\xff\n");
  CHECK(
      lines_of(wire) ==
      R"({"offset":0,"header_bytes":28,"header":{"cmd":"echo","data_size":5},)"
      R"("body_offset":32,"body_bytes":5,"text":"hello"})"
      "\n"
      R"({"offset":37,"header_bytes":17,"header":{ "status":"ok" },"body_offset":58,"body_bytes":0})"
      "\n"
      R"({"offset":58,"header_bytes":34,"header":{"id":1,"more":true,"data_size":2},)"
      R"("body_offset":96,"body_bytes":2})"
      "\n");
  CHECK(lines_of("").empty());
}

TEST_CASE("a body is shown where it is short and text") {
  CHECK(lines_of(frame_of(R"({"data_size":16})", "sixteen bytes :)")).find("\"text\":") !=
        std::string::npos);
  CHECK(lines_of(frame_of(R"({"data_size":17})", "seventeen bytes :")).find("\"text\":") ==
        std::string::npos);
  CHECK(lines_of(frame_of(R"({"data_size":4})", "\x1b\u202E")).find(R"("text":"\u001b\u202e")") !=
        std::string::npos);
}

TEST_CASE("the body of a one-way put has the size that its own member says") {
  for (const char* header : {R"({"cmd":"put","filename":"a","filesize":3})",
                             R"({"cmd":"put","file_name":"a","file_size":3})"}) {
    const std::string lines = lines_of(frame_of(header, "abc") + frame_of("{}"));
    CHECK(lines.find("\"body_bytes\":3,\"text\":\"abc\"") != std::string::npos);
    CHECK(lines.find("\"header\":{},") != std::string::npos);
  }
  // Its reply says of a file what it says, and has no body.
  CHECK(lines_of(frame_of(R"({"status":"ok","filesize":3})") + frame_of("{}"))
            .find("\"header\":{},") != std::string::npos);
}

TEST_CASE("a fault has the offset of its byte, and nothing is told behind it") {
  const std::string before = frame_of("{}");  // of 6 bytes
  const auto fault_of = [&](const std::string& wire, const HeaderLimits& limits = {}) {
    const std::string lines = lines_of(before + wire, limits);
    const std::string last = lines.substr(lines.find('\n') + 1);
    CHECK(last.find("\"code\":\"protocol_error\",\"message\":") != std::string::npos);
    CHECK(std::count(last.begin(), last.end(), '\n') == 2);
    return std::stoul(last.substr(sizeof R"({"offset":)" - 1));
  };
  CHECK(fault_of("GET / HTTP/1.1\r\n") == 6);
  CHECK(fault_of("\0\0\0\0"s) == 6);
  CHECK(fault_of("\xff\xff\xff\xff") == 6);
  CHECK(fault_of(frame_of(R"({"a":tru})") + frame_of("{}")) == 6 + 4 + 8);
  CHECK(fault_of(frame_of(" [1]")) == 6 + 4 + 1);
  CHECK(fault_of(frame_of("{}x")) == 6 + 4 + 2);
  CHECK(fault_of(frame_of("{}\0"s)) == 6 + 4 + 2);
  CHECK(fault_of(frame_of(R"({"a":[[1]]})"), {.depth = 2}) == 6 + 4 + 7);
  CHECK(fault_of(frame_of("{          }"), {.header_bytes = 11}) == 6);
  // What is wrong with the whole of it is told of its beginning.
  CHECK(fault_of(frame_of(R"({"data_size":-1})")) == 6 + 4);
}

TEST_CASE("an end inside a frame says where, and how many bytes are missing") {
  const std::string wire = frame_of(R"({"data_size":7})", "1234567");
  const std::string whole = lines_of(wire);
  for (std::size_t size = 1; size < wire.size(); ++size) {
    const std::string lines = lines_of(std::string_view(wire).substr(0, size));
    const std::size_t wanted = size < 4 ? 4 : size < 19 ? 19 : wire.size();
    CHECK(lines.starts_with("{\"offset\":" + std::to_string(size) + ","));
    CHECK(lines.find("\"missing\":" + std::to_string(wanted - size) + "}\n") != std::string::npos);
    CHECK(lines.find(size < 4    ? "length, after"
                     : size < 19 ? "header, after"
                                 : "body, after") != std::string::npos);
  }
  CHECK(whole.find("missing") == std::string::npos);
}

TEST_CASE("a frame of any size is told of in the memory of its header") {
  FrameLines lines({}, 1'024);
  std::string out;
  lines.feed(frame_of(R"({"data_size":9223372036854775807})"), out);
  const std::string piece(1'000'000, 'x');
  for (int i = 0; i < 10; ++i) lines.feed(piece, out);
  CHECK(out.empty());
  lines.finish(out);
  CHECK(out.find("\"missing\":9223372036844775807}") != std::string::npos);
}

TEST_CASE("what the fuzzers have found is told of in the same lines, however it is cut") {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("test/fuzz/corpus/decoder")) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string wire{std::istreambuf_iterator<char>(file), {}};
    CAPTURE(entry.path());
    LinesSubject whole({});
    whole.feed(wire);
    LinesSubject apart({});
    for (std::size_t i = 0; i < wire.size(); ++i) apart.feed(std::string_view(wire).substr(i, 1));
    CHECK(apart.transcript() == whole.transcript());
    ++files;
  }
  CHECK(files > 10);
}
