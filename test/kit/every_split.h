// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"
#include "cleave/protocol/decoder.h"
#include "cleave/protocol/header.h"

namespace cleave::testing {

// TCP keeps the bytes and forgets the cuts: whatever one read brings, two may have brought. This
// runs a decoder over a byte string in every way that matters (whole; cut in two at every place,
// also before the first and behind the last byte; in pieces of every fixed size from one byte on;
// in random pieces) and says where it came to another result than for the whole.
//
//     const SplitReport report = every_split(wire, [] { return frame_subject(); });
//     CHECK(report.difference == "");
//     CHECK(report.whole == "head {\"cmd\":\"echo\"}\nend\n");
//
// The runs are about twice as many as there are bytes, so a few thousand bytes are a good length.

// A decoder being tried; anybody's, not only Cleave's.
class CLEAVE_API SplitSubject {
 public:
  virtual ~SplitSubject() = default;
  // Takes the next piece, which may be empty. Its memory is gone after the call.
  virtual void feed(std::string_view piece) = 0;
  // Everything that happened, as text that does not depend on where the pieces were cut: a body's
  // parts joined, for example. Include what the decoder says of itself at the end of input.
  virtual std::string transcript() = 0;
};

struct SplitReport {
  // The transcript of the run in one piece.
  std::string whole;
  // Empty if every run had the same transcript; else the first cut that had not, and both.
  std::string difference;
  std::size_t runs = 0;
};

// `fresh` gives a new decoder for each run. The random pieces follow from `seed` alone.
[[nodiscard]] CLEAVE_API SplitReport
every_split(std::string_view wire, const std::function<std::unique_ptr<SplitSubject>()>& fresh,
            std::uint64_t seed = 1);

// Cleave's own decoder. Its transcript has a line for each event, `head {…}`, `body …`, `end` and
// `error CODE: MESSAGE`, and a last one, `inside a header` or `inside a body, N to come`, where the
// input ends inside a frame. `after_head` may set a body's size, as a command's route does.
[[nodiscard]] CLEAVE_API std::unique_ptr<SplitSubject> frame_subject(
    const HeaderLimits& limits = {},
    std::function<void(const Header& header, Decoder& decoder)> after_head = {});

}  // namespace cleave::testing
