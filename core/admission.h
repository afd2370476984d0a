// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/core/endpoint.h"
#include "cleave/core/request.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// The steps of a server's life at which an embedding program may have its way: each is asked before
// it is taken, and an error refuses it. What can only be watched is in Observer. Calls come on the
// loop's thread and must not throw; the descriptors are lent for the call.
class CLEAVE_API Admission {
 public:
  virtual ~Admission() = default;

  // A listening socket was made and has its options; it is to be bound. The place for options that
  // Endpoint does not know. Not asked for an inherited socket, which is bound already.
  virtual Result<void> may_bind(const Endpoint& /*endpoint*/, int /*fd*/) { return {}; }
  // It is bound (`endpoint` has the port), and is to take connections or datagrams.
  virtual Result<void> may_activate(const Endpoint& /*endpoint*/, int /*fd*/) { return {}; }
  // A peer has connected, and nothing was read from it yet. Refused, it is told the error where its
  // wire can say one, counted as shed, and closed.
  virtual Result<void> may_accept(const Peer& /*peer*/) { return {}; }
};

}  // namespace v0
}  // namespace cleave
