// SPDX-License-Identifier: MIT
#include "cleave/handlers/upper.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cleave/core/recycled.h"
#include "cleave/core/short_queue.h"

namespace cleave {
inline namespace v0 {
namespace {

// A piece that is copied and changed while it is in the processor's cache.
constexpr std::size_t kPieceBytes = 64 * 1024;

char to_upper(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  // One comparison for both ends: what lies before 'a' wraps around to a large number.
  const bool lower = static_cast<unsigned char>(byte - 'a') < 26;
  return static_cast<char>(byte - (lower ? 'a' - 'A' : 0));
}

void append_upper(std::string& out, std::string_view bytes) {
  const std::size_t start = out.size();
  out.append(bytes);
  const std::span<char> copy(out.data() + start, bytes.size());
  // GCC 12 vectorises at -O2 only where the number of rounds is a constant.
  constexpr std::size_t kBlock = 32;
  std::size_t i = 0;
  for (; i + kBlock <= copy.size(); i += kBlock) {
    char* block = copy.data() + i;
    for (std::size_t k = 0; k < kBlock; ++k) block[k] = to_upper(block[k]);
  }
  for (; i < copy.size(); ++i) copy[i] = to_upper(copy[i]);
}

std::string upper_copy(std::string_view bytes) {
  std::string copy;
  append_upper(copy, bytes);
  return copy;
}

// Handler and reply in one. A Buffer is read-only, so the letters are changed in a copy; it is made
// only when there is room for it in the reply, and until then the bytes as they came wait here and
// count against their connection's window.
class Upper final : public Handler, public Source {
 public:
  explicit Upper(const Request& request) : size_(request.body_size()) {}

  void on_body(Chunk chunk) override {
    waiting_.push_back(std::move(chunk).keep());
    wake();
  }
  void on_end() override {
    ended_ = true;
    wake();
  }

  Pulled pull(std::size_t room) override {
    if (waiting_.empty()) return ended_ ? Pulled(Done{}) : Pulled(Later{});
    Buffer& front = waiting_.front();
    const std::size_t size = std::min({room, front.size(), kPieceBytes});
    Piece piece{Buffer::own(upper_copy(front.bytes().substr(0, size)))};
    front.drop_front(size);
    if (front.empty()) waiting_.pop_front();
    return piece;
  }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return size_; }

 private:
  ShortQueue<Buffer> waiting_;
  std::optional<std::uint64_t> size_;
  bool ended_ = false;
};

}  // namespace

void add_upper(Router& router) {
  router.add("upper",
             {.summary = "replies with the body, ASCII letters in upper case",
              .whole = collected(
                  [](const Request&, std::string_view body, ReplyWriter& reply) -> Result<void> {
                    append_upper(reply.body(), body);
                    return {};
                  }),
              .datagram = true},
             streaming([](const Request& request, ReplyToken token) -> std::shared_ptr<Handler> {
               auto upper = make_recycled<Upper>(request);
               std::move(token).ok({}, std::shared_ptr<Source>(upper));
               return upper;
             }));
}

}  // namespace v0
}  // namespace cleave
