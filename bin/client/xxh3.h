// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <string_view>

struct XXH3_state_s;

namespace cleave::cli {

// XXH3-64 of bytes that come in pieces.
class Xxh3 {
 public:
  Xxh3();
  void update(std::string_view bytes) noexcept;
  // 16 hex digits, most significant first, as replies carry it.
  [[nodiscard]] std::string hex() const;

 private:
  struct Free {
    void operator()(XXH3_state_s* state) const noexcept;
  };
  std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace cleave::cli
