// SPDX-License-Identifier: MIT
#include "cleave/bin/client/encoding.h"

#include <iconv.h>
#include <langinfo.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "cleave/protocol/utf8.h"

namespace cleave::cli {
namespace {

constexpr const char* kUtf8 = "UTF-8";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::size_t kRoom = 1'024;  // far more than one character or one change of state takes

// Converts up to the end or to what cannot be converted, which the view then begins with: the errno
// that says why, or 0. Without a view, goes back to the first state.
int convert_some(iconv_t step, std::string_view* bytes, std::string& out) {
  // iconv(3) takes what it only reads as if it were to be written.
  char* from = bytes == nullptr ? nullptr : const_cast<char*>(bytes->data());
  std::size_t size = bytes == nullptr ? 0 : bytes->size();
  int number = E2BIG;
  while (number == E2BIG) {
    std::array<char, kRoom> room;
    char* to = room.data();
    std::size_t left = room.size();
    const std::size_t before = size;
    const bool failed = ::iconv(step, from == nullptr ? nullptr : &from, &size, &to, &left) ==
                        static_cast<std::size_t>(-1);
    number = failed ? errno : 0;
    out.append(room.data(), room.size() - left);
    // Whatever makes nothing of all this room never will.
    if (number == E2BIG && size == before && left == room.size()) number = EILSEQ;
  }
  if (bytes != nullptr) bytes->remove_prefix(bytes->size() - size);
  return number;
}

void reset(iconv_t step, std::string& out) {
  (void)convert_some(step, nullptr, out);
}

// How many bytes a letter more takes, whatever mark or shift stands around it.
std::size_t size_of_a_letter(iconv_t encoder) {
  std::array<std::string, 2> outs;
  for (const std::string_view letters : {"a", "aa"}) {
    std::string_view text = letters;
    std::string& out = outs[letters.size() - 1];
    (void)convert_some(encoder, &text, out);
    reset(encoder, out);
  }
  return outs[1].size() > outs[0].size() ? outs[1].size() - outs[0].size() : 1;
}

// glibc takes and makes forms of five bytes, and of four beyond U+10FFFF.
std::string replace_invalid(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t size = utf8_character_size(text);
    out += size == 0 ? kReplacement : text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

}  // namespace

void Transcoder::Close::operator()(void* descriptor) const noexcept {
  ::iconv_close(descriptor);
}

Result<Transcoder::Descriptor> Transcoder::open(const std::string& to, const std::string& from) {
  const auto unknown = [](const std::string& name) {
    return fail(Errc::invalid_argument,
                "the system knows no encoding '" + name + "'; iconv -l lists those that it knows");
  };
  // iconv_open(3) has a meaning of its own for the empty name, and for what stands behind slashes.
  for (const std::string& name : {to, from}) {
    if (name.empty() || name.find('/') != std::string::npos) return unknown(name);
  }
  iconv_t opened = ::iconv_open(to.c_str(), from.c_str());
  // NOLINTNEXTLINE(performance-no-int-to-ptr): that is what iconv_open(3) returns
  if (opened == reinterpret_cast<iconv_t>(-1)) return unknown(from == kUtf8 ? to : from);
  return Descriptor(opened);
}

Result<Transcoder> Transcoder::create(const std::string& from, const std::string& to) {
  Transcoder made;
  Result<Descriptor> decoder = open(kUtf8, from);
  if (!decoder) return fail(decoder.error());
  made.decoder_ = *std::move(decoder);
  if (to != kUtf8) {
    Result<Descriptor> encoder = open(to, kUtf8);
    if (!encoder) return fail(encoder.error());
    made.encoder_ = *std::move(encoder);
  }
  // Behind bytes that are no character it goes on where the next one may begin.
  if (const Result<Descriptor> letters = open(from, kUtf8)) {
    made.unit_ = size_of_a_letter(letters->get());
  }
  return made;
}

std::string Transcoder::convert(std::string_view bytes) {
  const std::string joined = std::exchange(held_, {}).append(bytes);
  std::string_view rest = joined;
  std::string utf8;
  while (convert_some(decoder_.get(), &rest, utf8) == EILSEQ && rest.size() >= unit_) {
    rest.remove_prefix(unit_);
    utf8 += kReplacement;
  }
  held_ = rest;
  return encode(std::move(utf8));
}

std::string Transcoder::finish() {
  std::string utf8;
  // Some encodings hold a character back, as the next one may belong to it.
  reset(decoder_.get(), utf8);
  if (!std::exchange(held_, {}).empty()) utf8 += kReplacement;
  std::string out = encode(std::move(utf8));
  if (encoder_) reset(encoder_.get(), out);
  return out;
}

std::string Transcoder::encode(std::string text) {
  if (!is_utf8(text)) text = replace_invalid(text);
  if (!encoder_) return text;
  std::string out;
  std::string_view utf8 = text;
  while (convert_some(encoder_.get(), &utf8, out) == EILSEQ) {
    utf8.remove_prefix(utf8_character_size(utf8));
    std::string_view mark = "?";
    (void)convert_some(encoder_.get(), &mark, out);
  }
  return out;
}

std::string terminal_encoding() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the locale is chosen once, before there are threads
  std::string codeset = ::nl_langinfo(CODESET);
  return codeset == "ANSI_X3.4-1968" || codeset.empty() ? kUtf8 : codeset;
}

}  // namespace cleave::cli
