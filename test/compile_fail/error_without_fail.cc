// SPDX-License-Identifier: MIT
// An error is no value: it is returned with fail().
// error: could not convert|no viable conversion
#include "cleave/core/handler.h"

cleave::Result<cleave::Reply> error_without_fail() {
#ifdef MISUSE
  return cleave::Error{cleave::Errc::not_found, "there is no file 'a'"};
#else
  return cleave::fail(cleave::Errc::not_found, "there is no file 'a'");
#endif
}
