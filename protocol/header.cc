// SPDX-License-Identifier: MIT
#include "cleave/protocol/header.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "cleave/protocol/members.h"
#include "cleave/protocol/utf8.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::int64_t kIdMax = (std::int64_t{1} << 53) - 1;
constexpr std::int64_t kDataSizeMax = std::numeric_limits<std::int64_t>::max();

// Dead headers that are kept for the next ones: as many as one connection's requests in flight,
// and none of them large, so that a burst of long headers is not paid for ever after.
constexpr std::size_t kSpareHeaders = 256;
constexpr std::size_t kSpareHeaderBytes = 8 * 1024;
// Recent headers that are remembered: a client asks for few different things at a time, and a long
// header is hardly ever the same twice.
constexpr std::size_t kRecentHeaders = 4;
constexpr std::size_t kRecentHeaderBytes = 4 * 1024;
// As much of a peer's text as an error message quotes.
constexpr std::size_t kQuotedBytes = 40;

// Every integer of so many digits fits 64 bits.
constexpr std::size_t kSafeDigits = 18;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text.substr(0, kQuotedBytes));
  if (text.size() > kQuotedBytes) out += "…";
  return out;
}

// What came, for the end of a sentence: `the string "5"`, `the number 1e3`, `null`.
std::string described(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::string:
      return "the string " + quoted(value.text());
    case Value::Kind::number: {
      const std::string_view text = value.text();
      return "the number " + std::string(text.substr(0, kQuotedBytes)) +
             (text.size() > kQuotedBytes ? "…" : "");
    }
    case Value::Kind::boolean:
      return *value.boolean() ? "true" : "false";
    default:
      return std::string(value.kind_name());
  }
}

// `"offset" must be an integer from 0 to 10, and the string "5" came`.
std::string wrong(std::string_view name, std::string_view expected, const Value& value) {
  return quoted(name) + " must be " + std::string(expected) + ", and " + described(value) + " came";
}

std::string integer_range(std::int64_t min, std::int64_t max) {
  return "an integer from " + std::to_string(min) + " to " + std::to_string(max);
}

tl::unexpected<Error> missing(std::string_view name, std::string_view expected) {
  return fail(Errc::invalid_argument,
              quoted(name) + " is missing: it must be " + std::string(expected));
}

}  // namespace

// The memory of dead headers. It belongs to the parser and to the headers that are alive, whoever
// lasts longest.
struct HeaderPool {
  HeaderPool() { spare.reserve(kSpareHeaders); }

  // The parser is gone.
  void close() noexcept {
    closed = true;
    spare.clear();
    if (alive == 0) delete this;
  }

  std::vector<std::unique_ptr<Header>> spare;
  std::size_t alive = 0;
  bool closed = false;
};

std::size_t Header::capacity() const noexcept {
  return json_.capacity() + text_.capacity() + nodes_.capacity() * sizeof(Node);
}

void Header::last_ref_dropped() noexcept {
  HeaderPool& pool = *pool_;
  std::unique_ptr<Header> self(this);
  if (!pool.closed && pool.spare.size() < kSpareHeaders && capacity() <= kSpareHeaderBytes) {
    pool.spare.push_back(std::move(self));  // its room was reserved, so this cannot throw
  }
  if (--pool.alive == 0 && pool.closed) delete &pool;
}

// ---- Reading a value ----------------------------------------------------------------------------

Value::Kind Value::kind() const noexcept {
  return header_->nodes_[index_].kind;
}

std::string_view Value::kind_name() const noexcept {
  constexpr std::array<std::string_view, 6> kNames = {"null",     "a boolean", "a number",
                                                      "a string", "an array",  "an object"};
  return kNames[static_cast<std::size_t>(kind())];
}

std::optional<bool> Value::boolean() const noexcept {
  if (kind() != Kind::boolean) return std::nullopt;
  return header_->nodes_[index_].truth;
}

