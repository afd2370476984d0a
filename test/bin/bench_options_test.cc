// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cleave/bin/load/options.h"

using namespace cleave;
using namespace cleave::load;

namespace {

Result<CommandLine> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "cleave-bench");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

Settings settings(const std::vector<const char*>& words) {
  Result<CommandLine> parsed = parse(words);
  REQUIRE_MESSAGE(parsed, parsed.error().message);
  return parsed->settings;
}

std::string refusal(const std::vector<const char*>& words) {
  const Result<CommandLine> parsed = parse(words);
  return parsed ? "" : parsed.error().message;
}

}  // namespace

TEST_CASE("without options cleave-bench echoes for ten seconds, in a closed loop") {
  const Settings as_is = settings({});
  CHECK(as_is.endpoint.url() == "tcp://127.0.0.1:8080?wire=frame");
  CHECK(as_is.cmd == "echo");
  CHECK(as_is.body_bytes == 64);
  CHECK(as_is.connections == 64);
  CHECK(as_is.depth == 16);
  CHECK(as_is.duration == Millis(10'000));
  CHECK_FALSE(as_is.requests);
  CHECK_FALSE(as_is.rate);
  CHECK(as_is.ids == Ids::repeated);
  CHECK(as_is.check);
}

TEST_CASE("the options of cleave-bench are what they say") {
  const Settings made = settings(
      {"-s",     "unix:/run/a", "-c",        "3",           "-d",         "7",         "-b",
       "8M",     "--duration",  "0.5",       "--warm-up",   "1.25",       "--timeout", "2",
       "--rate", "0.5",         "--headers", "counting",    "--no-check", "--pid",     "12",
       "--json", "exec",        "--header",  "shell=ls -l", "--header",   "n=5"});
  CHECK(made.endpoint.path == "/run/a");
  CHECK(made.connections == 3);
  CHECK(made.depth == 7);
  CHECK(made.body_bytes == 8 * 1024 * 1024);
  CHECK(made.duration == Millis(500));
  CHECK(made.warm_up == Millis(1'250));
  CHECK(made.timeout == Millis(2'000));
  CHECK(made.rate == 0.5);
  CHECK(made.ids == Ids::counting);
  CHECK_FALSE(made.check);
  CHECK(made.pid == 12);
  CHECK(made.json);
  CHECK(made.cmd == "exec");
  CHECK(made.members.text() == R"("shell":"ls -l","n":5)");
}

TEST_CASE(
    "a number of requests ends a measurement without a time, or with one, which comes first") {
  CHECK(settings({"--requests", "5"}).requests == 5);
  CHECK_FALSE(settings({"--requests", "5"}).duration);
  CHECK(settings({"--requests", "5", "--duration", "3"}).duration == Millis(3'000));
}

TEST_CASE("requests may have no id") {
  CHECK(settings({"--no-id"}).ids == Ids::none);
  CHECK(settings({"--no-id", "--headers", "repeated"}).ids == Ids::none);
  CHECK(refusal({"--no-id", "--headers", "counting"}) == "headers that count need ids");
}

TEST_CASE("the size of a body is written with or without a unit") {
  CHECK(settings({"-b", "0"}).body_bytes == 0);
  CHECK(settings({"-b", "64K"}).body_bytes == 65'536);
  CHECK(settings({"-b", "1G"}).body_bytes == 1'073'741'824);
}

TEST_CASE("what cannot be meant is refused with a sentence") {
  for (const std::vector<const char*>& words :
       std::vector<std::vector<const char*>>{{"-c", "0"},
                                             {"-c", "65537"},
                                             {"-c", "x"},
                                             {"-d", "0"},
                                             {"-d", "4097"},
                                             {"-c", "65536", "-d", "65"},
                                             {"-b", "-1"},
                                             {"-b", "2T"},
                                             {"-b", "1x"},
                                             {"--duration", "0"},
                                             {"--duration", "nan"},
                                             {"--requests", "0"},
                                             {"--rate", "0"},
                                             {"--rate", "-5"},
                                             {"--headers", "other"},
                                             {"--header", "id=5"},
                                             {"--header", "a"},
                                             {"--body-file", "a", "-b", "5"},
                                             {"--pid", "0"},
                                             {"-s", "udp://127.0.0.1:5"},
                                             {"-s", "fd:3"},
                                             {"-s", "tcp://127.0.0.1:5?wire=raw&cmd=echo"},
                                             {"-s", "nonsense"},
                                             {"--unknown"},
                                             {"echo", "again"},
                                             {""}}) {
    std::string line;
    for (const char* word : words) line += std::string(word) + " ";
    CAPTURE(line);
    CHECK_FALSE(refusal(words).empty());
  }
}

TEST_CASE("cleave-bench tells of itself") {
  CHECK(parse({"--help"}).value().print.find("--rate") != std::string::npos);
  CHECK(parse({"--version"}).value().print.starts_with("cleave-bench "));
}
