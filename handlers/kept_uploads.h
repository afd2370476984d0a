// SPDX-License-Identifier: MIT
#pragma once
// Internal: the uploads of a store that wait to be resumed, and those that were.

#include <cstdint>

#include "cleave/handlers/upload_record.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

struct StoreState;

// `not_found` where nothing is known of it. Of one that is under way it is what is durable.
[[nodiscard]] Result<UploadStatus> upload_status(const StoreState& store, const UploadId& id);
// Forgets it, and its bytes; `busy` while it is under way.
[[nodiscard]] Result<void> drop_upload(StoreState& store, const UploadId& id);

// Before it is said that an upload is complete: the name that it has taken is there for good.
[[nodiscard]] Result<void> sync_name(const StoreState& store, const UploadRecord& record);

// Drops what has waited for longer than `store_partial_age_ms`, the oldest beyond
// `store_partial_bytes` and `store_partial_files`, and the memory of uploads that were completed an
// hour ago. `now`: milliseconds since 1970.
void expire_uploads(StoreState& store, std::int64_t now);

}  // namespace v0
}  // namespace cleave