std::optional<std::int64_t> Value::integer() const noexcept {
  const Header::Node& node = header_->nodes_[index_];
  if (node.kind != Kind::number) return std::nullopt;
  const std::string_view digits = text();
  if (node.digits && digits.size() <= kSafeDigits) {
    std::int64_t number = 0;
    for (const char digit : digits) number = number * 10 + (digit - '0');
    return number;
  }
  if (digits == "-0") return std::nullopt;
  std::int64_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::optional<std::string_view> Value::string() const noexcept {
  if (kind() != Kind::string) return std::nullopt;
  return text();
}

std::string_view Value::text() const noexcept {
  const Header::Node& node = header_->nodes_[index_];
  const std::string& all = node.kind == Kind::number ? header_->json_ : header_->text_;
  return {all.data() + node.text_at, node.text_size};
}

std::string_view Value::name() const noexcept {
  const Header::Node& node = header_->nodes_[index_];
  return {header_->text_.data() + node.name_at, node.name_size};
}

Value::Iterator Value::begin() const noexcept {
  return {header_, index_ + 1};
}
Value::Iterator Value::end() const noexcept {
  return {header_, header_->nodes_[index_].end};
}

Value::Iterator& Value::Iterator::operator++() noexcept {
  index_ = header_->nodes_[index_].end;
  return *this;
}

std::size_t Value::size() const noexcept {
  return static_cast<std::size_t>(std::distance(begin(), end()));
}

std::optional<Value> Value::find(std::string_view name) const noexcept {
  if (kind() != Kind::object) return std::nullopt;
  const std::vector<Header::Node>& nodes = header_->nodes_;
  const char* const names = header_->text_.data();
  for (std::uint32_t i = index_ + 1; i < nodes[index_].end; i = nodes[i].end) {
    if (std::string_view(names + nodes[i].name_at, nodes[i].name_size) == name) {
      return Value(*header_, i);
    }
  }
  return std::nullopt;
}

// ---- Reading a member ---------------------------------------------------------------------------

Result<std::string_view> Header::string(std::string_view name) const {
  const std::optional<Value> value = find(name);
  if (!value) return missing(name, "a string");
  if (value->kind() != Value::Kind::string) {
    return fail(Errc::invalid_argument, wrong(name, "a string", *value));
  }
  return value->text();
}

Result<std::string_view> Header::string_or(std::string_view name, std::string_view fallback) const {
  if (!find(name)) return fallback;
  return string(name);
}

Result<std::int64_t> Header::integer(std::string_view name, std::int64_t min,
                                     std::int64_t max) const {
  const std::optional<Value> value = find(name);
  if (!value) return missing(name, integer_range(min, max));
  const std::optional<std::int64_t> number = value->integer();
  if (!number || *number < min || *number > max) {
    return fail(Errc::invalid_argument, wrong(name, integer_range(min, max), *value));
  }
  return *number;
}

Result<std::int64_t> Header::integer_or(std::string_view name, std::int64_t min, std::int64_t max,
                                        std::int64_t fallback) const {
  if (!find(name)) return fallback;
  return integer(name, min, max);
}

Result<bool> Header::boolean_or(std::string_view name, bool fallback) const {
  const std::optional<Value> value = find(name);
  if (!value) return fallback;
  if (value->kind() != Value::Kind::boolean) {
    return fail(Errc::invalid_argument, wrong(name, "true or false", *value));
  }
  return *value->boolean();
}

Result<std::vector<std::string>> Header::strings(std::string_view name) const {
  const std::optional<Value> value = find(name);
  if (!value) return missing(name, "an array of strings");
  if (value->kind() != Value::Kind::array) {
    return fail(Errc::invalid_argument, wrong(name, "an array of strings", *value));
  }
  std::vector<std::string> texts;
  for (const Value element : *value) {
    if (element.kind() != Value::Kind::string) {
      return fail(Errc::invalid_argument, wrong(name, "an array of strings", element) +
                                              " as element " + std::to_string(texts.size()));
    }
    texts.emplace_back(element.text());
  }
  return texts;
}

// ---- Parsing ------------------------------------------------------------------------------------

// Receives what the reader finds and lays it out flat. Returning false stops the reader, and with
// it its recursion. The names of its functions are the reader's.
struct HeaderBuilder : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, HeaderBuilder> {
  using Kind = Value::Kind;
  using Size = rapidjson::SizeType;

  HeaderBuilder(Header& target, const rapidjson::MemoryStream& source, const HeaderLimits& applied,
                std::vector<std::uint32_t>& lent)
      : header(target), stream(source), limits(applied), members(lent) {}

  bool Default() { return refuse("a value of an unknown kind"); }
  bool Null() { return add(Kind::null); }
  bool Bool(bool truth) {
    if (!add(Kind::boolean)) return false;
    header.nodes_.back().truth = truth;
    return true;
  }
  bool RawNumber(const char* text, Size size, bool) {
    if (!add(Kind::number)) return false;
    Header::Node& node = header.nodes_.back();
    node.digits = std::all_of(text, text + size, is_digit);
    node.text_at = static_cast<std::uint32_t>(stream.Tell() - size);
    node.text_size = size;
    return true;
  }
  bool String(const char* text, Size size, bool) {
    // The reader checks the bytes, but lets an escape make half of a surrogate pair.
    if (!is_utf8({text, size})) return refuse("a string that is not UTF-8: half a surrogate pair");
    return add(Kind::string, {text, size});
  }
  bool StartObject() { return open_container(Kind::object); }
  bool Key(const char* text, Size size, bool) {
    const std::string_view name(text, size);
    if (size > limits.key_bytes) {
      return refuse("a name of " + std::to_string(size) +
                        " bytes, and the limit (header_key_bytes) is " +
                        std::to_string(limits.key_bytes),
                    "header_key_bytes");
    }
    if (!is_utf8(name)) return refuse("a name that is not UTF-8: half a surrogate pair");
    if (name.find('\0') != std::string_view::npos) return refuse("a name with U+0000 in it");
    name_at = keep(name);
    name_size = size;
    return true;
  }
  bool EndObject(Size) {
    const std::uint32_t object = close_container();
    return no_duplicates(object);
  }
  bool StartArray() { return open_container(Kind::array); }
  bool EndArray(Size) {
    close_container();
    return true;
  }

  bool refuse(std::string what, std::string_view limit = {}) {
    refusal = std::move(what);
    limit_met = limit;
    return false;
  }

  std::uint32_t keep(std::string_view text) {
    const std::size_t at = header.text_.size();
    header.text_ += text;
    return static_cast<std::uint32_t>(at);
  }

  std::uint32_t count() const { return static_cast<std::uint32_t>(header.nodes_.size()); }

  bool add(Kind kind, std::string_view text = {}) {
    if (count() > limits.values) {  // the root is not counted
      return refuse(
          "more values than the limit (header_values) of " + std::to_string(limits.values),
          "header_values");
    }
    const std::uint32_t text_at = keep(text);
    header.nodes_.push_back({.kind = kind,
                             .truth = false,
                             .digits = false,
                             .name_at = name_at,
                             .name_size = name_size,
                             .text_at = text_at,
                             .text_size = static_cast<std::uint32_t>(text.size()),
                             .end = count() + 1});
    name_size = 0;  // the elements of an array have none
    return true;
  }

  // While a container is open, its `end` holds the container around it.
  bool open_container(Kind kind) {
    if (depth == limits.depth) {
      return refuse(
          "deeper nesting than the limit (header_depth) of " + std::to_string(limits.depth),
          "header_depth");
    }
    if (!add(kind)) return false;
    ++depth;
    header.nodes_.back().end = std::exchange(innermost, count() - 1);
    return true;
  }

  std::uint32_t close_container() {
    --depth;
    const std::uint32_t closed = innermost;
    innermost = std::exchange(header.nodes_[closed].end, count());
    return closed;
  }

  // Many are sorted, as comparing every pair would let a header cost the square of its size.
  bool no_duplicates(std::uint32_t object) {
    constexpr std::size_t kFew = 8;
    const auto name = [this](std::uint32_t index) {
      const Header::Node& node = header.nodes_[index];
      return std::string_view(header.text_).substr(node.name_at, node.name_size);
    };
    members.clear();
    for (std::uint32_t i = object + 1; i < count(); i = header.nodes_[i].end) {
      if (members.size() < kFew) {
        const std::string_view mine = name(i);
        for (const std::uint32_t other : members) {
          if (name(other) == mine) return twice(mine);
        }
      }
      members.push_back(i);
    }
    if (members.size() <= kFew) return true;
    std::sort(members.begin(), members.end(), [&name](std::uint32_t left, std::uint32_t right) {
      return name(left) < name(right);
    });
    const auto twin = std::adjacent_find(
        members.begin(), members.end(),
        [&name](std::uint32_t left, std::uint32_t right) { return name(left) == name(right); });
    return twin == members.end() || twice(name(*twin));
  }
  bool twice(std::string_view name) {
    return refuse("the member " + quoted(name) + " twice in one object");
  }

  Header& header;
  const rapidjson::MemoryStream& stream;
  const HeaderLimits& limits;
  std::vector<std::uint32_t>& members;
  std::string refusal;
  std::string_view limit_met;
  std::uint32_t name_at = 0;
  std::uint32_t name_size = 0;
  std::uint32_t depth = 0;
  std::uint32_t innermost = 0;
};

namespace {

tl::unexpected<Error> untrusted(std::string message, std::string_view limit = {}) {
  return fail(Errc::protocol_error, std::move(message), limit);
}

}  // namespace

struct HeaderParser::State {
  explicit State(const HeaderLimits& initial) : limits(initial), pool(new HeaderPool) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    recent = {};
    pool->close();
  }

  Ref<Header> blank() {
    std::unique_ptr<Header> header;
    if (pool->spare.empty()) {
      header.reset(new Header);
      header->pool_ = pool;
    } else {
      header = std::move(pool->spare.back());
      pool->spare.pop_back();
      header->text_.clear();
      header->nodes_.clear();
      header->frame_ = {};
      header->id_at_ = header->data_size_at_ = 0;
    }
    ++pool->alive;
    return Ref<Header>(header.release());
  }

  Result<Ref<const Header>> parse(std::string_view json);
  Result<Ref<const Header>> parse_anew(std::string_view json);
  [[nodiscard]] static Result<void> find_frame(Header& header);
  [[nodiscard]] static Result<void> read_frame(Header& header);
  [[nodiscard]] bool has_other_digits(const Header& earlier, std::string_view json);
  [[nodiscard]] Result<Ref<const Header>> with_other_digits(const Header& earlier,
                                                            std::string_view json);

  HeaderLimits limits;
  HeaderPool* pool;
  rapidjson::Reader reader;  // keeps its memory from header to header
  std::vector<std::uint32_t> members;
  std::vector<std::uint32_t> sizes;  // of the numbers that has_other_digits() found
  std::array<Ref<const Header>, kRecentHeaders> recent;
  std::uint64_t shapes = 0;  // that there were so far
  std::size_t newest = 0;    // of them: the last that was asked for
  std::size_t oldest = 0;
  std::size_t fault_at = 0;
};

