// SPDX-License-Identifier: MIT
// Who answers later takes the token: without it nothing could be answered.
// error: could not convert|no viable conversion|no matching function
#include "cleave/core/handler.h"

cleave::Route later_without_a_token() {
#ifdef MISUSE
  return cleave::later([](const cleave::Request&, cleave::Buffer) {});
#else
  return cleave::later([](const cleave::Request&, cleave::Buffer body, cleave::ReplyToken token) {
    std::move(token).ok({}, std::move(body));
  });
#endif
}
