// SPDX-License-Identifier: MIT
// An interceptor says whether the request goes on.
// error: (conflicting|different) return type
#include "cleave/core/interceptor.h"

class Doorkeeper final : public cleave::Interceptor {
 public:
#ifdef MISUSE
  void before(cleave::Request& request) override {
    request.attach(1);
  }
#else
  cleave::Result<void> before(cleave::Request& request) override {
    request.attach(1);
    return {};
  }
#endif
};
