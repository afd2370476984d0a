// SPDX-License-Identifier: MIT
#include "cleave/core/endpoint.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

using cleave::Endpoint;
using cleave::Errc;

namespace {

std::string refusal(std::string_view url) {
  const auto endpoint = Endpoint::parse(url);
  REQUIRE_FALSE(endpoint.has_value());
  CHECK(endpoint.error().code == Errc::invalid_argument);
  // Whoever reads the sentence sees which of several URLs it is about.
  CHECK(endpoint.error().message.starts_with("'" + std::string(url) + "': "));
  return endpoint.error().message;
}
bool says(const std::string& sentence, std::string_view part) {
  return sentence.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("an IPv4 endpoint is read and written") {
  const auto endpoint = Endpoint::parse("tcp://127.0.0.1:8080");
  REQUIRE(endpoint);
  CHECK(endpoint->host == "127.0.0.1");
  CHECK(endpoint->port == 8080);
  CHECK(endpoint->wire == cleave::Wire::frame);
  CHECK(endpoint->url() == "tcp://127.0.0.1:8080?wire=frame");
}

TEST_CASE("an IPv6 endpoint keeps its brackets in the URL and loses them in the host") {
  const auto endpoint = Endpoint::parse("tcp://[::1]:0?wire=frame");
  REQUIRE(endpoint);
  CHECK(endpoint->host == "::1");
  CHECK(endpoint->port == 0);
  CHECK(endpoint->url() == "tcp://[::1]:0?wire=frame");
}

TEST_CASE("what url() writes, parse() reads") {
  for (const char* url : {
           "tcp://0.0.0.0:1?wire=frame",
           "tcp://[::]:65535?wire=frame",
           "tcp://[2001:db8::17]:443?wire=frame",
           "udp://127.0.0.1:9000?wire=raw&cmd=upper",
           "udp://[::1]:0?wire=frame&reuse_port=on&receive_buffer=65536&send_buffer=1024",
           "tcp://127.0.0.1:0?wire=ready&cmd=exec&reuse_address=off&reuse_port=on&no_delay=off"
           "&keep_alive=off&backlog=1&packet_bytes=1024&receive_buffer=4096&send_buffer=8192",
           "tcp://[::]:0?wire=frame&dual_stack=on",
           "unix:/run/cleave.sock?wire=frame",
           "unix:a/relative/path?wire=header&cmd=exec&backlog=64&packet_bytes=64&mode=0660",
           "unix:/a%20path/with%25/%3F/and%0A/\xc3\xa9?wire=prefix&cmd=upper&mode=0000",
           "fd:3?wire=frame",
           "fd:web%3F?wire=raw&cmd=upper&no_delay=off&keep_alive=off&packet_bytes=1024"
           "&receive_buffer=4096&send_buffer=4096",
       }) {
    const auto endpoint = Endpoint::parse(url);
    REQUIRE_MESSAGE(endpoint.has_value(), endpoint.error().message);
    CHECK(endpoint->url() == url);
  }
}

TEST_CASE("a UDP endpoint is written as a TCP one is") {
  const auto endpoint = Endpoint::parse("udp://[::1]:9000?wire=raw&cmd=upper");
  REQUIRE(endpoint);
  CHECK(endpoint->transport == Endpoint::Transport::udp);
  CHECK(endpoint->is_datagram());
  CHECK(endpoint->host == "::1");
  CHECK(endpoint->port == 9000);
  CHECK(endpoint->wire == cleave::Wire::raw);
  CHECK(endpoint->cmd == "upper");
  CHECK(says(refusal("udp://127.0.0.1"), "expected a port behind the host"));
  CHECK(says(refusal("udp://nowhere:1"), "expected a numeric address or localhost"));
}

TEST_CASE("a path is everything up to the '?', with its escapes") {
  const auto path = [](const std::string& url) { return Endpoint::parse(url).value().path; };
  CHECK(Endpoint::parse("unix:/s").value().transport == Endpoint::Transport::local);
  CHECK_FALSE(Endpoint::parse("unix:/s").value().is_datagram());
  CHECK(path("unix:/run/cleave.sock?wire=frame") == "/run/cleave.sock");
  CHECK(path("unix:beside") == "beside");
  CHECK(path("unix://run/s") == "//run/s");
  CHECK(path("unix:/a b&c=d:e") == "/a b&c=d:e");
  CHECK(path("unix:/what%3f%3F%25%41") == "/what??%A");
  for (const char* url : {"unix:/%", "unix:/%4", "unix:/%4g", "unix:/%+4", "unix:/% 4"}) {
    CHECK(says(refusal(url), "two hexadecimal digits behind each '%'"));
  }
  CHECK(says(refusal("unix:"), "expected the path of a socket"));
  CHECK(says(refusal("unix:?wire=frame"), "expected the path of a socket"));
  CHECK(says(refusal("unix:/a%00b"), "expected the path of a socket"));
}

TEST_CASE("a URL is one word, whatever stands in its path") {
  Endpoint endpoint;
  endpoint.transport = Endpoint::Transport::local;
  for (int byte = 1; byte < 256; ++byte) endpoint.path += static_cast<char>(byte);
  const std::string url = endpoint.url();
  for (const char c : url) CHECK((static_cast<unsigned char>(c) > ' ' && c != 0x7f));
}

TEST_CASE("a path is refused when it is longer than the system takes, and counted unescaped") {
  const std::string longest = "unix:/" + std::string(106, 'x');
  CHECK(Endpoint::parse(longest).value().path.size() == 107);
  CHECK(says(refusal(longest + "x"), "the path has 108 bytes, and the system takes 107"));
  std::string escapes = "unix:";
  for (int i = 0; i < 107; ++i) escapes += "%3F";
  CHECK(Endpoint::parse(escapes).value().path == std::string(107, '?'));
  CHECK(says(refusal(escapes + "%3F"), "the path has 108 bytes"));
}

TEST_CASE("an inherited socket has a name or a number") {
  const auto endpoint = Endpoint::parse("fd:cleaved.socket?wire=raw&cmd=upper");
  REQUIRE(endpoint);
  CHECK(endpoint->transport == Endpoint::Transport::inherited);
  CHECK(endpoint->path == "cleaved.socket");
  CHECK(endpoint->wire == cleave::Wire::raw);
  CHECK(Endpoint::parse("fd:3").value().path == "3");
  CHECK(Endpoint::parse("fd:a%3Fb").value().path == "a?b");
  for (const char* url : {"fd:", "fd:?wire=frame", "fd:%00", "fd:%x"}) {
    CHECK(says(refusal(url), "expected the name or the number of an inherited socket"));
  }
}

TEST_CASE("one address has one spelling") {
  CHECK(Endpoint::parse("tcp://localhost:80").value().host == "127.0.0.1");
  CHECK(Endpoint::parse("tcp://[0:0:0:0:0:0:0:1]:80").value().host == "::1");
  CHECK(Endpoint::parse("tcp://[2001:DB8::A]:80").value().host == "2001:db8::a");
}

TEST_CASE("loopback is 127.0.0.0/8 and ::1, and nothing else") {
  const auto loopback = [](const char* url) { return Endpoint::parse(url).value().is_loopback(); };
  CHECK(loopback("tcp://127.0.0.1:1"));
  CHECK(loopback("tcp://127.255.255.254:1"));
  CHECK(loopback("tcp://localhost:1"));
  CHECK(loopback("tcp://[::1]:1"));
  CHECK_FALSE(loopback("tcp://0.0.0.0:1"));
  CHECK_FALSE(loopback("tcp://128.0.0.1:1"));
  CHECK_FALSE(loopback("tcp://[::]:1"));
  CHECK_FALSE(loopback("tcp://[::ffff:10.0.0.1]:1"));
  CHECK(loopback("udp://127.0.0.1:1"));
  CHECK_FALSE(loopback("udp://[::]:1"));
  CHECK(loopback("unix:/s"));
  CHECK_FALSE(loopback("fd:3"));
}

TEST_CASE("a port is a decimal number from 0 to 65535") {
  CHECK(Endpoint::parse("tcp://127.0.0.1:65535").value().port == 65535);
  for (const char* url :
       {"tcp://127.0.0.1:65536", "tcp://127.0.0.1:", "tcp://127.0.0.1:-1", "tcp://127.0.0.1:+1",
        "tcp://127.0.0.1: 1", "tcp://127.0.0.1:80x", "tcp://127.0.0.1:0x50", "tcp://[::1]:65536"}) {
    CHECK(says(refusal(url), "expected a port from 0 to 65535"));
  }
  CHECK(says(refusal("tcp://127.0.0.1"), "expected a port behind the host"));
  CHECK(says(refusal("tcp://[::1]"), "expected ':' and a port"));
  CHECK(says(refusal("tcp://[::1]8080"), "expected ':' and a port"));
}

TEST_CASE("a host is a numeric address or localhost") {
  for (const char* url : {"tcp://example.org:80", "tcp://:80", "tcp://127.0.0:80", "tcp://*:80",
                          "tcp://256.0.0.1:80", "tcp://127.0.0.1\n:80"}) {
    CHECK(says(refusal(url), "expected a numeric address or localhost"));
  }
  CHECK(says(refusal("tcp://::1:80"), "brackets"));
  CHECK(says(refusal("tcp://[::1:80"), "']'"));
  CHECK(says(refusal("tcp://[127.0.0.1]:80"), "expected an IPv6 address in brackets"));
  CHECK(says(refusal("tcp://[fe80::1%eth0]:80"), "expected an IPv6 address in brackets"));
}

TEST_CASE("a byte behind a NUL does not make an address") {
  using namespace std::string_view_literals;
  refusal("tcp://127.0.0.1\0.example:80"sv);
  refusal("tcp://[::1\0x]:80"sv);
}

TEST_CASE("a URL of another scheme is refused with what was expected") {
  for (const char* url : {"", "127.0.0.1:8080", "http://127.0.0.1:8080", "TCP://127.0.0.1:80"}) {
    CHECK(says(refusal(url), "expected tcp://HOST:PORT"));
  }
}

TEST_CASE("a wire is one of five, and all but frame may name a command") {
  const auto parsed = [](std::string_view options) {
    return Endpoint::parse("tcp://127.0.0.1:80?" + std::string(options)).value();
  };
  CHECK(parsed("wire=frame").wire == cleave::Wire::frame);
  CHECK(parsed("wire=raw&cmd=upper").wire == cleave::Wire::raw);
  CHECK(parsed("wire=ready&cmd=exec").wire == cleave::Wire::ready);
  CHECK(parsed("wire=prefix&cmd=exec").wire == cleave::Wire::prefix);
  CHECK(parsed("wire=header&cmd=exec").wire == cleave::Wire::header);
  // The order does not matter, and whether there has to be a command is for whoever serves.
  CHECK(parsed("cmd=upper&wire=raw").cmd == "upper");
  CHECK(parsed("wire=raw").cmd.empty());
  CHECK(parsed("wire=raw&cmd=" + std::string(64, 'x')).cmd.size() == 64);
  for (const std::string& cmd : {std::string(), std::string(65, 'x')}) {
    CHECK(says(refusal("tcp://127.0.0.1:80?wire=raw&cmd=" + cmd), "1 to 64 bytes"));
  }
  CHECK(says(refusal("tcp://127.0.0.1:80?cmd=upper"), "on the wire frame each message names its"));
  for (const char* wire : {"ready", "prefix", "header"}) {
    CHECK(says(refusal("udp://127.0.0.1:80?wire=" + std::string(wire) + "&cmd=upper"),
               "a datagram carries the wire frame or raw, and not " + std::string(wire)));
  }
}

namespace {

// An option of every transport that has it; elsewhere it is refused as misplaced.
void has(std::string_view option, std::string_view transports) {
  const std::string text(option);
  for (const auto& [letter, url] : {std::pair{'t', "tcp://[::]:80?"},
                                    {'u', "udp://[::]:80?"},
                                    {'l', "unix:/s?"},
                                    {'f', "fd:3?"}}) {
    const std::string whole = url + text;
    CAPTURE(whole);
    if (transports.find(letter) != std::string_view::npos) {
      CHECK(Endpoint::parse(whole).has_value());
    } else {
      CHECK(says(refusal(whole),
                 "the option " + text.substr(0, text.find('=')) + " is not one of this kind"));
    }
  }
}

// A number from `min` to `max`, put where `field` says.
template <typename Field>
void is_number(const std::string& name, std::uint32_t min, std::uint32_t max, Field field) {
  const std::string url = "tcp://127.0.0.1:80?wire=raw&" + name + "=";
  const std::string range =
      "expected " + name + " from " + std::to_string(min) + " to " + std::to_string(max);
  for (const std::uint32_t value : {min, max}) {
    CHECK(Endpoint::parse(url + std::to_string(value)).value().options.*field == value);
  }
  for (const std::string& value : {std::to_string(min - 1), std::to_string(max + 1),
                                   std::string("4294967297"), std::string("-1"), std::string("+1"),
                                   std::string(), std::string("1x"), std::string("on")}) {
    CHECK(says(refusal(url + value), range + ", got '" + value + "'"));
  }
}

void is_switch(const std::string& name, bool usual, bool cleave::SocketOptions::*field) {
  const std::string url = "tcp://[::]:80?" + name + "=";
  CHECK(Endpoint::parse("tcp://[::]:80").value().options.*field == usual);
  CHECK(Endpoint::parse(url + "on").value().options.*field);
  CHECK_FALSE(Endpoint::parse(url + "off").value().options.*field);
  for (const std::string value : {"", "yes", "1", "ON"}) {
    CHECK(says(refusal(url + value), "expected " + name + "=on or off, got '" + value + "'"));
  }
}

}  // namespace

TEST_CASE("every option has its transports") {
  has("reuse_address=off", "t");
  has("reuse_port=on", "tu");
  has("no_delay=off", "tf");
  has("keep_alive=off", "tf");
  has("dual_stack=on", "tu");
  has("backlog=5", "tl");
  has("packet_bytes=500&wire=raw", "tlf");
  has("receive_buffer=5000", "tulf");
  has("send_buffer=5000", "tulf");
  has("mode=0660", "l");
}

TEST_CASE("every option has its values") {
  using Options = cleave::SocketOptions;
  is_switch("reuse_address", true, &Options::reuse_address);
  is_switch("reuse_port", false, &Options::reuse_port);
  is_switch("no_delay", true, &Options::no_delay);
  is_switch("keep_alive", true, &Options::keep_alive);
  is_switch("dual_stack", false, &Options::dual_stack);
  is_number("backlog", 1, 65'535, &Options::backlog);
  is_number("packet_bytes", 64, 262'144, &Options::packet_bytes);
  is_number("receive_buffer", 1'024, 1'073'741'824, &Options::receive_buffer);
  is_number("send_buffer", 1'024, 1'073'741'824, &Options::send_buffer);
  CHECK(Endpoint::parse("unix:/s").value().options.mode == 0600);
  CHECK(Endpoint::parse("unix:/s?mode=0777").value().options.mode == 0777);
  CHECK(Endpoint::parse("unix:/s?mode=660").value().options.mode == 0660);
  CHECK(Endpoint::parse("unix:/s?mode=0").value().options.mode == 0);
  for (const std::string mode : {"", "1777", "0668", "-1", "rw", "0o660"}) {
    CHECK(says(refusal("unix:/s?mode=" + mode), "expected mode as three octal digits"));
  }
  CHECK(Endpoint::parse("tcp://[::]:1?backlog=5&backlog=6").value().options.backlog == 6);
}

TEST_CASE("packet_bytes is for wires without frames") {
  CHECK(says(refusal("tcp://127.0.0.1:80?packet_bytes=100"), "the option packet_bytes belongs to"));
}

TEST_CASE("dual_stack is for IPv6 addresses") {
  CHECK(says(refusal("tcp://0.0.0.0:80?dual_stack=on"), "dual_stack is for IPv6"));
  CHECK(says(refusal("udp://127.0.0.1:80?dual_stack=on"), "dual_stack is for IPv6"));
}

TEST_CASE("options are NAME=VALUE, and only the known ones") {
  CHECK(Endpoint::parse("tcp://127.0.0.1:80?").value().wire == cleave::Wire::frame);
  CHECK(says(refusal("tcp://127.0.0.1:80?wire"), "NAME=VALUE"));
  CHECK(says(refusal("tcp://127.0.0.1:80?wire=frame&x"), "NAME=VALUE"));
  CHECK(says(refusal("tcp://127.0.0.1:80?wire="), "expected the wire frame"));
  CHECK(says(refusal("tcp://127.0.0.1:80?wire=Frame"), "expected the wire frame"));
  CHECK(says(refusal("tcp://127.0.0.1:80?color=red"), "there is no option 'color'"));
  CHECK(says(refusal("tcp://127.0.0.1:80?cmd=upper"), "cmd"));
  CHECK(says(refusal("tcp://127.0.0.1:80/path"), "expected a port"));
}
