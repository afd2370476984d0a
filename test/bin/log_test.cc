// SPDX-License-Identifier: MIT
#include "cleave/bin/log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <regex>
#include <string>

#include "cleave/core/file.h"

using namespace cleave;

namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends = {};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    out = Fd(ends[0]);
    in = Fd(ends[1]);
  }
  // All that was written, once the last writer has gone.
  std::string text() {
    in.reset();
    std::string all;
    std::array<char, 4096> buffer = {};
    for (ssize_t n = 0; (n = ::read(out.get(), buffer.data(), buffer.size())) > 0;) {
      all.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return all;
  }
  Fd out;
  Fd in;
};

// What a log leaves behind that writes one line and ends.
std::string line_of(LogFormat format, LogLevel level, std::string_view event,
                    std::initializer_list<LogField> fields) {
  Pipe pipe;
  std::make_unique<Log>(pipe.in.get(), format, LogLevel::debug)->write(level, event, fields);
  return pipe.text();
}

const std::string kTime = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)";

}  // namespace

TEST_CASE("a text line has time, level, event and fields") {
  const std::string line =
      line_of(LogFormat::text, LogLevel::info, "close",
              {{"peer", "127.0.0.1:1"}, {"bytes_in", 42U}, {"detail", "the \"end\"\n of it"}});
  const std::regex expected(
      kTime +
      R"re( info close peer=127\.0\.0\.1:1 bytes_in=42 detail="the \\"end\\"\\u000a of it")re"
      "\n");
  CHECK_MESSAGE(std::regex_match(line, expected), line);
}

TEST_CASE("a JSON line has the same") {
  const std::string line = line_of(LogFormat::json, LogLevel::warning, "close",
                                   {{"peer", "127.0.0.1:1"}, {"bytes_in", 42U}, {"detail", "\""}});
  const std::regex expected(
      R"re(\{"time":")re" + kTime +
      R"re(","level":"warning","event":"close","peer":"127\.0\.0\.1:1","bytes_in":42,"detail":"\\""\})re"
      "\n");
  CHECK_MESSAGE(std::regex_match(line, expected), line);
}

TEST_CASE("a field without a value is left out") {
  const std::string line = line_of(LogFormat::text, LogLevel::info, "served",
                                   {{"id", std::optional<std::uint64_t>()}, {"message", ""}});
  CHECK_MESSAGE(line.ends_with(" served\n"), line);
}

TEST_CASE("a line stays one line of at most 4,096 bytes whatever its values are") {
  const std::string hostile(100'000, '\n');
  for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
    const std::string line = line_of(format, LogLevel::info, "refused",
                                     {{"cmd", hostile}, {"message", hostile}, {"count", 1U}});
    CHECK(line.size() <= 4'096);
    CHECK(std::ranges::count(line, '\n') == 1);
    CHECK(line.find("count") != std::string::npos);
  }
}

TEST_CASE("lines below the level are not written, and the level can change") {
  Pipe pipe;
  auto log = std::make_unique<Log>(pipe.in.get(), LogFormat::text, LogLevel::warning);
  CHECK_FALSE(log->wants(LogLevel::info));
  log->write(LogLevel::info, "one");
  log->set_level(LogLevel::info);
  log->write(LogLevel::info, "two");
  log->set_level(LogLevel::off);
  log->write(LogLevel::error, "three");
  log.reset();
  const std::string text = pipe.text();
  CHECK(text.find("one") == std::string::npos);
  CHECK(text.find("two") != std::string::npos);
  CHECK(text.find("three") == std::string::npos);
}

TEST_CASE("a reader that does not read costs lines, never time, and learns how many") {
  Pipe pipe;
  auto log = std::make_unique<Log>(pipe.in.get(), LogFormat::text, LogLevel::info, 16);
  const std::string filler(3'000, 'x');
  // More than the pipe and the queue hold: were a write to wait, this loop would never end.
  for (int i = 0; i < 200; ++i) log->write(LogLevel::info, "line", {{"filler", filler}});
  CHECK(log->dropped() > 0);
  // The log's thread goes on as soon as there is room, and tells before the next line.
  std::string text;
  while (text.find("log_lines_dropped count=") == std::string::npos) {
    std::string piece(4'096, '\0');
    const ssize_t n = ::read(pipe.out.get(), piece.data(), piece.size());
    REQUIRE(n > 0);
    text.append(piece, 0, static_cast<std::size_t>(n));
  }
}

TEST_CASE("a log whose reader has gone ends all the same") {
  std::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  auto log = std::make_unique<Log>(pipe.in.get(), LogFormat::text, LogLevel::info);
  pipe.out.reset();
  log->write(LogLevel::info, "to nobody");
  log.reset();
}
