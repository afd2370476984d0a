// SPDX-License-Identifier: MIT
#pragma once

namespace cleave {

// Whether a sanitizer watches, for which there is a reason to do something less: it keeps memory
// that was given back, and makes everything many times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

}  // namespace cleave
