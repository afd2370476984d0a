// SPDX-License-Identifier: MIT
#include "cleave/core/endpoint.h"

#include <doctest/doctest.h>

#include <string>

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
  for (const char* url : {"tcp://0.0.0.0:1?wire=frame", "tcp://[::]:65535?wire=frame",
                          "tcp://[2001:db8::17]:443?wire=frame"}) {
    CHECK(Endpoint::parse(url).value().url() == url);
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

TEST_CASE("what the design has and this version has not is refused as such") {
  for (const char* url : {"udp://127.0.0.1:80", "unix:/run/cleave", "tcp://127.0.0.1:80?wire=raw",
                          "tcp://127.0.0.1:80?wire=header"}) {
    CHECK(says(refusal(url), "not built yet"));
  }
}

TEST_CASE("options are NAME=VALUE, and only the known ones") {
  CHECK(Endpoint::parse("tcp://127.0.0.1:80?").value().wire == cleave::Wire::frame);
  CHECK(says(refusal("tcp://127.0.0.1:80?wire"), "NAME=VALUE"));
  CHECK(says(refusal("tcp://127.0.0.1:80?wire=frame&x"), "NAME=VALUE"));
  CHECK(says(refusal("tcp://127.0.0.1:80?wire="), "expected the wire frame"));
  CHECK(says(refusal("tcp://127.0.0.1:80?wire=Frame"), "expected the wire frame"));
  CHECK(says(refusal("tcp://127.0.0.1:80?color=red"), "expected the option wire"));
  CHECK(says(refusal("tcp://127.0.0.1:80?cmd=upper"), "cmd"));
  CHECK(says(refusal("tcp://127.0.0.1:80/path"), "expected a port"));
}