Result<Ref<const Header>> HeaderParser::State::parse(std::string_view json) {
  if (json.size() > kRecentHeaderBytes) return parse_anew(json);
  if (recent[newest] && recent[newest]->json() == json) return recent[newest];
  for (std::size_t i = 0; i < recent.size(); ++i) {
    if (!recent[i] || recent[i]->json() != json) continue;
    newest = i;
    return recent[i];
  }
  for (std::size_t i = 0; i < recent.size(); ++i) {
    if (!recent[i] || !has_other_digits(*recent[i], json)) continue;
    fault_at = 0;
    Result<Ref<const Header>> header = with_other_digits(*recent[i], json);
    if (header) {
      newest = i;
      recent[i] = *header;
    }
    return header;
  }
  Result<Ref<const Header>> header = parse_anew(json);
  if (header) {
    newest = oldest;
    recent[newest] = *header;
    oldest = (oldest + 1) % kRecentHeaders;
  }
  return header;
}

// Whether `json` has the bytes of an earlier header but for the digits of its integers. It is no
// second parser: what differs in any other byte is parsed, and an integer in the place of an
// integer makes the same header of it, as no rule of JSON depends on which one it is.
bool HeaderParser::State::has_other_digits(const Header& earlier, std::string_view json) {
  const std::string_view known = earlier.json();
  std::size_t known_at = 0;
  std::size_t at = 0;
  const auto same_up_to = [&](std::size_t known_end) {
    const std::size_t size = known_end - known_at;
    if (json.size() - at < size ||
        std::memcmp(known.data() + known_at, json.data() + at, size) != 0)
      return false;
    at += size;
    return true;
  };
  sizes.clear();
  for (const Header::Node& node : earlier.nodes_) {
    if (node.kind != Value::Kind::number || !node.digits) continue;
    if (!same_up_to(node.text_at)) return false;
    known_at = node.text_at + node.text_size;
    const std::size_t first = at;
    while (at < json.size() && is_digit(json[at])) ++at;
    const std::size_t size = at - first;
    if (size == 0 || size > kSafeDigits || (json[first] == '0' && size > 1)) return false;
    sizes.push_back(static_cast<std::uint32_t>(size));
  }
  return same_up_to(known.size()) && at == json.size();
}

