// SPDX-License-Identifier: MIT
#include "cleave/core/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <charconv>
#include <optional>

namespace cleave {
inline namespace v0 {
namespace {

tl::unexpected<Error> refuse(std::string_view url, const std::string& reason) {
  return fail(Errc::invalid_argument, "'" + std::string(url) + "': " + reason);
}

// The part of `rest` before `mark`, which is taken from it together with the mark.
std::optional<std::string_view> take_until(std::string_view& rest, char mark) {
  const std::size_t at = rest.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view part = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return part;
}

// An address in the spelling of the system, so that one address has one URL; empty if it is none.
template <int family, typename Address>
std::optional<std::string> canonical(const std::string& host) {
  // The system's call stops at a NUL; what stands behind one must not pass unseen.
  if (host.find('\0') != std::string::npos) return std::nullopt;
  Address address = {};
  if (::inet_pton(family, host.c_str(), &address) != 1) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> text = {};
  return ::inet_ntop(family, &address, text.data(), text.size());
}

std::optional<std::uint16_t> port_from(std::string_view digits) {
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, port);
  if (digits.empty() || error != std::errc() || stopped != end) return std::nullopt;
  return port;
}

// The sentence for an option that cannot be served; empty if it can.
std::optional<std::string> unusable(std::string_view name, std::string_view value) {
  if (name == "cmd") {
    return "the option cmd belongs to the wires raw, ready, prefix and header; on the wire frame "
           "each message names its own";
  }
  if (name != "wire") {
    return "expected the option wire behind the '?', got '" + std::string(name) + "'";
  }
  if (value == "frame") return std::nullopt;
  for (const std::string_view known : {"raw", "ready", "prefix", "header"}) {
    if (value == known) {
      return "the wire " + std::string(value) + " is not built yet; this version has frame";
    }
  }
  return "expected the wire frame, got '" + std::string(value) + "'";
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view url) {
  constexpr std::string_view kScheme = "tcp://";
  if (url.starts_with("udp://") || url.starts_with("unix:")) {
    return refuse(url,
                  "udp and unix endpoints are not built yet; this version has tcp://HOST:PORT");
  }
  if (!url.starts_with(kScheme)) {
    return refuse(url, "expected tcp://HOST:PORT, for example tcp://127.0.0.1:8080");
  }
  const std::size_t question = url.find('?');
  std::string_view rest = url.substr(kScheme.size(), question - kScheme.size());

  Endpoint endpoint;
  std::optional<std::string> host;
  if (rest.starts_with('[')) {
    rest.remove_prefix(1);
    const std::optional<std::string_view> inner = take_until(rest, ']');
    if (!inner) return refuse(url, "expected a ']' behind the IPv6 address");
    host = canonical<AF_INET6, in6_addr>(std::string(*inner));
    if (!host) {
      return refuse(url, "expected an IPv6 address in brackets, got '" + std::string(*inner) + "'");
    }
    if (!rest.starts_with(':')) return refuse(url, "expected ':' and a port behind the ']'");
    rest.remove_prefix(1);
  } else {
    if (rest.find(':') != rest.rfind(':')) {
      return refuse(url, "expected an IPv6 address to stand in brackets, as in tcp://[::1]:8080");
    }
    const std::optional<std::string_view> name = take_until(rest, ':');
    if (!name) return refuse(url, "expected a port behind the host, as in tcp://127.0.0.1:8080");
    host = canonical<AF_INET, in_addr>(*name == "localhost" ? "127.0.0.1" : std::string(*name));
    if (!host) {
      return refuse(url,
                    "expected a numeric address or localhost, got '" + std::string(*name) + "'");
    }
  }
  const std::optional<std::uint16_t> port = port_from(rest);
  if (!port) return refuse(url, "expected a port from 0 to 65535, got '" + std::string(rest) + "'");
  endpoint.host = *std::move(host);
  endpoint.port = *port;

  if (question == std::string_view::npos) return endpoint;
  for (std::string_view options = url.substr(question + 1); !options.empty();) {
    std::string_view value = options;
    if (const auto option = take_until(options, '&')) {
      value = *option;
    } else {
      options = {};
    }
    const std::optional<std::string_view> name = take_until(value, '=');
    if (!name) return refuse(url, "expected NAME=VALUE behind the '?'");
    if (auto reason = unusable(*name, value)) return refuse(url, *reason);
    endpoint.wire = value;
  }
  return endpoint;
}

std::string Endpoint::url() const {
  const bool v6 = host.find(':') != std::string::npos;
  return "tcp://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port) + "?wire=" + wire;
}

bool Endpoint::is_loopback() const noexcept {
  in_addr v4 = {};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6 = {};
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace v0
}  // namespace cleave
