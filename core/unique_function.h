// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace cleave {
inline namespace v0 {

// A callable that is moved, never copied, so that it can hold a reply token or a Buffer: what
// std::move_only_function is in C++23, which GCC 12 does not have at C++20. Small callables (up to
// four pointers) are held without an allocation.
template <typename Signature>
class UniqueFunction;

template <typename R, typename... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() noexcept = default;
  UniqueFunction(std::nullptr_t) noexcept {}  // NOLINT: as std::function converts

  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, UniqueFunction> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
      UniqueFunction(F&& function) {  // NOLINT: as std::function converts
    using Held = std::decay_t<F>;
    if constexpr (fits<Held>) {
      ::new (static_cast<void*>(space_)) Held(std::forward<F>(function));
      operations_ = &kInPlace<Held>;
    } else {
      ::new (static_cast<void*>(space_)) Held*(new Held(std::forward<F>(function)));
      operations_ = &kOnHeap<Held>;
    }
  }

  UniqueFunction(UniqueFunction&& other) noexcept { take(other); }
  UniqueFunction& operator=(UniqueFunction&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~UniqueFunction() { reset(); }

  explicit operator bool() const noexcept { return operations_ != nullptr; }
  R operator()(Args... args) {
    assert(operations_ != nullptr && "an empty UniqueFunction was called");
    return operations_->call(space_, std::forward<Args>(args)...);
  }
  void reset() noexcept {
    if (const Operations* was = std::exchange(operations_, nullptr)) was->destroy(space_);
  }

 private:
  struct Operations {
    R (*call)(void*, Args&&...);
    void (*move)(void* to, void* from) noexcept;
    void (*destroy)(void*) noexcept;
  };

  static constexpr std::size_t kSpace = 4 * sizeof(void*);
  template <typename F>
  static constexpr bool fits =
      sizeof(F) <= kSpace &&
      alignof(F) <= alignof(void*) && std::is_nothrow_move_constructible_v<F>;

  template <typename F>
  static constexpr Operations kInPlace{
      [](void* space, Args&&... args) -> R {
        return (*static_cast<F*>(space))(std::forward<Args>(args)...);
      },
      [](void* to, void* from) noexcept {
        ::new (to) F(std::move(*static_cast<F*>(from)));
        static_cast<F*>(from)->~F();
      },
      [](void* space) noexcept { static_cast<F*>(space)->~F(); }};
  template <typename F>
  static constexpr Operations kOnHeap{
      [](void* space, Args&&... args) -> R {
        return (**static_cast<F**>(space))(std::forward<Args>(args)...);
      },
      [](void* to, void* from) noexcept { ::new (to) F*(*static_cast<F**>(from)); },
      [](void* space) noexcept { delete *static_cast<F**>(space); }};

  void take(UniqueFunction& other) noexcept {
    operations_ = std::exchange(other.operations_, nullptr);
    if (operations_ != nullptr) operations_->move(space_, other.space_);
  }

  const Operations* operations_ = nullptr;
  // No stricter, or the objects around it, of which every connection has several, would be padded.
  alignas(void*) unsigned char space_[kSpace];
};

}  // namespace v0
}  // namespace cleave
