// SPDX-License-Identifier: MIT
// A lambda that takes a token along has it moved into it.
// error: (use of deleted function|deleted copy constructor).*ReplyToken
#include "cleave/core/loop.h"
#include "cleave/core/reply.h"

void token_captured_by_copy(cleave::Loop& loop, cleave::ReplyToken token) {
#ifdef MISUSE
  loop.post([token]() mutable { std::move(token).ok(); });
#else
  loop.post([token = std::move(token)]() mutable { std::move(token).ok(); });
#endif
}
