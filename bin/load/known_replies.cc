// SPDX-License-Identifier: MIT
#include "cleave/bin/load/known_replies.h"

#include "cleave/bin/load/counted_id.h"

namespace cleave::load {
namespace {

// A longer head is hardly ever the same twice.
constexpr std::size_t kLongest = 1'024;

}  // namespace

KnownReplies::KnownReplies(const Requests& requests)
    : counting_(requests.ids() == Ids::counting),
      known_(requests.ids() == Ids::repeated ? requests.depth() : 1) {}

KnownReplies::Reply KnownReplies::to(std::uint32_t slot, std::uint64_t id) noexcept {
  Known& known = known_[known_.size() > 1 ? slot : 0];
  if (counting_ && !known.head.empty()) write_counted_id(known.head.data() + digits_at_, id);
  return {known.head, known.body_size};
}

void KnownReplies::learn(std::uint32_t slot, std::uint64_t id, const Header& header) {
  const std::string_view json = header.json();
  if (json.size() > kLongest) return;
  Known& known = known_[known_.size() > 1 ? slot : 0];
  if (counting_) {
    const std::string digits = std::to_string(id);
    const std::size_t at = json.find(digits);
    // The id is among the members, so where its digits stand once, they are the id.
    if (at == std::string_view::npos || json.find(digits, at + 1) != std::string_view::npos) return;
    digits_at_ = at + 4;
  }
  const auto size = static_cast<std::uint32_t>(json.size());
  known.head.clear();
  for (const unsigned shift : {0U, 8U, 16U, 24U}) {
    known.head += static_cast<char>(static_cast<unsigned char>(size >> shift));
  }
  known.head += json;
  known.body_size = header.frame().data_size.value_or(0);
}

}  // namespace cleave::load
