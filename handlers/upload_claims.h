// SPDX-License-Identifier: MIT
#pragma once
// Internal: which request has which upload.

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "cleave/core/unique_function.h"
#include "cleave/handlers/upload_record.h"

namespace cleave {
inline namespace v0 {

// A connection that breaks without a word leaves its put behind, which still has the upload when
// its client comes back to go on with it. So a newcomer does not wait for the time limit of the one
// before: that is asked to let go, and the newcomer has the upload when it has done so. One waits
// at the most; a further one takes its place. Used on the loop's thread.
class UploadClaims : public std::enable_shared_from_this<UploadClaims> {
 public:
  // Destroyed, it lets go.
  class Claim {
   public:
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    // Whether it has the upload now.
    [[nodiscard]] bool granted() const noexcept;

   private:
    friend class UploadClaims;
    Claim(std::shared_ptr<UploadClaims> claims, std::string id, UniqueFunction<void()> on_granted,
          UniqueFunction<void()> on_superseded);

    std::shared_ptr<UploadClaims> claims_;
    std::string id_;
    UniqueFunction<void()> on_granted_;
    UniqueFunction<void()> on_superseded_;
  };

  // `on_granted` is called later, unless the claim is granted at once; `on_superseded` when another
  // one wants the upload, at most once.
  [[nodiscard]] std::unique_ptr<Claim> claim(const UploadId& id, UniqueFunction<void()> on_granted,
                                             UniqueFunction<void()> on_superseded);

 private:
  struct Place {
    Claim* holder = nullptr;
    Claim* next = nullptr;
  };
  void let_go(Claim& claim);

  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace v0
}  // namespace cleave
