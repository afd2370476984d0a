// SPDX-License-Identifier: MIT
#include "cleave/bin/client/completion.h"

#include <doctest/doctest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cleave/bin/client/columns.h"

using namespace cleave;
using namespace cleave::cli;

namespace {

using Words = std::vector<std::string>;

// A server that says what it is told to.
class SaidNames final : public ServerNames {
 public:
  std::vector<RemoteEntry> entries(const std::string& directory,
                                   const std::string& begin) override {
    asked.push_back(directory + "|" + begin);
    return said;
  }
  Ref<const Header> help() override {
    HeaderParser parser;
    auto header = parser.parse(help_text);
    return header ? *header : Ref<const Header>();
  }

  std::vector<RemoteEntry> said = {{.name = "zebra", .type = "file"},
                                   {.name = "albums", .type = "directory"},
                                   {.name = "alpha b", .type = "file"}};
  std::string help_text = R"({"commands":[
      {"cmd":"stat","summary":"tells","arguments":[{"name":"filename","type":"string"}]},
      {"cmd":"put","arguments":[{"name":"filename","type":"string","summary":"its name"},
                                {"name":"overwrite","type":"boolean"}]},
      {"cmd":"exec","arguments":[],"commands":[
        {"name":"backup","summary":"copies","arguments":[
          {"name":"customer","type":"string","one_of":["acme","b b"],"list":false},
          {"name":"days","type":"string","one_of":["mon"],"list":true},
          {"name":"level","type":"integer"}]}]}]})";
  std::vector<std::string> asked;
};

class Typing {
 public:
  Typing() : loop_(Loop::create().value()), session_(*loop_, Endpoint{}, console_) {
    leading_.prefix_command();
    leading_.add_option("-s,--server", server_url_)->type_name("URL");
    leading_.add_option("--form", form_)->check(CLI::IsMember({"long", "short"}));
  }
  // What could stand in place of the last word.
  std::vector<Candidate> candidates(Words words) {
    const std::string word = words.back();
    words.pop_back();
    return complete(leading_, words, word, session_, server);
  }
  Words operator()(Words words) {
    Words found;
    for (const Candidate& each : candidates(std::move(words))) found.push_back(each.word);
    return found;
  }

  SaidNames server;

 private:
  std::unique_ptr<Loop> loop_;
  Console console_;
  Session session_;
  std::string server_url_;
  std::string form_;
  CLI::App leading_;
};

bool contains(const Words& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

}  // namespace

TEST_CASE("commands are completed with what they do") {
  Typing typing;
  CHECK(typing({"ver"}) == Words{"verify"});
  CHECK(typing.candidates({"pin"}) ==
        std::vector<Candidate>{{"ping", "asks whether the server is there"}});
  CHECK(contains(typing({""}), "put"));
  CHECK(typing({"nothing"}).empty());
  CHECK(typing({"nothing", ""}).empty());
}

TEST_CASE("options are those that the command declares, and their values are no arguments") {
  Typing typing;
  CHECK(typing({"put", "--no-"}) == Words{"--no-overwrite", "--no-clobber"});
  CHECK(contains(typing({"put", "-"}), "-r"));
  CHECK_FALSE(contains(typing({"ls", "-"}), "-r"));
  CHECK(typing({"get", "--timeout", "3", "-P", "4", "-rc", "al"}) == Words{"albums/", "alpha b"});
  CHECK(typing({"get", "--timeout=3", "-P4", "z"}) == Words{"zebra"});
  CHECK(typing({"get", "--timeout", ""}).empty());
  CHECK(typing({"get", "--", "-"}).empty());
  CHECK(contains(typing({"-"}), "--server"));
  CHECK(typing({"--form", ""}) == Words{"long", "short"});
  CHECK(typing({"--form=s"}) == Words{"--form=short"});
  CHECK(typing({"-s", "tcp://127.0.0.1:1", "verif"}) == Words{"verify"});
}

TEST_CASE("words that are passed on are not ours to complete") {
  Typing typing;
  CHECK(typing({"exec", "ls", "--"}).empty());
  CHECK(typing({"echo", ""}).empty());
  CHECK(contains(typing({"exec", "--"}), "--shell"));
}

TEST_CASE("remote names are asked for in the directory that is typed") {
  Typing typing;
  CHECK(typing({"get", ""}) == Words{"albums/", "alpha b", "zebra"});
  CHECK(typing({"rm", "a/b/z"}) == Words{"a/b/zebra"});
  CHECK(typing.server.asked == Words{"|", "a/b|z"});
  CHECK(typing({"ls", ""}) == Words{"albums/"});
  CHECK(typing({"mv", "x", "al"}) == Words{"albums/", "alpha b"});
  CHECK(typing({"stat", "x", ""}).empty());
  typing.server.asked.clear();
  for (const char* name : {"/etc/", "../", "a//", "a/../b"}) CHECK(typing({"get", name}).empty());
  CHECK(typing.server.asked.empty());
}

