// SPDX-License-Identifier: MIT
// There is one token for a request: nobody else can have another.
// error: (use of deleted function|deleted copy constructor).*ReplyToken
#include "cleave/core/reply.h"

void token_copied(cleave::ReplyToken token) {
#ifdef MISUSE
  cleave::ReplyToken other = token;
#else
  cleave::ReplyToken other = std::move(token);
#endif
  std::move(other).ok();
}
