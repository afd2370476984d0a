// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/file.h"
#include "cleave/handlers/beneath.h"
#include "cleave/handlers/digest.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// By what an upload is gone on with: 1 to 128 bytes of A-Za-z0-9._-, of the client's choice.
class CLEAVE_API UploadId {
 public:
  static constexpr std::size_t kBytes = 128;
  // The id, or `invalid_argument`.
  [[nodiscard]] static Result<UploadId> parse(std::string_view text);
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  explicit UploadId(std::string text) noexcept : text_(std::move(text)) {}

  std::string text_;
};

// What is kept of an upload that can be resumed, beside its bytes: two files of the same directory,
// ID.data and ID.json. The record is replaced as a whole, and is written before what it says
// becomes true or after it, whichever is safe:
//
// - `offset` is raised when the bytes before it are on the disk;
// - `digests` are entered before ID.data takes the name of the file that it was to become. So with
//   them and without ID.data the upload is complete.
struct CLEAVE_API UploadRecord {
  // Where they lie.
  static constexpr const char* kDirectory = ".cleave/uploads";
  // Whether that is the name of an upload's data.
  [[nodiscard]] static bool is_data(std::string_view name) noexcept {
    return name.ends_with(".data");
  }
  [[nodiscard]] static std::string data_name(std::string_view id) {
    return std::string(id) + ".data";
  }
  // Of the name of its data, or of its record.
  [[nodiscard]] static std::string_view id_of(std::string_view name) noexcept {
    return name.substr(0, name.rfind('.'));
  }
  [[nodiscard]] static std::string record_name(std::string_view id) {
    return std::string(id) + ".json";
  }

  std::string name;          // of the file that it is to become
  std::uint64_t size = 0;    // that it is to have
  std::uint64_t offset = 0;  // bytes that are there for good
  std::vector<DigestValue> digests = {};

  bool operator==(const UploadRecord&) const = default;
  // Whether the upload's file has taken its name.
  [[nodiscard]] OrErrno<bool> is_complete(const Fd& directory, std::string_view id) const;

  // Of the upload `id`, in `directory`; empty where there is none, or what is there is no record.
  // An error where the system could not read it just now: then nothing is known.
  [[nodiscard]] static OrErrno<std::optional<UploadRecord>> read(const Fd& directory,
                                                                 std::string_view id);
  // `durable`: its content is, as soon as this has returned; and its name with the directory's next
  // sync.
  [[nodiscard]] OrErrno<void> write(const Fd& directory, std::string_view id, bool durable) const;
};

// What is known of an upload.
struct UploadStatus {
  UploadRecord record;
  bool complete = false;  // its file is stored, and has taken its name
};

}  // namespace v0
}  // namespace cleave
