// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/bin/load/body.h"
#include "cleave/bin/load/counted_id.h"
#include "cleave/bin/load/gather.h"
#include "cleave/protocol/result.h"

namespace cleave::load {

// Which id a request has.
enum class Ids : std::uint8_t {
  none,      // no id: all headers are the same, replies come in order
  repeated,  // 0 to depth - 1, again and again
  counting,  // another one each time
};

// The bytes of all requests, made once. A connection has `depth` slots, and in each of them one
// request after the other; a slot's `round` tells how many were there before.
class Requests {
 public:
  struct Options {
    std::string_view cmd;
    std::string_view members = {};  // further members, as Members::text() gives them
    std::uint32_t depth = 1;
    Ids ids = Ids::repeated;
  };
  // `body` outlives them. Fails where the header would be too long.
  [[nodiscard]] static Result<Requests> make(const Options& options, const Body& body);

  [[nodiscard]] Ids ids() const noexcept { return ids_; }
  [[nodiscard]] std::uint32_t depth() const noexcept { return depth_; }
  [[nodiscard]] std::uint64_t id(std::uint32_t slot, std::uint32_t round) const noexcept {
    if (ids_ != Ids::counting) return slot;
    return kFirstCountedId + std::uint64_t{round} * depth_ + slot;
  }
  // The slot that an id belongs to, if it can be one's.
  [[nodiscard]] std::optional<std::uint32_t> slot_of(std::uint64_t id) const noexcept;
  // The bytes of a request, head and body.
  [[nodiscard]] std::uint64_t size(std::uint32_t slot) const noexcept {
    return head(slot).size() + body_.size();
  }
  // Adds a request from its byte `skip` on. False where not all of it found room.
  [[nodiscard]] bool append(Gather& to, std::uint32_t slot, std::uint32_t round,
                            std::uint64_t skip) const;
  // A Gather that has room for at least one of them.
  [[nodiscard]] Gather make_gather() const;

 private:
  explicit Requests(const Body& body) : body_(body) {}
  [[nodiscard]] std::string_view head(std::uint32_t slot) const noexcept {
    const Place& place = places_[ids_ == Ids::counting ? 0 : slot];
    return std::string_view(block_).substr(place.at, place.head_size);
  }
  // Whether the body lies behind each head, and a request is one piece.
  [[nodiscard]] bool whole() const noexcept;

  struct Place {
    std::size_t at;
    std::size_t head_size;
  };
  const Body& body_;
  std::uint32_t depth_ = 1;
  Ids ids_ = Ids::repeated;
  // The heads of all slots one behind the other, short bodies behind each; of ids that count up a
  // single one, whose digits are written over.
  std::string block_;
  std::vector<Place> places_;
  std::size_t digits_at_ = 0;
};

}  // namespace cleave::load
