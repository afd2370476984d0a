// SPDX-License-Identifier: MIT
#include "cleave/core/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <span>

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

template <typename Number>
std::optional<Number> number_from(std::string_view digits, int base = 10) {
  Number number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, number, base);
  if (digits.empty() || error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

// ---- Options ------------------------------------------------------------------------------------

using Transport = Endpoint::Transport;

// Which transports have an option.
constexpr unsigned bit(Transport transport) {
  return 1U << static_cast<unsigned>(transport);
}
constexpr unsigned kTcp = bit(Transport::tcp);
constexpr unsigned kUdp = bit(Transport::udp);
constexpr unsigned kLocal = bit(Transport::local);
// Of these it is not known yet whether they are for TCP; what whoever made them has decided already
// cannot be said of them.
constexpr unsigned kInherited = bit(Transport::inherited);

struct Switch {
  std::string_view name;
  bool SocketOptions::*field;
  unsigned transports;
};
constexpr std::array kSwitches = {
    Switch{"reuse_address", &SocketOptions::reuse_address, kTcp},
    Switch{"reuse_port", &SocketOptions::reuse_port, kTcp | kUdp},
    Switch{"no_delay", &SocketOptions::no_delay, kTcp | kInherited},
    Switch{"keep_alive", &SocketOptions::keep_alive, kTcp | kInherited},
    Switch{"dual_stack", &SocketOptions::dual_stack, kTcp | kUdp},
};

struct Count {
  std::string_view name;
  std::uint32_t SocketOptions::*field;
  std::uint32_t min;
  std::uint32_t max;
  unsigned transports;
};
constexpr std::array kCounts = {
    Count{"backlog", &SocketOptions::backlog, 1, 65'535, kTcp | kLocal},
    Count{"packet_bytes", &SocketOptions::packet_bytes, 64, 262'144, kTcp | kLocal | kInherited},
};

struct BufferSize {
  std::string_view name;
  std::optional<std::uint32_t> SocketOptions::*field;
};
constexpr std::array kBuffers = {
    BufferSize{"receive_buffer", &SocketOptions::receive_buffer},
    BufferSize{"send_buffer", &SocketOptions::send_buffer},
};
constexpr std::uint32_t kBufferMin = 1'024;
constexpr std::uint32_t kBufferMax = 1'073'741'824;

// The sentence for an option that cannot be had; empty if it was taken.
using Refusal = std::optional<std::string>;

std::string expected_number(std::string_view name, std::uint32_t min, std::uint32_t max,
                            std::string_view value) {
  return "expected " + std::string(name) + " from " + std::to_string(min) + " to " +
         std::to_string(max) + ", got '" + std::string(value) + "'";
}

std::optional<std::uint32_t> number_within(std::string_view value, std::uint32_t min,
                                           std::uint32_t max) {
  const auto number = number_from<std::uint32_t>(value);
  if (!number || *number < min || *number > max) return std::nullopt;
  return number;
}

template <typename Option>
const Option* find(std::span<const Option> options, std::string_view name) {
  for (const Option& option : options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

Refusal set_mode(SocketOptions& options, std::string_view value) {
  const auto mode = number_from<std::uint32_t>(value, 8);
  if (!mode || *mode > 0777) {
    return "expected mode as three octal digits, as in 0660, got '" + std::string(value) + "'";
  }
  options.mode = *mode;
  return std::nullopt;
}

Refusal set_option(Endpoint& endpoint, std::string_view name, std::string_view value) {
  SocketOptions& options = endpoint.options;
  const auto misplaced = [&](unsigned transports) {
    return (transports & bit(endpoint.transport)) == 0
               ? Refusal("the option " + std::string(name) + " is not one of this kind of socket")
               : std::nullopt;
  };
  if (name == "wire") {
    const auto wire = wire_from(value);
    if (!wire) {
      return "expected the wire frame, raw, ready, prefix or header, got '" + std::string(value) +
             "'";
    }
    endpoint.wire = *wire;
    return std::nullopt;
  }
  if (name == "cmd") {
    if (value.empty() || value.size() > 64) return "expected the cmd to have 1 to 64 bytes";
    endpoint.cmd = value;
    return std::nullopt;
  }
  if (name == "mode") {
    if (auto refusal = misplaced(kLocal)) return refusal;
    return set_mode(options, value);
  }
  if (const auto* option = find<Switch>(kSwitches, name)) {
    if (auto refusal = misplaced(option->transports)) return refusal;
    if (value != "on" && value != "off") {
      return "expected " + std::string(name) + "=on or off, got '" + std::string(value) + "'";
    }
    options.*(option->field) = value == "on";
    return std::nullopt;
  }
  if (const auto* option = find<Count>(kCounts, name)) {
    if (auto refusal = misplaced(option->transports)) return refusal;
    const auto number = number_within(value, option->min, option->max);
    if (!number) return expected_number(name, option->min, option->max, value);
    options.*(option->field) = *number;
    return std::nullopt;
  }
  if (const auto* option = find<BufferSize>(kBuffers, name)) {
    const auto number = number_within(value, kBufferMin, kBufferMax);
    if (!number) return expected_number(name, kBufferMin, kBufferMax, value);
    options.*(option->field) = *number;
    return std::nullopt;
  }
  return "there is no option '" + std::string(name) +
         "'; core/README.md lists them, the first is wire";
}

// What holds between options.
Refusal contradiction(const Endpoint& endpoint) {
  if (endpoint.wire == Wire::frame && !endpoint.cmd.empty()) {
    return "the option cmd belongs to the wires raw, ready, prefix and header; on the wire frame "
           "each message names its own";
  }
  if (endpoint.wire == Wire::frame &&
      endpoint.options.packet_bytes != SocketOptions().packet_bytes) {
    return "the option packet_bytes belongs to the wires raw, ready, prefix and header";
  }
  if (endpoint.is_datagram() && endpoint.wire != Wire::frame && endpoint.wire != Wire::raw) {
    return "a datagram carries the wire frame or raw, and not " +
           std::string(to_string(endpoint.wire));
  }
  if (endpoint.options.dual_stack && endpoint.host.find(':') == std::string::npos) {
    return "dual_stack is for IPv6 addresses, as [::]";
  }
  return std::nullopt;
}

Refusal read_options(std::string_view options, Endpoint& endpoint) {
  while (!options.empty()) {
    std::string_view value = options;
    if (const auto option = take_until(options, '&')) {
      value = *option;
    } else {
      options = {};
    }
    const std::optional<std::string_view> name = take_until(value, '=');
    if (!name) return "expected NAME=VALUE behind the '?'";
    if (auto refusal = set_option(endpoint, *name, value)) return refusal;
  }
  return contradiction(endpoint);
}

std::string options_text(const Endpoint& endpoint) {
  const SocketOptions usual;
  std::string text = "?wire=" + std::string(to_string(endpoint.wire));
  const auto add = [&text](std::string_view name, std::string_view value) {
    text.append("&").append(name).append("=").append(value);
  };
  if (!endpoint.cmd.empty()) add("cmd", endpoint.cmd);
  const SocketOptions& options = endpoint.options;
  for (const Switch& option : kSwitches) {
    const bool on = options.*(option.field);
    if (on != usual.*(option.field)) add(option.name, on ? "on" : "off");
  }
  for (const Count& option : kCounts) {
    const std::uint32_t number = options.*(option.field);
    if (number != usual.*(option.field)) add(option.name, std::to_string(number));
  }
  for (const BufferSize& option : kBuffers) {
    if (const auto& number = options.*(option.field)) add(option.name, std::to_string(*number));
  }
  if (options.mode != usual.mode) {
    std::array<char, 8> octal = {};
    (void)std::snprintf(octal.data(), octal.size(), "%04o", options.mode & 0777U);
    add("mode", octal.data());
  }
  return text;
}

// ---- Addresses ----------------------------------------------------------------------------------

Refusal read_host_and_port(std::string_view rest, Endpoint& endpoint) {
  std::optional<std::string> host;
  if (rest.starts_with('[')) {
    rest.remove_prefix(1);
    const std::optional<std::string_view> inner = take_until(rest, ']');
    if (!inner) return "expected a ']' behind the IPv6 address";
    host = canonical<AF_INET6, in6_addr>(std::string(*inner));
    if (!host) return "expected an IPv6 address in brackets, got '" + std::string(*inner) + "'";
    if (!rest.starts_with(':')) return "expected ':' and a port behind the ']'";
    rest.remove_prefix(1);
  } else {
    if (rest.find(':') != rest.rfind(':')) {
      return "expected an IPv6 address to stand in brackets, as in tcp://[::1]:8080";
    }
    const std::optional<std::string_view> name = take_until(rest, ':');
    if (!name) return "expected a port behind the host, as in tcp://127.0.0.1:8080";
    host = canonical<AF_INET, in_addr>(*name == "localhost" ? "127.0.0.1" : std::string(*name));
    if (!host) {
      return "expected a numeric address or localhost, got '" + std::string(*name) +
             "'; names are not looked up (getent hosts NAME does that)";
    }
  }
  const auto port = number_from<std::uint16_t>(rest);
  if (!port) return "expected a port from 0 to 65535, got '" + std::string(rest) + "'";
  endpoint.host = *std::move(host);
  endpoint.port = *port;
  return std::nullopt;
}

// A path or a name with its %3F and the like.
std::optional<std::string> unescaped(std::string_view text) {
  std::string path;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      path += text[i];
      continue;
    }
    const auto byte = number_from<std::uint8_t>(text.substr(i + 1, 2), 16);
    if (!byte || i + 2 >= text.size()) return std::nullopt;
    path += static_cast<char>(*byte);
    i += 2;
  }
  return path;
}

// What would end a path or a word of a line becomes %XX, so that a URL is one word.
std::string escaped(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '?' || c == '%' || byte <= ' ' || byte == 0x7f) {
      text.append({'%', kDigits[byte / 16], kDigits[byte % 16]});
    } else {
      text += c;
    }
  }
  return text;
}

Refusal read_path(std::string_view rest, Endpoint& endpoint) {
  constexpr std::size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  const std::optional<std::string> path = unescaped(rest);
  if (!path) return "expected two hexadecimal digits behind each '%' of the path";
  if (path->empty() || path->find('\0') != std::string::npos) {
    return "expected the path of a socket, as in unix:/run/cleave.sock";
  }
  if (path->size() > kLongest) {
    return "the path has " + std::to_string(path->size()) + " bytes, and the system takes " +
           std::to_string(kLongest);
  }
  endpoint.path = *path;
  return std::nullopt;
}

Refusal read_name(std::string_view rest, Endpoint& endpoint) {
  const std::optional<std::string> name = unescaped(rest);
  if (!name || name->empty() || name->find('\0') != std::string::npos) {
    return "expected the name or the number of an inherited socket, as in fd:3";
  }
  endpoint.path = *name;
  return std::nullopt;
}

struct Scheme {
  std::string_view prefix;
  Transport transport;
  Refusal (*read)(std::string_view rest, Endpoint& endpoint);
};
constexpr std::array kSchemes = {
    Scheme{"tcp://", Transport::tcp, read_host_and_port},
    Scheme{"udp://", Transport::udp, read_host_and_port},
    Scheme{"unix:", Transport::local, read_path},
    Scheme{"fd:", Transport::inherited, read_name},
};

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view url) {
  for (const Scheme& scheme : kSchemes) {
    if (!url.starts_with(scheme.prefix)) continue;
    const std::size_t question = url.find('?');
    Endpoint endpoint;
    endpoint.transport = scheme.transport;
    Refusal refusal =
        scheme.read(url.substr(scheme.prefix.size(), question - scheme.prefix.size()), endpoint);
    if (!refusal && question != std::string_view::npos) {
      refusal = read_options(url.substr(question + 1), endpoint);
    }
    if (refusal) return refuse(url, *refusal);
    return endpoint;
  }
  return refuse(url,
                "expected tcp://HOST:PORT, udp://HOST:PORT, unix:PATH or fd:NAME, for example "
                "tcp://127.0.0.1:8080");
}

std::string Endpoint::url() const {
  const Scheme& scheme = kSchemes[static_cast<std::size_t>(transport)];
  std::string text(scheme.prefix);
  if (transport == Transport::tcp || transport == Transport::udp) {
    const bool v6 = host.find(':') != std::string::npos;
    text.append(v6 ? "[" + host + "]" : host).append(":").append(std::to_string(port));
  } else {
    text += escaped(path);
  }
  return text + options_text(*this);
}

bool Endpoint::is_loopback() const noexcept {
  if (transport == Transport::local) return true;
  in_addr v4 = {};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6 = {};
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace v0
}  // namespace cleave
