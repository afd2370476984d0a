// SPDX-License-Identifier: MIT
#include "cleave/handlers/digest.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <array>
#include <span>

namespace cleave {
inline namespace v0 {
namespace {

std::string hex(std::span<const unsigned char> bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::size_t hex_digits(DigestKind kind) noexcept {
  switch (kind) {
    case DigestKind::xxh3:
      return 16;
    case DigestKind::md5:
      return 32;
    case DigestKind::sha256:
      return 64;
  }
  return 0;
}

}  // namespace

std::string_view to_string(DigestKind kind) noexcept {
  switch (kind) {
    case DigestKind::xxh3:
      return "xxh3";
    case DigestKind::md5:
      return "md5";
    case DigestKind::sha256:
      return "sha256";
  }
  return {};
}

Result<std::string> parse_digest(DigestKind kind, std::string_view text) {
  const std::size_t size = hex_digits(kind);
  const std::string name(to_string(kind));
  if (text.size() != size) {
    return fail(Errc::invalid_argument, "'" + name + "' has " + std::to_string(size) +
                                            " hex digits, this one has " +
                                            std::to_string(text.size()) + " characters");
  }
  std::string lower;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'F';
    if (!upper && !(c >= 'a' && c <= 'f') && !(c >= '0' && c <= '9')) {
      return fail(Errc::invalid_argument, "'" + name + "' is written in hex digits only");
    }
    lower += upper ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return lower;
}

void Digest::Free::operator()(evp_md_ctx_st* context) const noexcept {
  EVP_MD_CTX_free(context);
}
void Digest::Free::operator()(XXH3_state_s* state) const noexcept {
  XXH3_freeState(state);
}

Result<Digest> Digest::create(DigestKind kind) {
  Digest digest(kind);
  if (kind == DigestKind::xxh3) {
    digest.xxh3_.reset(XXH3_createState());
    if (digest.xxh3_ && XXH3_64bits_reset(digest.xxh3_.get()) == XXH_OK) return digest;
  } else {
    const EVP_MD* algorithm = kind == DigestKind::md5 ? EVP_md5() : EVP_sha256();
    digest.evp_.reset(EVP_MD_CTX_new());
    if (digest.evp_ && EVP_DigestInit_ex(digest.evp_.get(), algorithm, nullptr) == 1) return digest;
  }
  return fail(Errc::failed_precondition,
              "this server cannot compute '" + std::string(to_string(kind)) + "'");
}

void Digest::update(std::string_view bytes) noexcept {
  if (xxh3_) {
    XXH3_64bits_update(xxh3_.get(), bytes.data(), bytes.size());
  } else {
    EVP_DigestUpdate(evp_.get(), bytes.data(), bytes.size());
  }
}

std::string Digest::finish() {
  if (xxh3_) {
    XXH64_canonical_t canonical;
    XXH64_canonicalFromHash(&canonical, XXH3_64bits_digest(xxh3_.get()));
    return hex(canonical.digest);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  EVP_DigestFinal_ex(evp_.get(), bytes.data(), &size);
  return hex({bytes.data(), size});
}

}  // namespace v0
}  // namespace cleave
