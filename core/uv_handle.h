// SPDX-License-Identifier: MIT
#pragma once

#include <uv.h>

#include <memory>

namespace cleave {
inline namespace v0 {

// Internal. A libuv handle lives in a box on the heap, because libuv needs its memory until the
// close callback, which comes a turn after the owner has gone:
//
//   owner (UvHandle<Box>) ---> Box { uv_xxx_t, then what its callback needs }
//     destroyed: data = nullptr, uv_close() ... close callback: delete Box
//
// So an owner may be destroyed at any time, also inside a callback of its own handle. A callback
// reads `data`, the owner, first: null means that the owner has gone.
template <typename RawHandle>
struct UvBox : RawHandle {
  using Raw = RawHandle;
};

template <typename Box>
struct UvClose {
  void operator()(Box* box) const noexcept {
    typename Box::Raw* raw = box;
    raw->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(raw), [](uv_handle_t* closed) {
      delete static_cast<Box*>(reinterpret_cast<typename Box::Raw*>(closed));
    });
  }
};

template <typename Box>
using UvHandle = std::unique_ptr<Box, UvClose<Box>>;

// The owner of a box whose handle `init` has made: `init(Box&)` returns libuv's status. Null, and
// the status in `status`, when that is an error: then there is no handle to close.
template <typename Box, typename Init>
[[nodiscard]] UvHandle<Box> open_uv_handle(std::unique_ptr<Box> box, Init init, int& status) {
  status = init(*box);
  return UvHandle<Box>(status < 0 ? nullptr : box.release());
}

}  // namespace v0
}  // namespace cleave
