// SPDX-License-Identifier: MIT
#pragma once
// Internal: a socket that peers can reach.

#include "cleave/core/admission.h"
#include "cleave/core/endpoint.h"
#include "cleave/core/file.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Bound to its address, non-blocking, and listening if it is a stream's. What binding has left in
// the file system goes with it.
class BoundSocket {
 public:
  // Makes one as `endpoint` says. `permission_denied`, `already_exists` where somebody else has the
  // address, `io_error`, or what the admission says.
  [[nodiscard]] static Result<BoundSocket> open(const Endpoint& endpoint, Admission& admission);

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  // With the port that was bound.
  [[nodiscard]] const Endpoint& endpoint() const noexcept { return endpoint_; }

 private:
  BoundSocket(Fd socket, Endpoint endpoint) noexcept
      : socket_(std::move(socket)), endpoint_(std::move(endpoint)) {}

  Fd socket_;
  Endpoint endpoint_;
};

}  // namespace v0
}  // namespace cleave