Result<Ref<const Header>> HeaderParser::State::with_other_digits(const Header& earlier,
                                                                 std::string_view json) {
  const Ref<Header> header = blank();
  header->json_ = json;
  header->text_ = earlier.text_;
  header->nodes_ = earlier.nodes_;
  header->shape_ = earlier.shape_;
  header->id_at_ = earlier.id_at_;
  header->data_size_at_ = earlier.data_size_at_;
  header->frame_.more = earlier.frame_.more;
  auto size = sizes.begin();
  std::uint32_t grown = 0;  // modulo 2^32, as it may have shrunk
  for (Header::Node& node : header->nodes_) {
    if (node.kind != Value::Kind::number) continue;
    node.text_at += grown;
    if (!node.digits) continue;
    grown += *size - node.text_size;
    node.text_size = *size++;
  }
  if (Result<void> read = read_frame(*header); !read) return fail(std::move(read.error()));
  return Ref<const Header>(header);
}

// Finds the members of the frame, by one walk, as most headers have none or one of them.
Result<void> HeaderParser::State::find_frame(Header& header) {
  bool more_came = false;
  const std::vector<Header::Node>& nodes = header.nodes_;
  for (std::uint32_t i = 1; i < nodes.size(); i = nodes[i].end) {
    const Value member = header.value_at(i);
    if (member.name() == "id") {
      header.id_at_ = i;
    } else if (member.name() == "data_size") {
      header.data_size_at_ = i;
    } else if (member.name() == "more") {
      if (!member.boolean()) return untrusted(wrong("more", "true or false", member));
      header.frame_.more = *member.boolean();
      more_came = true;
    }
  }
  if (more_came && header.id_at_ == 0) return untrusted("\"more\" needs an \"id\", and none came");
  return {};
}

