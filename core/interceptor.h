// SPDX-License-Identifier: MIT
#pragma once

#include "cleave/core/observer.h"
#include "cleave/core/request.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Stands before and behind every handler of a server: authentication, tracing, quotas. Named in
// ServerOptions::interceptors.
//
//     class Doorkeeper final : public Interceptor {
//      public:
//       Result<void> before(Request& request) override {
//         const Result<std::string_view> token = request.string("token");
//         if (!token || *token != "open sesame") {
//           return fail(Errc::unauthenticated, "a token is needed, as the member 'token'");
//         }
//         request.attach(User{"ali"});
//         return {};
//       }
//     };
//
// A handler finds the user as `request.attached<User>()`. before() decides at once, by what is at
// hand. Where the decision has to be fetched (from a database, from another server), keep what was
// fetched earlier, or let the handler ask: one of the shape *later* keeps its token until it knows.
//
// An Observer sees more and can do less: it is told of everything, connections and refusals too,
// and decides nothing. An Interceptor is asked, and only about what a handler is to see: a request
// that the server refuses by itself (there is no such command, an argument is wrong, the body is
// too long, it is stopping) does not come so far. `cancel`, which has no handler, is not asked
// about.
//
// Several are asked in the order in which the options name them, and told in the opposite one. Each
// is told exactly once of each request that it was asked about, whatever became of that. Calls come
// on the loop's thread and must not block it.
class Interceptor {
 public:
  virtual ~Interceptor() = default;

  // Just before the handler is made or called; of a streaming request no body has been seen. An
  // error refuses the request with it (Observer::on_refused): no handler sees it, and nobody
  // further is asked. So does what this throws, with `internal`.
  virtual Result<void> before(Request& /*request*/) { return {}; }

  // The request has ended: answered, refused by before() of this one or of one behind it, or given
  // up because its peer had gone. `request` is as it was, with what was attached to it. What this
  // throws is dropped, as the answer is given.
  virtual void after(const Request& /*request*/, const Observer::Served& /*served*/) {}
};

}  // namespace v0
}  // namespace cleave