TEST_CASE("names that a server sends are left out where they are no names or drive a terminal") {
  Typing typing;
  typing.server.said = {
      {.name = "a\x1b[31m", .type = "file"}, {.name = "a\xc2\x9b", .type = "file"},
      {.name = "../a", .type = "file"},      {.name = "a\xff", .type = "file"},
      {.name = "other", .type = "file"},     {.name = "a\nb", .type = "file"},
      {.name = "", .type = "directory"},     {.name = "agood", .type = "file"}};
  CHECK(typing({"get", "a"}) == Words{"agood"});
  typing.server.help_text =
      R"({"commands":[{"cmd":"x\u001b[1m"},{"cmd":"xgood","summary":"\u001b"}]})";
  CHECK(typing.candidates({"help", "x"}) == std::vector<Candidate>{{"xgood", "\\x1b"}});
}

TEST_CASE("what the server's help says is completed") {
  Typing typing;
  CHECK(typing({"help", ""}) == Words{"stat", "put", "exec"});
  CHECK(typing({"call", "st"}) == Words{"stat"});
  CHECK(typing({"call", "put", "--header", ""}) == Words{"filename=", "overwrite="});
  CHECK(typing({"call", "put", "--header=f"}) == Words{"--header=filename="});
  CHECK(typing({"call", "--header", "a=b", "put", "--header", "overwrite="}) ==
        Words{"overwrite=true", "overwrite=false"});
  CHECK(typing({"call", "--header", ""}).empty());
  CHECK(typing({"exec", "--name", ""}) == Words{"backup"});
  CHECK(typing({"exec", "--name=b"}) == Words{"--name=backup"});
  CHECK(typing({"exec", "--name", "backup", ""}) == Words{"customer=", "days=", "level="});
  CHECK(typing({"exec", "--name", "backup", "customer=b b", ""}) == Words{"days=", "level="});
  CHECK(typing({"exec", "--name", "backup", "customer="}) ==
        Words{"customer=acme", "customer=b b"});
  CHECK(typing({"exec", "--name", "backup", "days="}).empty());
  CHECK(typing({"exec", "--name", "other", ""}).empty());
}

TEST_CASE("a server that says nonsense is as good as none") {
  Typing typing;
  for (const char* text : {"", "[]", "{}", R"({"commands":1})", R"({"commands":[1,{"cmd":2}]})",
                           R"({"commands":[{"cmd":"exec","commands":{"a":{}}}]})"}) {
    typing.server.help_text = text;
    CHECK(typing({"call", "a"}).empty());
    CHECK(typing({"exec", "--name", ""}).empty());
    CHECK(typing({"exec", "--name", "a", ""}).empty());
  }
}

TEST_CASE(
    "names of local files are completed, and those that begin with a dot where one is typed") {
  std::string folder = "/tmp/cleave-test-XXXXXX";
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  std::filesystem::create_directory(folder + "/folder");
  for (const char* name : {"/file b", "/.hidden", "/evil\x1b"}) std::ofstream(folder + name) << "x";
  Typing typing;
  const std::string in = folder + "/";
  CHECK(typing({"put", in}) == Words{in + "file b", in + "folder/"});
  CHECK(typing({"put", in + "."}) == Words{in + ".hidden"});
  CHECK(typing({"get", "x", in + "fo"}) == Words{in + "folder/"});
  CHECK(typing({"call", "x", "--body", in + "fi"}) == Words{in + "file b"});
  CHECK(typing({"call", "x", "--body=" + in + "fi"}) == Words{"--body=" + in + "file b"});
  CHECK(typing({"-s", "unix:" + in + "fo"}) == Words{"unix:" + in + "folder/"});
  CHECK(typing({"-s", "u"}) == Words{"unix:", "udp://"});
  CHECK(typing({"put", "/no/such/"}).empty());
  std::filesystem::remove_all(folder);
}

TEST_CASE("what candidates have in common ends with a whole character") {
  CHECK(common_beginning({}).empty());
  CHECK(common_beginning({{"one"}}) == "one");
  CHECK(common_beginning({{"photo1"}, {"photo2"}, {"phone"}}) == "pho");
  CHECK(common_beginning({{"aé"}, {"aè"}}) == "a");
}

TEST_CASE("words are shown in columns that fit, read downwards") {
  CHECK(in_columns({"a", "bb", "ccc"}, 80, 9) == "a    bb   ccc\n");
  CHECK(in_columns({"a", "bb", "ccc"}, 13, 9) == "a    ccc\nbb\n");
  CHECK(in_columns({"a", "bb", "ccc"}, 3, 9) == "a\nbb\nccc\n");
  CHECK(in_columns({"a", "b", "c", "d"}, 1, 2) == "a\nb\n… and 2 more\n");
  CHECK(in_columns({}, 80, 9) == "");
}
