// SPDX-License-Identifier: MIT
#pragma once

#include <any>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/core/time.h"
#include "cleave/protocol/header.h"

namespace cleave {
inline namespace v0 {

// The process at the other end of a local socket, as the kernel vouches for it: as it was when it
// connected.
struct PeerCredentials {
  std::int64_t pid = -1;  // -1 where the system does not tell
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;

  bool operator==(const PeerCredentials&) const = default;
};

// Who sent a request, and where it was sent to.
struct Peer {
  // "127.0.0.1:50312", "[::1]:50312", or "unix" for a local socket.
  std::string address;
  // Our end: "127.0.0.1:8080", or the socket's path.
  std::string local_address = {};
  // Of a local socket, where the system knows them.
  std::optional<PeerCredentials> credentials = {};
};

// What a handler sees of a request: a read-only view of its header. It lives until the reply is
// complete, so a handler object or a callback that holds the reply token may keep a reference.
class CLEAVE_API Request {
 public:
  [[nodiscard]] std::string_view cmd() const noexcept { return cmd_; }
  // The whole header, for members that are arrays or objects.
  [[nodiscard]] const Header& header() const noexcept { return *header_; }

  // Typed getters; see Header. Arguments that the command declared have been checked before the
  // handler sees the request, so for those an error cannot come.
  [[nodiscard]] Result<std::string_view> string(std::string_view name) const {
    return header_->string(name);
  }
  [[nodiscard]] Result<std::string_view> string_or(std::string_view name,
                                                   std::string_view fallback) const {
    return header_->string_or(name, fallback);
  }
  [[nodiscard]] Result<std::int64_t> integer(std::string_view name, std::int64_t min,
                                             std::int64_t max) const {
    return header_->integer(name, min, max);
  }
  [[nodiscard]] Result<std::int64_t> integer_or(std::string_view name, std::int64_t min,
                                                std::int64_t max, std::int64_t fallback) const {
    return header_->integer_or(name, min, max, fallback);
  }
  [[nodiscard]] Result<bool> boolean_or(std::string_view name, bool fallback) const {
    return header_->boolean_or(name, fallback);
  }
  [[nodiscard]] Result<std::vector<std::string>> strings(std::string_view name) const {
    return header_->strings(name);
  }
  [[nodiscard]] bool has(std::string_view name) const noexcept {
    return header_->find(name).has_value();
  }

  // True if the request has an `id`: its reply may then consist of many frames, of any total size.
  [[nodiscard]] bool has_id() const noexcept { return header_->frame().id.has_value(); }
  // Bytes of body, where they are known: not for a message of several frames.
  [[nodiscard]] std::optional<std::uint64_t> body_size() const noexcept { return body_size_; }
  // When the request's `timeout_ms` ends; empty without one.
  [[nodiscard]] std::optional<Time> deadline() const noexcept { return deadline_; }
  [[nodiscard]] const Peer& peer() const noexcept { return *peer_; }

  // What an Interceptor knows of the request, for the handler: one value of each type, such as the
  // name that was authenticated. Only an Interceptor has a Request to attach to.
  template <typename T>
  void attach(T value) {
    if (!attached_) attached_ = std::make_unique<std::vector<std::any>>();
    for (std::any& each : *attached_) {
      if (std::any_cast<T>(&each) != nullptr) {
        each = std::move(value);
        return;
      }
    }
    attached_->emplace_back(std::move(value));
  }
  // Null where there is none of that type. Valid as long as the request.
  template <typename T>
  [[nodiscard]] const T* attached() const noexcept {
    if (!attached_) return nullptr;
    for (const std::any& each : *attached_) {
      if (const T* value = std::any_cast<T>(&each)) return value;
    }
    return nullptr;
  }

 private:
  friend class Connection;
  friend class Exchange;
  friend class DatagramListener;
  Request() = default;

  Ref<const Header> header_;
  std::string_view cmd_;
  std::optional<std::uint64_t> body_size_;
  std::optional<Time> deadline_;
  const Peer* peer_ = nullptr;
  std::unique_ptr<std::vector<std::any>> attached_;  // null as long as there is nothing
};

}  // namespace v0
}  // namespace cleave
