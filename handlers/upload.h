// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/file.h"
#include "cleave/handlers/digest.h"
#include "cleave/handlers/file_name.h"
#include "cleave/handlers/upload_record.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

struct StoreState;
class UsageShare;  // handlers/store_usage.h

// A file that is to be stored.
struct UploadRequest {
  FileName name;
  bool overwrite = true;
  // All the bytes of the file, where that is known.
  std::optional<std::uint64_t> size = {};
  // The time of its last change, in milliseconds since 1970; empty: now.
  std::optional<std::int64_t> mtime_ms = {};
  // What the content must have. At most one of a kind.
  std::vector<DigestValue> expected = {};
  // With it, what was stored is kept when the upload breaks off. The size is then known.
  std::optional<UploadId> id = {};
  // Where the bytes begin that are to come.
  std::uint64_t offset = 0;
};

// What was stored: the size, xxh3 first, and every digest that was asked for.
struct StoredFile {
  std::uint64_t size = 0;
  std::vector<DigestValue> digests;
};

// One file on its way into a store. The bytes go to a file of the store's own, which takes its name
// in one step when everything is checked and on the disk: a reader sees the old content or the new
// one, never a part. Until then nothing is visible, and an Upload that is destroyed leaves nothing
// behind, unless it has an id.
//
//     begin ─▶ write … ─▶ catch_up … ─▶ check ─▶ flush ─▶ commit
//                   └──▶ park                                   (with an id)
//
// Every call blocks, so it runs in the worker pool, one at a time; so does the destructor, which
// may have a large file to remove. Only digest() may run beside store().
class CLEAVE_API Upload {
 public:
  // Where temporary files lie.
  static constexpr const char* kDirectory = ".cleave/tmp";
  // What a step of catch_up() reads, and what is written between two looks at the disk's room.
  static constexpr std::uint64_t kStepBytes = 16 * 1024 * 1024;
  // With an id, what is written before it becomes durable: so much may have to be sent again.
  static constexpr std::uint64_t kSyncBytes = 64 * 1024 * 1024;

  // Refuses what can be known before the first byte: a name that cannot be stored under, a size
  // that the quota or the disk has no room for, an id of another file.
  [[nodiscard]] static Result<std::unique_ptr<Upload>> begin(std::shared_ptr<StoreState> store,
                                                             UploadRequest request);
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // Where the next byte goes: 0, or of an upload that is resumed what is durable. Where that is not
  // the request's offset, nothing may be written.
  [[nodiscard]] std::uint64_t offset() const noexcept { return size_; }
  // With an id: all of it came before, and is stored.
  [[nodiscard]] const std::optional<StoredFile>& complete() const noexcept { return complete_; }

  // Appends the pieces in order. After an error only park() or destroying it makes sense.
  [[nodiscard]] Result<void> write(std::span<const std::string_view> pieces);
  // The two halves of write(): the bytes to the file, and into the digests.
  [[nodiscard]] Result<void> store(std::span<const std::string_view> pieces);
  void digest(std::span<const std::string_view> pieces) noexcept;
  // Whether digests are computed now that take longer than the writing.
  [[nodiscard]] bool digests_slowly() const noexcept { return digests_.size() > 1 && before_ == 0; }

  // When all is written: reads from the disk what is not in the digests yet, which is all of an
  // upload that was resumed; false while there is more of it. Not before the new bytes came, as it
  // could take longer than the connection lasts.
  [[nodiscard]] Result<bool> catch_up();
  // Brings a checked file to the disk, so that a commit together with others is not held up.
  [[nodiscard]] Result<void> flush();
  // Makes durable what was written; it is kept when this object goes. Only with an id.
  [[nodiscard]] Result<void> park();
  // Checks size and digests. Afterwards commit() is all that is missing. An upload with an id and
  // wrong digests is not kept.
  [[nodiscard]] Result<void> check();
  // Makes checked files visible and durable under their names, together, as the disk is asked once
  // for what it would be asked for each: one result for each of them, in order.
  [[nodiscard]] static std::vector<Result<StoredFile>> commit(std::span<Upload* const> uploads);
  // catch_up(), check() and commit() of one.
  [[nodiscard]] Result<StoredFile> finish();

  // Removes the temporary files of processes that are gone. Those of living ones are locked, in
  // whichever process they are, and are left alone.
  static void sweep(const StoreState& store);

 private:
  Upload(std::shared_ptr<StoreState> store, UploadRequest request) noexcept;

  Result<void> make_digests();
  Result<void> check_target();
  Result<void> check_room(std::uint64_t more) const;
  Result<void> check_more(std::uint64_t bytes);
  Result<void> create_temporary();
  Result<void> resume();
  [[nodiscard]] Result<std::optional<UploadRecord>> read_record() const;
  Result<void> answer_again(const UploadRecord& record);
  Result<bool> open_data();
  void let_go_of_data();
  Result<void> go_on(const std::optional<UploadRecord>& record);
  void remove_record() noexcept;
  Result<void> record_part();
  Result<void> write_record();
  void count_record() noexcept;
  Result<void> discard();
  tl::unexpected<Error> damaged(int code);
  Result<std::vector<DigestValue>> check_digests();
  Result<void> sync_content();
  Result<Fd> take_name();
  static void record_together(std::span<Upload* const> uploads,
                              std::vector<Result<void>>& outcomes);
  [[nodiscard]] tl::unexpected<Error> mismatch(const DigestValue& expected,
                                               const std::string& hex) const;
  [[nodiscard]] Error error(int code) const;
  [[nodiscard]] std::string subject() const;

  std::shared_ptr<StoreState> store_;
  UploadRequest request_;
  std::unique_ptr<UsageShare> share_;
  Fd directory_;  // of the file
  Fd file_;
  std::string own_name_;  // the file's; empty once it has another, or is gone
  std::uint64_t size_ = 0;
  std::uint64_t looked_at_ = 0;  // the size at the last look at the disk's room
  std::uint64_t before_ = 0;     // bytes that came before; then digests are computed at the end
  std::uint64_t caught_up_ = 0;  // bytes that were read for that
  std::uint64_t synced_ = 0;     // bytes that the record tells of
  bool created_ = false;         // with an id: the file is ours from its beginning
  bool recorded_ = false;        // with an id: there is a record, for good
  bool record_written_ = false;  // perhaps not for good
  bool replaces_ = false;        // there was a file of that name at the beginning
  bool flushed_ = false;
  bool damaged_ = false;  // what was written may not be there
  std::vector<Digest> digests_;
  std::vector<DigestValue> values_;  // of the checked file
  std::optional<StoredFile> complete_;
};

}  // namespace v0
}  // namespace cleave
