// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

struct evp_md_ctx_st;
struct XXH3_state_s;

namespace cleave {
inline namespace v0 {

// The digests that a store knows. xxh3 is XXH3-64: it finds broken bits at the speed of memory, and
// protects against nobody. sha256 finds forgery. md5 is what older clients send.
enum class DigestKind : std::uint8_t { xxh3, md5, sha256 };

// The name of its member on the wire: "xxh3", "md5", "sha256".
[[nodiscard]] CLEAVE_API std::string_view to_string(DigestKind kind) noexcept;

// A digest as a peer wrote it (hex, any case) in the form in which Digest gives it (lower case), or
// `invalid_argument` where it has another length or is not hex.
[[nodiscard]] CLEAVE_API Result<std::string> parse_digest(DigestKind kind, std::string_view text);

// A digest and its value in lower-case hex.
struct DigestValue {
  DigestKind kind;
  std::string hex;

  bool operator==(const DigestValue&) const = default;
};

// A digest of bytes that come in pieces.
class CLEAVE_API Digest {
 public:
  // Fails where the system's policy forbids the algorithm.
  [[nodiscard]] static Result<Digest> create(DigestKind kind);
  Digest(Digest&&) noexcept = default;
  Digest& operator=(Digest&&) noexcept = default;

  void update(std::string_view bytes) noexcept;
  // In hex; XXH3 as 16 digits, the most significant first. Nothing can be added afterwards.
  [[nodiscard]] std::string finish();
  [[nodiscard]] DigestKind kind() const noexcept { return kind_; }

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const noexcept;
    void operator()(XXH3_state_s* state) const noexcept;
  };
  explicit Digest(DigestKind kind) noexcept : kind_(kind) {}

  DigestKind kind_;
  // One of them, by kind.
  std::unique_ptr<evp_md_ctx_st, Free> evp_;
  std::unique_ptr<XXH3_state_s, Free> xxh3_;
};

}  // namespace v0
}  // namespace cleave
