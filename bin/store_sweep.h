// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>

#include "cleave/core/loop.h"
#include "cleave/handlers/file_store.h"

namespace cleave {
inline namespace v0 {

// Has a store swept every hour, in the pool.
class StoreSweep {
 public:
  StoreSweep(Loop& loop, std::shared_ptr<const FileStore> store)
      : timer_(loop, [this, &loop, store = std::move(store)] {
          loop.offload([store] { store->sweep(); }, [] {}, Lane::disk);
          timer_.start(kInterval);
        }) {
    timer_.start(kInterval);
  }
  StoreSweep(const StoreSweep&) = delete;
  StoreSweep& operator=(const StoreSweep&) = delete;

 private:
  static constexpr Millis kInterval{3'600'000};

  Timer timer_;
};

}  // namespace v0
}  // namespace cleave
