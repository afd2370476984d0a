// SPDX-License-Identifier: MIT
#include "cleave/handlers/digest.h"

#include <doctest/doctest.h>

#include <string>

using namespace cleave;

namespace {

std::string digest(DigestKind kind, std::string_view bytes, std::size_t piece = 7) {
  Digest digest = Digest::create(kind).value();
  for (; bytes.size() > piece; bytes.remove_prefix(piece)) digest.update(bytes.substr(0, piece));
  digest.update(bytes);
  return digest.finish();
}

}  // namespace

TEST_CASE("digests are those of the published vectors, in whatever pieces the bytes come") {
  CHECK(digest(DigestKind::md5, "") == "d41d8cd98f00b204e9800998ecf8427e");
  CHECK(digest(DigestKind::md5, "abc", 1) == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(
      digest(DigestKind::md5,
             "12345678901234567890123456789012345678901234567890123456789012345678901234567890") ==
      "57edf4a22be3c955ac49da2e2107b67a");
  CHECK(digest(DigestKind::sha256, "") ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest(DigestKind::sha256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digest(DigestKind::xxh3, "") == "2d06800538d394c2");
}

TEST_CASE("a digest that a peer wrote is compared in lower case") {
  CHECK(parse_digest(DigestKind::xxh3, "2D06800538d394C2").value() == "2d06800538d394c2");
}

TEST_CASE("a digest of a wrong length or with other characters is an invalid argument") {
  for (const std::string_view text : {"", "2d06800538d394c", "2d06800538d394c20",
                                      "2d06800538d394cg", "0x06800538d394c2", " d06800538d394c2"}) {
    CAPTURE(text);
    const Result<std::string> parsed = parse_digest(DigestKind::xxh3, text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::invalid_argument);
  }
  CHECK_FALSE(parse_digest(DigestKind::md5, std::string(31, 'a')));
  CHECK(parse_digest(DigestKind::md5, std::string(32, 'a')));
  CHECK_FALSE(parse_digest(DigestKind::sha256, std::string(65, 'a')));
  CHECK(parse_digest(DigestKind::sha256, std::string(64, 'a')));
}