// The values of those that are integers.
Result<void> HeaderParser::State::read_frame(Header& header) {
  const auto read = [&header](std::uint32_t at, std::int64_t max,
                              std::optional<std::uint64_t>& into) {
    if (at == 0) return true;
    const std::optional<std::int64_t> number = header.value_at(at).integer();
    if (number && *number >= 0 && *number <= max) into = static_cast<std::uint64_t>(*number);
    return into.has_value();
  };
  FrameHead& frame = header.frame_;
  const auto refuse = [&header](std::uint32_t at, std::int64_t max) {
    const Value member = header.value_at(at);
    return untrusted(wrong(member.name(), integer_range(0, max), member));
  };
  if (!read(header.id_at_, kIdMax, frame.id)) return refuse(header.id_at_, kIdMax);
  if (!read(header.data_size_at_, kDataSizeMax, frame.data_size)) {
    return refuse(header.data_size_at_, kDataSizeMax);
  }
  return {};
}

// Debian's reader crashes on some numbers unless they are left as text, lets bytes through that are
// not UTF-8 unless it is told to check them, and takes a NUL for the end of its input. Hence these
// two flags and no other, and the look at where it stopped.
Result<Ref<const Header>> HeaderParser::State::parse_anew(std::string_view json) {
  const std::size_t first = json.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || json[first] != '{') {
    if (first != std::string_view::npos) fault_at = first;
    return untrusted("a header must be one JSON object, and " +
                     (first == std::string_view::npos
                          ? "nothing but blanks"
                          : quoted(json.substr(first, 1)) + " at byte " + std::to_string(first)) +
                     " came");
  }
  const Ref<Header> header = blank();
  header->json_ = json;
  rapidjson::MemoryStream stream(json.data(), json.size());
  HeaderBuilder builder(*header, stream, limits, members);
  constexpr unsigned kFlags =
      rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
  const rapidjson::ParseResult outcome = reader.Parse<kFlags>(stream, builder);
  fault_at = outcome.IsError() ? outcome.Offset() : stream.Tell();
  if (!builder.refusal.empty()) {
    return untrusted(
        "the header has " + builder.refusal + " (byte " + std::to_string(outcome.Offset()) + ")",
        builder.limit_met);
  }
  if (outcome.IsError()) {
    return untrusted("the header is not strict JSON at byte " + std::to_string(outcome.Offset()) +
                     ": " + rapidjson::GetParseError_En(outcome.Code()));
  }
  if (stream.Tell() != json.size()) {
    return untrusted("the header's object ends before byte " + std::to_string(stream.Tell()) +
                     " of " + std::to_string(json.size()) + ", and a NUL follows it");
  }
  fault_at = 0;
  if (Result<void> found = find_frame(*header); !found) return fail(std::move(found.error()));
  if (Result<void> read = read_frame(*header); !read) return fail(std::move(read.error()));
  header->shape_ = json.size() <= kRecentHeaderBytes ? ++shapes : 0;
  return Ref<const Header>(header);
}

HeaderParser::HeaderParser(const HeaderLimits& limits) : state_(std::make_unique<State>(limits)) {}
HeaderParser::~HeaderParser() = default;
HeaderParser::HeaderParser(HeaderParser&&) noexcept = default;
HeaderParser& HeaderParser::operator=(HeaderParser&&) noexcept = default;

Result<Ref<const Header>> HeaderParser::parse(std::string_view json) {
  assert(json.size() <= std::numeric_limits<std::uint32_t>::max());
  return state_->parse(json);
}

std::size_t HeaderParser::fault_at() const noexcept {
  return state_->fault_at;
}

const HeaderLimits& HeaderParser::limits() const noexcept {
  return state_->limits;
}

void HeaderParser::set_limits(const HeaderLimits& limits) noexcept {
  state_->limits = limits;
  state_->recent = {};  // they were parsed by other limits
}

}  // namespace v0
}  // namespace cleave
