// SPDX-License-Identifier: MIT
#include "cleave/handlers/open_files.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

namespace cleave {
inline namespace v0 {

struct OpenFiles::State {
  explicit State(std::uint64_t most) : limit(most) {}

  const std::uint64_t limit;
  std::mutex mutex;  // for the next two
  std::uint64_t open = 0;
  AddressCounts by_host;
};

OpenFiles::OpenFiles(std::uint64_t limit) : state_(std::make_shared<State>(limit)) {}

Result<std::shared_ptr<void>> OpenFiles::take(const Peer& peer) {
  AddressCounts::Host host = AddressCounts::host_of(peer.address);
  const std::lock_guard lock(state_->mutex);
  const std::uint64_t share =
      host.loopback ? state_->limit : std::max<std::uint64_t>(state_->limit / 4, 1);
  if (state_->open >= state_->limit || state_->by_host.of(host) >= share) {
    return fail(Errc::busy,
                std::to_string(state_->open) + " files are open, " +
                    std::to_string(state_->by_host.of(host)) +
                    " of them for this address; at most " + std::to_string(state_->limit) +
                    " may be, and " + std::to_string(share) + " for one address (store_max_open)",
                "store_max_open");
  }
  ++state_->open;
  state_->by_host.add(host);
  return std::shared_ptr<void>(nullptr, [state = state_, host = std::move(host)](void*) {
    const std::lock_guard end(state->mutex);
    --state->open;
    state->by_host.remove(host);
  });
}

}  // namespace v0
}  // namespace cleave
