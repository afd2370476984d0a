// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cleave/bin/load/measured.h"
#include "cleave/bin/load/settings.h"

namespace cleave::load {

// What a run has found, for people and for programs. `body_bytes` is the size of each body.

[[nodiscard]] std::string text_report(const Settings& settings, std::uint64_t body_bytes,
                                      const Measured& measured);
// One object, described in bin/README.md.
[[nodiscard]] std::string json_report(const Settings& settings, std::uint64_t body_bytes,
                                      const Measured& measured);

// What has to be known to read the figures: that the client was the slower one, that a rate was not
// reached. A sentence each.
[[nodiscard]] std::vector<std::string> remarks(const Settings& settings, const Measured& measured);

// The exit status, and a sentence if it is not 0.
struct Verdict {
  int status = 0;
  std::string sentence = {};
};
[[nodiscard]] Verdict verdict(const Measured& measured);

}  // namespace cleave::load
