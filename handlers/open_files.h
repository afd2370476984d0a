// SPDX-License-Identifier: MIT
#pragma once
// Internal: how many files are open for requests.

#include <cstdint>
#include <memory>

#include "cleave/core/address_counts.h"
#include "cleave/core/request.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// Descriptors are the process's: whoever has a put or a get under way has some of them, and those
// who connect need theirs. One host gets a quarter of the places at the most; this machine's own
// programs may have all.
class OpenFiles {
 public:
  explicit OpenFiles(std::uint64_t limit);

  // A place for one request's file, as long as the pointer or a copy of it lives, on whichever
  // thread that ends; `busy` where there is none.
  [[nodiscard]] Result<std::shared_ptr<void>> take(const Peer& peer);

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the places
};

}  // namespace v0
}  // namespace cleave
