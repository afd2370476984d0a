// SPDX-License-Identifier: MIT
#include "cleave/testing/every_split.h"

#include <algorithm>
#include <random>
#include <utility>
#include <variant>

namespace cleave::testing {
namespace {

constexpr int kRandomRuns = 200;

class FrameSubject final : public SplitSubject {
 public:
  FrameSubject(const HeaderLimits& limits,
               std::function<void(const Header& header, Decoder& decoder)> after_head)
      : parser_(limits), after_head_(std::move(after_head)) {}

  void feed(std::string_view piece) override {
    for (;;) {
      const Result<Decoder::Event> event = decoder_.next(piece);
      if (!event) {
        note_error(event.error());
        return;
      }
      if (std::holds_alternative<Decoder::NeedMore>(*event)) return;
      note(*event);
    }
  }

  std::string transcript() override {
    std::string text = text_;
    if (in_body_) text += '\n';
    if (error_.empty() && decoder_.inside_frame()) {
      text += decoder_.inside_header()
                  ? "inside a header\n"
                  : "inside a body, " + std::to_string(decoder_.body_remaining()) + " to come\n";
    }
    return text;
  }

 private:
  void note(const Decoder::Event& event) {
    if (const auto* body = std::get_if<Decoder::Body>(&event)) {
      if (!std::exchange(in_body_, true)) text_ += "body ";
      text_ += body->bytes;
      if (body->bytes.empty()) text_ += "(an empty piece)";
      if (body->remaining != decoder_.body_remaining()) text_ += "(another remainder)";
      return;
    }
    if (std::exchange(in_body_, false)) text_ += '\n';
    if (const auto* head = std::get_if<Decoder::Head>(&event)) {
      text_ += "head ";
      text_ += head->header->json();
      text_ += '\n';
      if (after_head_) after_head_(*head->header, decoder_);
    } else {
      text_ += "end\n";
    }
  }

  // An error is said again at every call; it is noted once, and once more if it ever changes.
  void note_error(const Error& error) {
    std::string line = "error ";
    line += to_string(error.code);
    line += ": " + error.message + '\n';
    if (line == error_) return;
    if (std::exchange(in_body_, false)) text_ += '\n';
    text_ += line;
    error_ = std::move(line);
  }

  HeaderParser parser_;
  Decoder decoder_{parser_};
  std::function<void(const Header& header, Decoder& decoder)> after_head_;
  std::string text_;
  std::string error_;
  bool in_body_ = false;
};

// The runs of one byte string.
class Runner {
 public:
  Runner(std::string_view wire, const std::function<std::unique_ptr<SplitSubject>()>& fresh)
      : wire_(wire), fresh_(fresh) {
    report_.whole = run([this] { return wire_.size(); });
  }

  // Compares a run in pieces of `next_size()` bytes with the run in one piece.
  void compare(const std::string& cut, const std::function<std::size_t()>& next_size) {
    if (!report_.difference.empty()) return;
    const std::string transcript = run(next_size);
    if (transcript == report_.whole) return;
    report_.difference = "cut " + cut + ":\n" + transcript + "instead of:\n" + report_.whole;
  }

  [[nodiscard]] SplitReport report() && { return std::move(report_); }

 private:
  std::string run(const std::function<std::size_t()>& next_size) {
    ++report_.runs;
    const std::unique_ptr<SplitSubject> subject = fresh_();
    std::string_view rest = wire_;
    do {
      const std::size_t size = std::min(next_size(), rest.size());
      // Memory of exactly this size, so that a sanitizer sees a read beyond the piece or after it.
      const auto piece = std::make_unique<char[]>(size);
      std::copy_n(rest.data(), size, piece.get());
      rest.remove_prefix(size);
      subject->feed({piece.get(), size});
    } while (!rest.empty());
    return subject->transcript();
  }

  std::string_view wire_;
  const std::function<std::unique_ptr<SplitSubject>()>& fresh_;
  SplitReport report_;
};

}  // namespace

SplitReport every_split(std::string_view wire,
                        const std::function<std::unique_ptr<SplitSubject>()>& fresh,
                        std::uint64_t seed) {
  Runner runner(wire, fresh);
  for (std::size_t at = 0; at <= wire.size(); ++at) {
    runner.compare(
        "in two at byte " + std::to_string(at),
        [size = at, whole = wire.size()]() mutable { return std::exchange(size, whole); });
  }
  for (std::size_t size = 1; size < wire.size(); ++size) {
    runner.compare("in pieces of " + std::to_string(size), [size] { return size; });
  }
  for (int i = 0; i < kRandomRuns && !wire.empty(); ++i) {
    // Not std::uniform_int_distribution, whose numbers differ from library to library.
    std::mt19937_64 random(seed + static_cast<std::uint64_t>(i));
    const std::size_t longest = 1 + random() % wire.size();
    runner.compare("in random pieces, seed " + std::to_string(seed + static_cast<std::uint64_t>(i)),
                   [&random, longest] { return random() % (longest + 1); });
  }
  return std::move(runner).report();
}

std::unique_ptr<SplitSubject> frame_subject(
    const HeaderLimits& limits,
    std::function<void(const Header& header, Decoder& decoder)> after_head) {
  return std::make_unique<FrameSubject>(limits, std::move(after_head));
}

}  // namespace cleave::testing
