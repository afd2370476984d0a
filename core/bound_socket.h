// SPDX-License-Identifier: MIT
#pragma once
// Internal: a socket that peers can reach.

#include "cleave/core/admission.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/file.h"
#include "cleave/core/local_socket.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Bound to its address, non-blocking, and listening if it is a stream's. What binding has left in
// the file system goes with it.
class BoundSocket {
 public:
  // Makes one as `endpoint` says. `permission_denied`, `already_exists` where somebody else has the
  // address, `busy` (see lock_folder), `io_error`, or what the admission says.
  [[nodiscard]] static Result<BoundSocket> open(const Endpoint& endpoint, Admission& admission);
  // Takes one that was made elsewhere: listening for streams, or bound for datagrams. Where it is
  // comes from the socket; wire, command, and the options that can still be set from `how`. Its
  // file, if it has one, stays. `invalid_argument` where it cannot be served, or what the admission
  // says.
  [[nodiscard]] static Result<BoundSocket> adopt(Fd socket, const Endpoint& how,
                                                 Admission& admission);

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  // With the port that was bound.
  [[nodiscard]] const Endpoint& endpoint() const noexcept { return endpoint_; }

 private:
  BoundSocket(Fd socket, SocketFile file, Endpoint endpoint) noexcept
      : socket_(std::move(socket)), file_(std::move(file)), endpoint_(std::move(endpoint)) {}

  Fd socket_;
  SocketFile file_;  // goes before the socket
  Endpoint endpoint_;
};

}  // namespace v0
}  // namespace cleave
