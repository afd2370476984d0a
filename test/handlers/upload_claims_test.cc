// SPDX-License-Identifier: MIT
#include "cleave/handlers/upload_claims.h"

#include <doctest/doctest.h>

#include <string>

using namespace cleave;

namespace {

struct Claims {
  std::shared_ptr<UploadClaims> claims = std::make_shared<UploadClaims>();
  std::string heard = {};

  std::unique_ptr<UploadClaims::Claim> claim(std::string_view id, const char* who) {
    return claims->claim(
        UploadId::parse(id).value(), [this, who] { heard += std::string(who) + " granted;"; },
        [this, who] { heard += std::string(who) + " superseded;"; });
  }
};

}  // namespace

TEST_CASE("an upload is granted to one, and to the next when that lets go") {
  Claims claims;
  auto first = claims.claim("u", "first");
  CHECK(first->granted());
  CHECK(claims.claim("other", "other")->granted());
  auto second = claims.claim("u", "second");
  CHECK_FALSE(second->granted());
  CHECK(claims.heard == "first superseded;");
  first.reset();
  CHECK(second->granted());
  CHECK(claims.heard == "first superseded;second granted;");
  second.reset();
  CHECK(claims.claim("u", "third")->granted());
}

TEST_CASE("a newcomer takes the place of the one that waits") {
  Claims claims;
  auto first = claims.claim("u", "first");
  auto second = claims.claim("u", "second");
  auto third = claims.claim("u", "third");
  CHECK(claims.heard == "first superseded;second superseded;");
  second.reset();
  first.reset();
  CHECK(third->granted());
  CHECK(claims.heard == "first superseded;second superseded;third granted;");
}

TEST_CASE("whoever gives up waiting leaves the upload where it is") {
  Claims claims;
  auto first = claims.claim("u", "first");
  claims.claim("u", "second").reset();
  CHECK(first->granted());
  first.reset();
  CHECK(claims.claim("u", "third")->granted());
}

TEST_CASE("a claim that lost its place may outlive the others") {
  Claims claims;
  auto first = claims.claim("u", "first");
  auto second = claims.claim("u", "second");
  auto third = claims.claim("u", "third");
  first.reset();
  third.reset();
  CHECK_FALSE(second->granted());
}
