// SPDX-License-Identifier: MIT
#pragma once
// Internal: what a CallHandle refers to.

#include <cstdint>

namespace cleave {
inline namespace v0 {

// Runs calls, and knows each by its number. Counted by whatever counts the rest of it.
class CallRunner {
 public:
  virtual void cancel(std::uint64_t id) = 0;
  [[nodiscard]] virtual bool running(std::uint64_t id) const noexcept = 0;
  virtual void add_ref() const noexcept = 0;
  virtual void drop_ref() const noexcept = 0;

 protected:
  ~CallRunner() = default;
};

}  // namespace v0
}  // namespace cleave
