// SPDX-License-Identifier: MIT
// What can fail is looked at, or is said not to matter.
// error: nodiscard
#include "cleave/core/server.h"

void result_ignored(cleave::Server& server) {
#ifdef MISUSE
  server.listen("tcp://127.0.0.1:8080");
#else
  static_cast<void>(server.listen("tcp://127.0.0.1:8080"));
#endif
}
