// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <utility>

namespace cleave {
inline namespace v0 {

// A counted reference to a T that counts for itself (see RefCounted). Everything it is used for
// lives on one loop's thread, so the count is a plain integer: std::shared_ptr pays for atomic
// operations as soon as the process has a second thread, and the worker pool is one.
template <typename T>
class Ref {
 public:
  Ref() noexcept = default;
  explicit Ref(T* object) noexcept : object_(object) {
    if (object_ != nullptr) object_->add_ref();
  }
  Ref(const Ref& other) noexcept : Ref(other.object_) {}
  template <typename U>
  Ref(const Ref<U>& other) noexcept : Ref(other.get()) {}  // NOLINT: as a pointer converts
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->drop_ref();
  }

  [[nodiscard]] T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  bool operator==(const Ref&) const noexcept = default;

 private:
  T* object_ = nullptr;
};

// The base of what a Ref refers to: CRTP, so that no virtual destructor is needed. A derived type
// that is recycled instead of deleted hides `last_ref_dropped`.
template <typename Derived>
class RefCounted {
 public:
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void add_ref() const noexcept { ++refs_; }
  void drop_ref() const noexcept {
    if (--refs_ == 0) const_cast<Derived*>(static_cast<const Derived*>(this))->last_ref_dropped();
  }
  [[nodiscard]] std::uint32_t refs() const noexcept { return refs_; }

  void last_ref_dropped() noexcept { delete static_cast<Derived*>(this); }

 protected:
  RefCounted() noexcept = default;
  ~RefCounted() = default;

 private:
  mutable std::uint32_t refs_ = 0;
};

template <typename T, typename... Args>
[[nodiscard]] Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace v0
}  // namespace cleave
