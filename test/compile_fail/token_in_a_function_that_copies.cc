// SPDX-License-Identifier: MIT
// A callback that holds a token cannot be copied, so it is no std::function.
// error: copy-constructible|deleted
#include <functional>

#include "cleave/core/reply.h"
#include "cleave/core/unique_function.h"

void token_in_a_function_that_copies(cleave::ReplyToken token) {
  auto answer = [token = std::move(token)]() mutable { std::move(token).ok(); };
#ifdef MISUSE
  std::function<void()> callback = std::move(answer);
#else
  cleave::UniqueFunction<void()> callback = std::move(answer);
#endif
  callback();
}
