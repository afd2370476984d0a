// SPDX-License-Identifier: MIT
#include "cleave/bin/client/xxh3.h"

#include <xxhash.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <new>

namespace cleave::cli {

Xxh3::Xxh3() : state_(XXH3_createState()) {
  if (!state_) throw std::bad_alloc();
  XXH3_64bits_reset(state_.get());
}

void Xxh3::update(std::string_view bytes) noexcept {
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
}

std::string Xxh3::hex() const {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016" PRIx64, XXH3_64bits_digest(state_.get()));
  return text.data();
}

void Xxh3::Free::operator()(XXH3_state_s* state) const noexcept {
  XXH3_freeState(state);
}

}  // namespace cleave::cli
