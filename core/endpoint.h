// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"
#include "cleave/protocol/wire.h"

namespace cleave {
inline namespace v0 {

// What a socket is made with. Each is an option of the same name in a URL; switches are `on` or
// `off`. Those that a transport does not have are refused there. An inherited socket was made by
// somebody else: of it can be said what can be set afterwards, no_delay, keep_alive, the buffers
// and packet_bytes.
struct SocketOptions {
  // Connections that the kernel completes before they are accepted; 1 to 65,535. More than a burst
  // of clients only hides that a server is too slow. (tcp, unix)
  std::uint32_t backlog = 511;
  // A restarted server need not wait for the last one's connections to be forgotten. (tcp)
  bool reuse_address = true;
  // Several processes listen on one port, and the kernel spreads connections or datagrams over
  // them. Where the system has no such thing, listening fails. (tcp, udp)
  bool reuse_port = false;
  // Replies leave in one write each turn already; waiting for more would only add a delay. (tcp)
  bool no_delay = true;
  // A peer without power says nothing more: noticed after about two minutes of silence. (tcp)
  bool keep_alive = true;
  // An IPv6 listener takes IPv4 as well. (tcp, udp, on IPv6)
  bool dual_stack = false;
  // SO_RCVBUF and SO_SNDBUF in bytes, 1,024 to 1 GiB, of which the system takes as much as it is
  // set to (net.core.rmem_max); empty: as the system has them, which for tcp then adapts them by
  // itself. (all)
  std::optional<std::uint32_t> receive_buffer = {};
  std::optional<std::uint32_t> send_buffer = {};
  // Who may connect, as chmod(1) takes it. (unix)
  std::uint32_t mode = 0600;
  // The most that is one message on a bare wire of tcp or unix, 64 to 262,144: on raw a longer read
  // becomes several messages, on the others it is refused.
  std::uint32_t packet_bytes = 65'536;

  bool operator==(const SocketOptions&) const = default;
};

// Where a server listens or a client connects, written as a URL:
//
//     tcp://127.0.0.1:8080    tcp://[::1]:0    udp://127.0.0.1:9000    unix:/run/cleave.sock
//     fd:NAME                 a socket that the process was started with (LISTEN_FDS)
//
// each with options behind a `?`: `?wire=raw&cmd=upper&backlog=64`. In a path or a name, `?` and
// `%` are written %3F and %25, and any other byte may be written so.
struct Endpoint {
  enum class Transport : std::uint8_t { tcp, udp, local, inherited };

  Transport transport = Transport::tcp;
  std::string host = {};   // tcp, udp: a numeric address, without brackets
  std::uint16_t port = 0;  // tcp, udp
  std::string path = {};   // local: the socket's file, at most 107 bytes; inherited: its name
  Wire wire = Wire::frame;
  std::string cmd = {};  // which command a bare wire's messages are for; empty on the wire frame
  SocketOptions options = {};

  // `invalid_argument` with a sentence for what it cannot read. "localhost" stands for 127.0.0.1.
  [[nodiscard]] CLEAVE_API static Result<Endpoint> parse(std::string_view url);
  // With the wire, the command where there is one, and the options that are not as by default.
  [[nodiscard]] CLEAVE_API std::string url() const;
  // Reached from this machine only: 127.0.0.0/8, ::1 and sockets in the file system. False for an
  // inherited socket, of which nothing is known yet.
  [[nodiscard]] CLEAVE_API bool is_loopback() const noexcept;
  [[nodiscard]] bool is_datagram() const noexcept { return transport == Transport::udp; }
};

}  // namespace v0
}  // namespace cleave
