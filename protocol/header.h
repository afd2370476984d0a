// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/protocol/api.h"
#include "cleave/protocol/ref.h"
#include "cleave/protocol/result.h"

namespace cleave {
inline namespace v0 {

// What a header may be. Every one of them is checked while the header is parsed, so none of them
// can be exceeded first and noticed later.
struct HeaderLimits {
  std::uint32_t header_bytes = 65'536;  // a command line of ARG_MAX scale fits; a body does not
  std::uint32_t depth = 16;             // no built-in command needs more than 3
  std::uint32_t values = 1'024;         // members and elements in all: bounds the work of a header
  std::uint32_t key_bytes = 64;         // names are words, not data
};

class Header;

// A view of one JSON value inside a Header; valid as long as the header is.
class CLEAVE_API Value {
 public:
  enum class Kind : std::uint8_t { null, boolean, number, string, array, object };

  [[nodiscard]] Kind kind() const noexcept;
  // "null", "a boolean", "a number" …: for sentences.
  [[nodiscard]] std::string_view kind_name() const noexcept;

  // The value as a C++ type; empty if it is of another kind. Nothing is converted: `1.0`, `1e3`,
  // `-0` and `"5"` are no integers. A string is UTF-8 and may hold U+0000.
  [[nodiscard]] std::optional<bool> boolean() const noexcept;
  [[nodiscard]] std::optional<std::int64_t> integer() const noexcept;
  [[nodiscard]] std::optional<std::string_view> string() const noexcept;
  // The characters of a number as they were sent ("1e3"), or of a string; for error messages.
  [[nodiscard]] std::string_view text() const noexcept;

  // The name of an object's member; empty for the elements of an array.
  [[nodiscard]] std::string_view name() const noexcept;
  // Elements of an array or members of an object; nothing for other kinds.
  class Iterator;
  [[nodiscard]] Iterator begin() const noexcept;
  [[nodiscard]] Iterator end() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;
  // The member called `name` of an object; empty if there is none. Give the result a name before
  // you loop over it: C++20 ends the optional of `for (… : *value.find("a"))` too early.
  [[nodiscard]] std::optional<Value> find(std::string_view name) const noexcept;

 private:
  friend class Header;
  Value(const Header& header, std::uint32_t index) noexcept : header_(&header), index_(index) {}

  const Header* header_;
  std::uint32_t index_;
};

// The members that belong to a frame and not to the command in it. A frame whose members break the
// rules of this group has lost its place in the stream: there is no telling where it ends.
struct FrameHead {
  std::optional<std::uint64_t> id;         // 0 … 2^53-1
  std::optional<std::uint64_t> data_size;  // bytes of body in this frame, 0 … 2^63-1; absent: 0
  bool more = false;                       // further frames of this message follow; needs an id
};

// A parsed header: one JSON object, immutable, as a flat list of values in document order. Made by
// a HeaderParser only, so a Header that exists keeps the limits and the rules of the wire.
class CLEAVE_API Header final : public RefCounted<Header> {
 public:
  // The object itself.
  [[nodiscard]] Value root() const noexcept { return Value(*this, 0); }
  [[nodiscard]] std::optional<Value> find(std::string_view name) const noexcept {
    return root().find(name);
  }
  [[nodiscard]] const FrameHead& frame() const noexcept { return frame_; }
  // The bytes it was parsed from.
  [[nodiscard]] std::string_view json() const noexcept { return json_; }
  // The same for headers that differ in the digits of integers only: what was found of one that
  // follows from its names, its kinds and its strings is true of the other. Of one parser's headers
  // only; different shapes say nothing. 0 for a header that is not remembered, being long.
  [[nodiscard]] std::uint64_t shape() const noexcept { return shape_; }
  // The memory that it takes.
  [[nodiscard]] std::size_t capacity() const noexcept;

  // Typed getters for the members of the object: the value, or `invalid_argument` with a sentence
  // that names the member. The `_or` forms give the fallback where the member is absent (a member
  // of a wrong type is an error all the same).
  [[nodiscard]] Result<std::string_view> string(std::string_view name) const;
  [[nodiscard]] Result<std::string_view> string_or(std::string_view name,
                                                   std::string_view fallback) const;
  [[nodiscard]] Result<std::int64_t> integer(std::string_view name, std::int64_t min,
                                             std::int64_t max) const;
  [[nodiscard]] Result<std::int64_t> integer_or(std::string_view name, std::int64_t min,
                                                std::int64_t max, std::int64_t fallback) const;
  [[nodiscard]] Result<bool> boolean_or(std::string_view name, bool fallback) const;
  [[nodiscard]] Result<std::vector<std::string>> strings(std::string_view name) const;

  // Recycled by its parser, as capacity is dear and headers are many.
  void last_ref_dropped() noexcept;

 private:
  friend class Value;
  friend class HeaderParser;
  friend struct HeaderBuilder;
  Header() = default;
  [[nodiscard]] Value value_at(std::uint32_t index) const noexcept { return Value(*this, index); }

  // One value. Names and strings are slices of `text_`, numbers of `json_`; `end` is the index
  // behind the last value inside this one, so a sibling is one step away.
  struct Node {
    Value::Kind kind;
    bool truth;   // of a boolean
    bool digits;  // a number that is nothing but digits
    std::uint32_t name_at, name_size;
    std::uint32_t text_at, text_size;
    std::uint32_t end;
  };

  std::string json_;
  std::string text_;
  std::vector<Node> nodes_;
  FrameHead frame_;
  std::uint64_t shape_ = 0;
  // Where the frame's integers are among the nodes; 0 where there is none.
  std::uint32_t id_at_ = 0;
  std::uint32_t data_size_at_ = 0;
  struct HeaderPool* pool_ = nullptr;
};

// Parses headers strictly (RFC 8259): one object, nothing after it, UTF-8, no duplicate member at
// any depth, no U+0000 in a name, no lone surrogate, numbers kept as text. One per loop: it keeps
// the memory of dead headers for the next ones, and remembers recent headers: bytes that are equal
// to an earlier header's are not parsed again, nor are those that differ in the digits of integers
// only, as the headers of one client do whose `id`s count up. Headers may outlive it.
class CLEAVE_API HeaderParser {
 public:
  explicit HeaderParser(const HeaderLimits& limits = {});
  ~HeaderParser();
  HeaderParser(HeaderParser&&) noexcept;
  HeaderParser& operator=(HeaderParser&&) noexcept;

  // The header, or a `protocol_error` that says what was expected, what came and where.
  // `json.size()` must be within `limits().header_bytes`: the length prefix is checked before.
  [[nodiscard]] Result<Ref<const Header>> parse(std::string_view json);
  // Of the header that was refused last: the byte at which that was noticed; 0 where no single one
  // is to blame.
  [[nodiscard]] std::size_t fault_at() const noexcept;

  [[nodiscard]] const HeaderLimits& limits() const noexcept;
  // Takes effect with the next header.
  void set_limits(const HeaderLimits& limits) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Value::Iterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = Value;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = Value;

  Iterator() noexcept = default;
  Value operator*() const noexcept { return Value(*header_, index_); }
  CLEAVE_API Iterator& operator++() noexcept;
  Iterator operator++(int) noexcept {
    Iterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Iterator&) const noexcept = default;

 private:
  friend class Value;
  Iterator(const Header* header, std::uint32_t index) noexcept : header_(header), index_(index) {}

  const Header* header_ = nullptr;
  std::uint32_t index_ = 0;
};

}  // namespace v0
}  // namespace cleave
