// SPDX-License-Identifier: MIT
#include "cleave/bin/load/requests.h"

#include <algorithm>
#include <cstring>

#include "cleave/protocol/encoder.h"

namespace cleave::load {
namespace {

// A body up to here is copied behind each head, so that many requests are one piece of memory.
constexpr std::uint64_t kWholeBytes = 4'096;
constexpr std::size_t kGatherBytes = 64 * 1024;

Result<std::string> head_with(const Requests::Options& options, std::uint64_t size,
                              std::optional<std::uint64_t> id) {
  std::string head;
  const OutgoingHead members{
      .cmd = options.cmd, .id = id, .data_size = size, .members = options.members};
  if (auto done = append_head(head, members); !done) return fail(done.error());
  return head;
}

}  // namespace

Result<Requests> Requests::make(const Options& options, const Body& body) {
  Requests made(body);
  made.depth_ = options.depth;
  made.ids_ = options.ids;
  const bool counting = options.ids == Ids::counting;
  const std::uint32_t heads = counting ? 1 : options.depth;
  for (std::uint32_t slot = 0; slot < heads; ++slot) {
    std::optional<std::uint64_t> id;
    if (options.ids != Ids::none) id = made.id(slot, 0);
    const Result<std::string> head = head_with(options, body.size(), id);
    if (!head) return fail(head.error());
    made.places_.push_back({made.block_.size(), head->size()});
    made.block_ += *head;
    if (made.whole() && body.size() > 0) made.block_ += body.piece(0);
  }
  if (counting) {
    // The id's place is where another id makes a difference; all its digits do.
    const Result<std::string> other = head_with(options, body.size(), 2'999'999'999'999);
    if (!other) return fail(other.error());
    made.digits_at_ =
        static_cast<std::size_t>(std::ranges::mismatch(*other, made.block_).in1 - other->begin());
  }
  return made;
}

std::optional<std::uint32_t> Requests::slot_of(std::uint64_t id) const noexcept {
  if (ids_ == Ids::counting) {
    if (id < kFirstCountedId) return std::nullopt;
    return static_cast<std::uint32_t>((id - kFirstCountedId) % depth_);
  }
  if (id >= depth_) return std::nullopt;
  return static_cast<std::uint32_t>(id);
}

bool Requests::whole() const noexcept {
  return body_.size() <= kWholeBytes;
}

bool Requests::append(Gather& to, std::uint32_t slot, std::uint32_t round,
                      std::uint64_t skip) const {
  const std::string_view in_block = head(slot);
  std::string_view request(
      in_block.data(), in_block.size() + (whole() ? static_cast<std::size_t>(body_.size()) : 0));
  if (ids_ == Ids::counting && skip < request.size()) {
    char* const copy = to.room_for(request.size());
    if (copy == nullptr) return false;
    std::memcpy(copy, request.data(), request.size());
    write_counted_id(copy + digits_at_, id(slot, round));
    request = {copy, request.size()};
  }
  if (skip < request.size()) {
    if (!to.add(request.substr(static_cast<std::size_t>(skip)))) return false;
    skip = 0;
  } else {
    skip -= request.size();
  }
  if (whole()) return true;
  while (skip < body_.size()) {
    const std::string_view piece = body_.piece(skip);
    if (!to.add(piece)) return false;
    skip += piece.size();
  }
  return true;
}

Gather Requests::make_gather() const {
  return Gather(ids_ == Ids::counting ? std::max(block_.size(), kGatherBytes) : 0);
}

}  // namespace cleave::load
