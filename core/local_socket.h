// SPDX-License-Identifier: MIT
#pragma once
// Internal: listening sockets that stand in the file system.

#include <sys/types.h>

#include <string>

#include "cleave/core/endpoint.h"
#include "cleave/core/file.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// The file of a bound socket. Goes when this goes, if it is still the same file; what somebody else
// has put there is left alone. To be destroyed before the socket is closed: as long as that
// listens, nobody else takes the file for stale.
class SocketFile {
 public:
  SocketFile() noexcept = default;  // of a socket that has none
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&& other) noexcept;
  ~SocketFile();

 private:
  friend Result<SocketFile> bind_local(int fd, const Endpoint& endpoint, bool portable);

  std::string path_;  // absolute, so that it holds after a chdir(2); empty: no file
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// The folder of the endpoint's path, locked, until the descriptor is closed, for those who bind
// sockets in it: between bind(2) and listen(2) a socket looks stale, and of two processes that
// start at once one would remove the other's. `busy` where another has it: nobody is waited for. A
// folder that may not be read or has no locks gives an empty descriptor.
[[nodiscard]] Result<Fd> lock_folder(const Endpoint& endpoint);

// Binds `fd` to the endpoint's path, in a locked folder. The file has the endpoint's mode from its
// birth on; where the umask forbids more, it is born narrower. A stale socket, that is one of our
// own user on which nobody listens, is replaced. `already_exists` where somebody listens or
// something else than a socket is there, `permission_denied` where the socket is another user's.
// `portable`: do without what Linux alone has.
[[nodiscard]] Result<SocketFile> bind_local(int fd, const Endpoint& endpoint,
                                            bool portable = false);

}  // namespace v0
}  // namespace cleave
