// SPDX-License-Identifier: MIT
// Tokens come from the framework, with the request that they answer.
// error: no matching function|no matching constructor
#include "cleave/core/reply.h"

#ifdef MISUSE
cleave::ReplyToken token_made_by_a_handler() {
  return cleave::ReplyToken();
}
#else
cleave::ReplyToken token_made_by_a_handler(cleave::ReplyToken token) {
  return token;
}
#endif
