// SPDX-License-Identifier: MIT
#pragma once
// What the tests of uploads have in common.

#include <cstdint>
#include <memory>
#include <string_view>

#include "cleave/handlers/file_store.h"

namespace cleave::testing {

using Store = std::shared_ptr<const FileStore>;

inline FileName name(std::string_view text) {
  return FileName::parse(text).value();
}
inline UploadId id(std::string_view text) {
  return UploadId::parse(text).value();
}
// Of an upload that can be resumed.
inline UploadRequest request(std::string_view file, std::uint64_t size, std::uint64_t offset = 0,
                             std::string_view upload = "u") {
  return {.name = name(file), .size = size, .id = id(upload), .offset = offset};
}
inline Result<void> write(Upload& upload, std::string_view bytes) {
  return upload.write({&bytes, 1});
}

}  // namespace cleave::testing
