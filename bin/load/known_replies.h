// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/bin/load/requests.h"
#include "cleave/protocol/header.h"

namespace cleave::load {

// The heads of good replies as they came before. Most replies begin with the same bytes again, or
// with the same bytes around their id, and then need not be parsed: a server has to parse, and
// whoever measures it has to be faster.
class KnownReplies {
 public:
  struct Reply {
    std::string_view head;  // length and header; empty where none is known
    std::uint64_t body_size = 0;
  };

  explicit KnownReplies(const Requests& requests);

  // How a reply of a single frame to the request of a slot begins. Valid until the next call.
  [[nodiscard]] Reply to(std::uint32_t slot, std::uint64_t id) noexcept;
  // A good reply of a single frame has come.
  void learn(std::uint32_t slot, std::uint64_t id, const Header& header);

 private:
  struct Known {
    std::string head;
    std::uint64_t body_size = 0;
  };
  bool counting_;
  std::vector<Known> known_;  // by slot; of ids that count up and of none one for all
  std::size_t digits_at_ = 0;
};

}  // namespace cleave::load
