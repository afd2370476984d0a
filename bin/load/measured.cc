// SPDX-License-Identifier: MIT
#include "cleave/bin/load/measured.h"

namespace cleave::load {

void Failures::add(std::string_view sentence, std::uint64_t times) {
  if (count == 0) first = sentence;
  count += times;
}

void Measured::add_error(std::string_view code, std::string_view message) {
  auto found = errors.find(std::string(code));
  if (found == errors.end()) {
    const bool full = errors.size() >= kCodes;
    found = errors.try_emplace(full ? "other" : std::string(code)).first;
  }
  found->second.add(message);
}

std::uint64_t Measured::error_count() const noexcept {
  std::uint64_t count = 0;
  for (const auto& [code, failures] : errors) count += failures.count;
  return count;
}

double Measured::client_busy() const noexcept {
  return seconds > 0 ? static_cast<double>(client_cpu_ns) / 1e9 / seconds : 0;
}

std::optional<double> Measured::server_busy() const noexcept {
  if (!server_cpu_ns || seconds <= 0) return std::nullopt;
  return static_cast<double>(*server_cpu_ns) / 1e9 / seconds;
}

double Measured::per_second(std::uint64_t count) const noexcept {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

double Measured::per_message(std::uint64_t count) const noexcept {
  return messages > 0 ? static_cast<double>(count) / static_cast<double>(messages) : 0;
}

}  // namespace cleave::load
