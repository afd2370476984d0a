// SPDX-License-Identifier: MIT
#include "cleave/bin/load/expectation.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>

namespace cleave::load {
namespace {

unsigned char upper(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  const bool lower = static_cast<unsigned char>(byte - 'a') < 26;
  return static_cast<unsigned char>(byte - (lower ? 'a' - 'A' : 0));
}

// Whether `bytes` is `sent` in upper case; both have the same size.
bool is_upper(std::string_view sent, std::string_view bytes) noexcept {
  // GCC 12 vectorises at -O2 only where the number of rounds is a constant.
  constexpr std::size_t kBlock = 32;
  unsigned different = 0;
  const auto compare = [&](std::size_t at) {
    return static_cast<unsigned>(upper(sent[at]) ^ static_cast<unsigned char>(bytes[at]));
  };
  std::size_t i = 0;
  for (; i + kBlock <= sent.size(); i += kBlock) {
    for (std::size_t k = 0; k < kBlock; ++k) different |= compare(i + k);
  }
  for (; i < sent.size(); ++i) different |= compare(i);
  return different == 0;
}

}  // namespace

Expectation::Rule Expectation::rule_for(std::string_view cmd) noexcept {
  if (cmd == "echo") return Rule::same;
  return cmd == "upper" ? Rule::upper : Rule::any;
}

bool Expectation::fits(std::uint64_t offset, std::string_view bytes) const noexcept {
  if (rule_ == Rule::any || bytes.empty()) return true;
  if (offset > body_.size() || bytes.size() > body_.size() - offset) return false;
  while (!bytes.empty()) {
    const std::string_view sent = body_.piece(offset).substr(0, bytes.size());
    const std::string_view came = bytes.substr(0, sent.size());
    if (rule_ == Rule::upper ? !is_upper(sent, came) : sent != came) return false;
    offset += sent.size();
    bytes.remove_prefix(sent.size());
  }
  return true;
}

std::string Expectation::difference(std::uint64_t offset, std::string_view bytes) const {
  for (const char came : bytes) {
    if (offset >= body_.size()) {
      return "its body is longer than the " + std::to_string(body_.size()) +
             " bytes of the request";
    }
    if (!fits(offset, {&came, 1})) {
      const char sent = body_.piece(offset).front();
      std::array<char, 64> text{};
      std::snprintf(text.data(), text.size(), " is %02x and has to be %02x",
                    static_cast<unsigned char>(came),
                    rule_ == Rule::upper ? upper(sent) : static_cast<unsigned char>(sent));
      return "byte " + std::to_string(offset) + " of its body" + text.data();
    }
    ++offset;
  }
  return "";
}

std::string Expectation::wrong_size(std::uint64_t size) const {
  return "its body has " + std::to_string(size) + " bytes and has to have " +
         std::to_string(body_.size());
}

}  // namespace cleave::load
