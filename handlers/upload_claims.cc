// SPDX-License-Identifier: MIT
#include "cleave/handlers/upload_claims.h"

#include <utility>

namespace cleave {
inline namespace v0 {

UploadClaims::Claim::Claim(std::shared_ptr<UploadClaims> claims, std::string id,
                           UniqueFunction<void()> on_granted, UniqueFunction<void()> on_superseded)
    : claims_(std::move(claims)),
      id_(std::move(id)),
      on_granted_(std::move(on_granted)),
      on_superseded_(std::move(on_superseded)) {}

UploadClaims::Claim::~Claim() {
  claims_->let_go(*this);
}

bool UploadClaims::Claim::granted() const noexcept {
  const auto place = claims_->places_.find(id_);
  return place != claims_->places_.end() && place->second.holder == this;
}

std::unique_ptr<UploadClaims::Claim> UploadClaims::claim(const UploadId& id,
                                                         UniqueFunction<void()> on_granted,
                                                         UniqueFunction<void()> on_superseded) {
  std::unique_ptr<Claim> claim(
      new Claim(shared_from_this(), id.text(), std::move(on_granted), std::move(on_superseded)));
  Place& place = places_[id.text()];
  if (place.holder == nullptr) {
    place.holder = claim.get();
    return claim;
  }
  Claim* const before = std::exchange(place.next, claim.get());
  Claim* const asked = before != nullptr ? before : place.holder;
  if (auto superseded = std::exchange(asked->on_superseded_, nullptr)) superseded();
  return claim;
}

void UploadClaims::let_go(Claim& claim) {
  const auto found = places_.find(claim.id_);
  if (found == places_.end()) return;  // it had lost its place, and the others have gone
  Place& place = found->second;
  if (place.next == &claim) place.next = nullptr;
  if (place.holder != &claim) return;
  place.holder = std::exchange(place.next, nullptr);
  if (place.holder == nullptr) {
    places_.erase(found);
  } else if (auto granted = std::exchange(place.holder->on_granted_, nullptr)) {
    granted();
  }
}

}  // namespace v0
}  // namespace cleave
