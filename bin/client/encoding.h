// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "cleave/protocol/result.h"

namespace cleave::cli {

// Turns text from one encoding into another as it comes, by iconv(3): a character may be cut
// anywhere. What is no character becomes U+FFFD, and so does, once, one that is cut short by the
// end; a character that the other encoding lacks becomes `?`. Nothing else is lost.
class Transcoder {
 public:
  // `invalid_argument` where the system does not know one of them.
  [[nodiscard]] static Result<Transcoder> create(const std::string& from, const std::string& to);

  [[nodiscard]] std::string convert(std::string_view bytes);
  // What is left at the end of the text, which brings both encodings back to their first state: the
  // next text begins.
  [[nodiscard]] std::string finish();

 private:
  struct Close {
    void operator()(void* descriptor) const noexcept;
  };
  using Descriptor = std::unique_ptr<void, Close>;  // an iconv_t

  [[nodiscard]] static Result<Descriptor> open(const std::string& to, const std::string& from);
  [[nodiscard]] std::string encode(std::string utf8);

  Descriptor decoder_;    // to UTF-8
  Descriptor encoder_;    // from there; none where UTF-8 is what is wanted
  std::size_t unit_ = 1;  // no character is shorter
  std::string held_;      // the beginning of a character
};

// The encoding of the locale. Where that is plain ASCII, because nobody has chosen one, it is UTF-8
// as everywhere else.
[[nodiscard]] std::string terminal_encoding();

}  // namespace cleave::cli
