// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/bin/load/body.h"

namespace cleave::load {

// What a reply's body has to be, compared as it comes and never held.
class Expectation {
 public:
  enum class Rule : std::uint8_t { any, same, upper };

  // `body` outlives it.
  Expectation(const Body& body, Rule rule) noexcept : body_(body), rule_(rule) {}
  // The rule for the command `cmd`.
  [[nodiscard]] static Rule rule_for(std::string_view cmd) noexcept;

  // Whether `bytes` may stand at `offset` of the reply's body; otherwise a sentence.
  [[nodiscard]] bool fits(std::uint64_t offset, std::string_view bytes) const noexcept;
  [[nodiscard]] std::string difference(std::uint64_t offset, std::string_view bytes) const;
  // Whether the body may end behind `size` bytes.
  [[nodiscard]] bool may_end(std::uint64_t size) const noexcept {
    return rule_ == Rule::any || size == body_.size();
  }
  [[nodiscard]] std::string wrong_size(std::uint64_t size) const;

 private:
  const Body& body_;
  Rule rule_;
};

}  // namespace cleave::load
