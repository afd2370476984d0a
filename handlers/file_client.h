// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cleave/core/blocking_client.h"
#include "cleave/core/file.h"
#include "cleave/core/reconnecting_client.h"
#include "cleave/core/retry.h"
#include "cleave/core/unique_function.h"
#include "cleave/handlers/local_file.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// The client's side of `put` and `get`: files of any size in constant memory, compared by their
// digests, tried again and gone on with where they stopped.
//
//     auto client = ReconnectingClient::create(loop, "tcp://127.0.0.1:8080").value();
//     FileTransfer put = put_file(*client, "photo.raw", "albums/photo.raw", {},
//                                 [](Result<FileTransferred> done) { … });
//
// Files are opened, read, written and renamed by workers (Lane::disk), so the loop does not wait
// for a disk.

// Sees a transfer go on. Called on the loop's thread, in the middle of the work: to cancel or
// destroy the FileTransfer, or its client, is for a later turn (Loop::post()).
class FileObserver {
 public:
  virtual ~FileObserver() = default;
  // All the bytes of the file, when that is known, and again where it has become another one.
  virtual void on_size(std::uint64_t /*bytes*/) {}
  // So many of them need no transfer, or no other one. Comes anew with each attempt.
  virtual void on_begin(std::uint64_t /*offset*/) {}
  // Up to here they have been sent or written.
  virtual void on_progress(std::uint64_t /*offset*/) {}
  // It has failed `failures` times by now, and is tried again after `delay`.
  virtual void on_retry(const Error& /*error*/, unsigned /*failures*/, Millis /*delay*/) {}
};

struct FileTransferOptions {
  // Replace a file that is there; else it is `already_exists`.
  bool overwrite = true;
  // Go on with what an earlier transfer of the same file has left, though it was another process;
  // leave it, where this one fails; and transfer nothing where the other side has the same bytes
  // already. A put is found again by its path, its name, its size and its time, a get by what the
  // server says of its file.
  bool resume = false;
  // The SHA-256 that the file has to have, 64 hex digits: of a put the server compares it before
  // the file takes its place, of a get we do. Empty: xxh3 alone, which finds broken bits and no
  // forgery.
  std::string sha256 = {};
  // Of each request, as Call::timeout: each attempt to send or fetch the file is one, whatever the
  // size, and has the whole time again. It is none for the whole: that is for cancel().
  std::optional<Millis> timeout = {};
  // Of the whole file. What waits here is a person or a batch, so it waits longer than a call does.
  RetryOptions retry = {
      .attempts = 4, .first_delay = Millis(500), .longest_delay = Millis(30'000), .chance = {}};
  // Outlives the transfer; null: nobody.
  FileObserver* observer = nullptr;
};

// What was transferred, or was found to be there already.
struct FileTransferred {
  std::uint64_t size = 0;
  // The XXH3-64 of our own bytes, 16 hex digits. It is the server's as well, where that told one.
  std::string xxh3 = {};
  // The server's last words: `file_size` and what else it tells of the file.
  Ref<const Header> header = {};
};

// A transfer under way. Destroying it ends the transfer and calls nobody; it must go before its
// client does. May be destroyed from inside its own callback.
class CLEAVE_API FileTransfer {
 public:
  using Done = UniqueFunction<void(Result<FileTransferred>)>;

  FileTransfer() noexcept;
  FileTransfer(FileTransfer&&) noexcept;
  FileTransfer& operator=(FileTransfer&&) noexcept;
  ~FileTransfer();

  // Ends it with `cancelled`. A request under way is cancelled, and the server's word on that
  // waited for.
  void cancel();
  [[nodiscard]] bool running() const noexcept;

 private:
  friend struct FileTransfers;
  explicit FileTransfer(Ref<class FileTransferCore> core) noexcept;
  Ref<class FileTransferCore> core_;
};

// Stores a file under `name`, and compares the server's digest of what it has stored with ours of
// what was read. `done` is called once, later, and not if the FileTransfer goes before. A file of
// 16 MiB or more, and any with `resume`, is sent as an upload: after a break it goes on where the
// server's disk has got to. A server that offers no uploads is sent the whole file again. An upload
// that failed is dropped on the server, if it can be asked and `resume` is false.
//
// Errors: the server's own (`already_exists`, `no_space`, `quota_exceeded`, `permission_denied` …);
// of the file here `not_found`, `permission_denied`, `invalid_argument` (no regular file),
// `io_error` (it became shorter);
//   `checksum_mismatch`  what the server has stored has other bytes; where some of them were there
//                        before, all have been sent once more by then. Or `sha256` is not theirs
//   `offset_mismatch`    the server goes on from where nobody can, or each time from another place
//   `unavailable` …      after all attempts, the last error
[[nodiscard]] CLEAVE_API FileTransfer put_file(ReconnectingClient& client, LocalFile from,
                                               std::string name, FileTransferOptions options,
                                               FileTransfer::Done done);

// Fetches the file `name` beside its place, under a name of its own, and puts it there in one step,
// synced and with its time, when its size and its digest are those that the server says. So `to` is
// whole at any time, the old file or the new one, and where it fails the old one stays. What is
// there and no regular file (/dev/null, a named pipe) is written to as it is. After a break it goes
// on behind what has come, as long as the server's file is still the same; a file that changes is
// begun anew, up to three times.
//
// Errors: the server's own (`not_found` …); of the place here `permission_denied`, `no_space`,
// `already_exists`, `io_error`;
//   `checksum_mismatch`    the bytes are not those that the server says, or not of `sha256`
//   `io_error`             fewer or more bytes than the server says
//   `failed_precondition`  the file changes on the server all the time; what goes by the name of an
//                          earlier transfer is not ours, or somebody writes to it
//   `unavailable` …        after all attempts, the last error
[[nodiscard]] CLEAVE_API FileTransfer get_file(ReconnectingClient& client, std::string name,
                                               LocalFile to, FileTransferOptions options,
                                               FileTransfer::Done done);

// The same to a descriptor, from where nothing can be taken back: what is wrong in the end has been
// written all the same. `called` names it in errors. `overwrite` and `resume` mean nothing here.
[[nodiscard]] CLEAVE_API FileTransfer get_file(ReconnectingClient& client, std::string name,
                                               SharedFd to, std::string called,
                                               FileTransferOptions options,
                                               FileTransfer::Done done);

// The same for programs without a loop.
[[nodiscard]] CLEAVE_API Result<FileTransferred> put_file(BlockingClient& client, LocalFile from,
                                                          std::string name,
                                                          FileTransferOptions options = {});
[[nodiscard]] CLEAVE_API Result<FileTransferred> get_file(BlockingClient& client, std::string name,
                                                          LocalFile to,
                                                          FileTransferOptions options = {});

}  // namespace v0
}  // namespace cleave
