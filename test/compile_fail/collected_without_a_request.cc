// SPDX-License-Identifier: MIT
// A collected handler sees the request and its body.
// error: no matching function
#include "cleave/core/handler.h"

cleave::Route collected_without_a_request() {
#ifdef MISUSE
  return cleave::collected([](std::string_view body) -> cleave::Result<cleave::Reply> {
    return cleave::Reply::text(std::string(body));
  });
#else
  return cleave::collected(
      [](const cleave::Request&, std::string_view body) -> cleave::Result<cleave::Reply> {
        return cleave::Reply::text(std::string(body));
      });
#endif
}
