// SPDX-License-Identifier: MIT
// Answering consumes the token, and whoever answers says so.
// error: discards qualifiers|rvalue ref-qualifier
#include "cleave/core/reply.h"

void token_on_an_lvalue(cleave::ReplyToken token) {
#ifdef MISUSE
  token.ok();
#else
  std::move(token).ok();
#endif
}
