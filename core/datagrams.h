// SPDX-License-Identifier: MIT
#pragma once
// Internal: the datagrams of a socket.

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "cleave/core/socket_address.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Takes datagrams from a socket and answers them, a batch at a time, in memory that every batch
// uses again. On Linux a batch costs one system call each way, elsewhere one for each datagram.
class Datagrams {
 public:
  // The most that are taken at once.
  static constexpr std::size_t kBatch = 32;
  // The longest datagram, in bytes: what IPv4 can carry.
  static constexpr std::size_t kBytes = 65'507;

  // Valid until the next receive().
  struct Incoming {
    SocketAddress from;
    SocketAddress to;  // ours; where the system does not tell which of several, the bound one
    std::string_view bytes;
    bool truncated = false;  // it was longer than kBytes, and these are its first
  };

  // `fd` is non-blocking and stays its owner's; `bound` is its address. `portable` does without
  // what only Linux has.
  Datagrams(int fd, const SocketAddress& bound, bool portable = false);
  ~Datagrams();
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;

  // Takes up to `most` (at most kBatch) of those that have come; none when there are none. An
  // error may be that of an earlier answer, and is then told only once.
  [[nodiscard]] Result<std::span<const Incoming>> receive(std::size_t most);

  // The answer to one of the last batch, at most one for each; its bytes are copied. It leaves from
  // the address that was asked.
  void answer(std::size_t index, std::string_view head, std::string_view body);
  // Sends the answers, as far as the system takes them now. The indices of the others, which are
  // forgotten; valid until the next receive().
  [[nodiscard]] std::span<const std::size_t> send();

  // Drops the errors that the system remembers: where a socket is told of them at all, one of an
  // earlier answer stands for ever in the way of its readiness.
  void forget_errors() noexcept;

 private:
  struct Batch;

  int fd_;
  SocketAddress bound_;
  bool portable_;
  bool tells_destination_;
  std::unique_ptr<Batch> batch_;
};

}  // namespace v0
}  // namespace cleave
