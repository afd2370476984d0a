// SPDX-License-Identifier: MIT
#pragma once
// What the fuzzers share. Each is a file of its own with one function, LLVMFuzzerTestOneInput; see
// test/README.md for how they are built, run and replayed.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace cleave::fuzz {

// What a fuzzer claims. A claim that does not hold ends the process, as a crash does.
inline void require(bool holds, const char* claim) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", claim);
  std::abort();
}

// Reads decisions from the front of an input; 0 when it is used up.
class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) noexcept
      : rest_(reinterpret_cast<const char*>(data), size) {}

  [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
  [[nodiscard]] std::uint8_t byte() noexcept {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  // Little-endian.
  [[nodiscard]] std::uint64_t number(int bytes) noexcept {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= std::uint64_t{byte()} << (8 * i);
    return value;
  }
  // At most `size` bytes, as they stand.
  [[nodiscard]] std::string_view bytes(std::size_t size) noexcept {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  [[nodiscard]] std::string_view rest() noexcept { return bytes(rest_.size()); }

 private:
  std::string_view rest_;
};

// A stream, read in pieces. The bytes of `sizes` say how long they are, one after the other and
// then again from the front; 0, and no sizes at all, is everything that is left.
class Pieces {
 public:
  Pieces(std::string_view sizes, std::string_view bytes) noexcept : sizes_(sizes), rest_(bytes) {}

  [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
  // The next piece, in memory that is just as long and gone with the next call: a sanitizer sees
  // who reads behind it, or too late.
  [[nodiscard]] std::string_view next() {
    std::size_t size = 0;
    if (!sizes_.empty()) size = static_cast<unsigned char>(sizes_[at_++ % sizes_.size()]);
    const std::string_view taken = rest_.substr(0, size == 0 ? rest_.size() : size);
    rest_.remove_prefix(taken.size());
    memory_ = std::make_unique<char[]>(taken.size());
    std::copy(taken.begin(), taken.end(), memory_.get());
    return {memory_.get(), taken.size()};
  }

 private:
  std::string_view sizes_;
  std::string_view rest_;
  std::size_t at_ = 0;
  std::unique_ptr<char[]> memory_;
};

}  // namespace cleave::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
