// SPDX-License-Identifier: MIT
#include "cleave/bin/client/history_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

using namespace cleave;
using namespace cleave::cli;

namespace {

using Lines = std::vector<std::string>;

class HistoryFolder {
 public:
  HistoryFolder() {
    std::string name = "/tmp/cleave-test-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~HistoryFolder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

unsigned mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("a history is made with its folders by its first line, for its owner alone") {
  const HistoryFolder folder;
  const HistoryFile history(folder / "state/cleave/history");
  CHECK(history.read().value().empty());
  CHECK_FALSE(std::filesystem::exists(folder / "state"));
  REQUIRE(history.add("ls albums"));
  CHECK(history.read().value() == Lines{"ls albums"});
  CHECK(mode_of(folder / "state/cleave/history") == 0600);
  CHECK(mode_of(folder / "state/cleave") == 0700);
}

TEST_CASE("a history that others could read is its owner's alone when it is opened") {
  const HistoryFolder folder;
  const HistoryFile history(folder / "history");
  for (const bool adding : {false, true}) {
    write(folder / "history", "old\n");
    REQUIRE(::chmod((folder / "history").c_str(), 0644) == 0);
    CHECK((adding ? history.add("new").has_value() : history.read().has_value()));
    CHECK(mode_of(folder / "history") == 0600);
  }
}

TEST_CASE("a line like the one before is kept once, and others as often as they come") {
  const HistoryFolder folder;
  const HistoryFile history(folder / "history");
  for (const char* line : {"a", "a", "b", "a"}) REQUIRE(history.add(line));
  CHECK(history.read().value() == Lines{"a", "b", "a"});
}

TEST_CASE("the oldest lines go where there are more than a thousand") {
  const HistoryFolder folder;
  std::string text;
  for (int i = 0; i < 1'500; ++i) text += std::to_string(i) + "\n";
  write(folder / "history", text);
  const HistoryFile history(folder / "history");
  CHECK(history.read().value().size() == 1'000);
  CHECK(history.read().value().front() == "500");
  REQUIRE(history.add("new"));
  const Lines lines = history.read().value();
  CHECK(lines.size() == 1'000);
  CHECK(lines.front() == "501");
  CHECK(lines.back() == "new");
  CHECK(text_of(folder / "history").starts_with("501\n"));
}

TEST_CASE("what is no history of ours is cleaned up when a line is added, and its lines stay") {
  const HistoryFolder folder;
  write(folder / "history", "one\n\n\xff\xfe\ntwo\n" + std::string(10'000, 'x') + "\nhalf");
  const HistoryFile history(folder / "history");
  CHECK(history.read().value() == Lines{"one", "two", "half"});
  REQUIRE(history.add("three"));
  CHECK(text_of(folder / "history") == "one\ntwo\nhalf\nthree\n");
}

TEST_CASE("of a file that is too long, the end is read") {
  const HistoryFolder folder;
  write(folder / "history", std::string(HistoryFile::kFileBytes, 'x') + "\nlast\n");
  const HistoryFile history(folder / "history");
  CHECK(history.read().value() == Lines{"last"});
  REQUIRE(history.add("new"));
  CHECK(text_of(folder / "history") == "last\nnew\n");
}

TEST_CASE("lines that come from several sides at once are all kept") {
  const HistoryFolder folder;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int who = 0; who < 4; ++who) {
    threads.emplace_back([&folder, who] {
      const HistoryFile history(folder / "state/history");
      for (int i = 0; i < 50; ++i) {
        CHECK(history.add(std::to_string(who) + " " + std::to_string(i)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(HistoryFile(folder / "state/history").read().value().size() == 200);
}

TEST_CASE("what is no file, or cannot be had, is an error and nobody waits for it") {
  const HistoryFolder folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK_FALSE(HistoryFile(folder / "fifo").read());
  CHECK_FALSE(HistoryFile(folder / "fifo").add("a"));
  CHECK_FALSE(HistoryFile("/dev/full").add("a"));
  CHECK_FALSE(HistoryFile("/proc/cleave/history").add("a"));
}

TEST_CASE("the environment says where the history is") {
  const auto path_with = [](const char* chosen, const char* state, const char* home) {
    const auto set = [](const char* name, const char* value) {
      value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
    };
    set("CLEAVE_HISTORY", chosen);
    set("XDG_STATE_HOME", state);
    set("HOME", home);
    const auto history = HistoryFile::of_environment();
    return history ? history->path() : "";
  };
  const std::string home = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  CHECK(path_with(nullptr, nullptr, "/h") == "/h/.local/state/cleave/history");
  CHECK(path_with(nullptr, "/s", "/h") == "/s/cleave/history");
  CHECK(path_with(nullptr, "relative", "/h") == "/h/.local/state/cleave/history");
  CHECK(path_with("mine", "/s", "/h") == "mine");
  CHECK(path_with("", "/s", "/h") == "");
  CHECK(path_with(nullptr, nullptr, nullptr) == "");
  CHECK(path_with(nullptr, nullptr, "h") == "");
  ::unsetenv("CLEAVE_HISTORY");
  if (!home.empty()) ::setenv("HOME", home.c_str(), 1);
}

TEST_CASE("lines with secrets are not kept") {
  for (const char* line : {" echo hidden",
                           "\techo hidden",
                           "",
                           "call login --header password=x",
                           "call login --header 'password=x'",
                           "call login --header Authorization=x",
                           "call x --header api_key=1",
                           "call x --header apiKey=1",
                           "call x --header key=1",
                           "call x --header access-token=1",
                           "exec --name backup passphrase=x",
                           "exec curl --token abc",
                           "exec mysql --password abc",
                           "exec --shell 'PGPASSWORD=x psql'",
                           "exec --shell 'curl -H \"Authorization: Bearer x\" host'",
                           R"(call x --header 'login={"user":"a","secret":"b"}')",
                           "exec curl https://me:word@host/",
                           "call x --header 'auth = x'",
                           "call x --header pwd=x",
                           "call x --header cookie=x",
                           "exec curl -u me:word https://host/",
                           "exec curl --user me:word host",
                           "exec curl --proxy-user='me:word' host",
                           "exec curl -U 'me@home:word' host",
                           "exec curl -ume:word host",
                           "exec --shell 'curl -u \"me:word\" host'"}) {
    CAPTURE(line);
    CHECK(is_secret(line));
  }
}

TEST_CASE("lines that only speak of secrets are kept") {
  for (const char* line :
       {"get token.txt", "put passwords.kdbx safe/passwords.kdbx", "echo what is your password",
        "exec --name backup customer=acme level=3", "call x --header author=me", "ls secret",
        "exec curl https://host:8080/a@b", "exec sort -u a b:c", "exec date -u +%H:%M",
        "exec curl -u me https://host/", "exec tar -uf host:a b", "call x --header monkeys=3",
        "get -c a"}) {
    CAPTURE(line);
    CHECK_FALSE(is_secret(line));
  }
}
