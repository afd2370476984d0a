// SPDX-License-Identifier: MIT
// A transfer that nobody keeps would end at once.
// error: nodiscard
#include "cleave/handlers/file_client.h"

void transfer_dropped(cleave::ReconnectingClient& client) {
  const auto done = [](cleave::Result<cleave::FileTransferred>) {};
#ifdef MISUSE
  put_file(client, "photo.raw", "photo.raw", {}, done);
#else
  const cleave::FileTransfer put = put_file(client, "photo.raw", "photo.raw", {}, done);
#endif
}
