// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/bin/load/expectation.h"
#include "cleave/bin/load/gather.h"
#include "cleave/bin/load/known_replies.h"
#include "cleave/bin/load/requests.h"
#include "cleave/bin/load/ring.h"
#include "cleave/core/stream.h"
#include "cleave/protocol/decoder.h"

namespace cleave::load {

// What all connections of a run use together, one at a time.
struct Workplace {
  Workplace(const Requests& with, const Expectation& expect);

  const Requests& requests;
  const Expectation& expectation;
  HeaderParser parser;
  KnownReplies known;
  Gather gather;
  std::vector<char> input;
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_bytes = 0;
};

// One connection under load: has up to `depth` requests in flight, and tells what became of each.
// It writes and reads independently, as a server may answer before it has read everything. Nothing
// is allocated for a message, and nothing is kept of a body.
class LoadConnection final : private Stream::Events {
 public:
  // Who decides when requests are made, and counts.
  class Host {
   public:
    // What became of a request that counts from the time `at`.
    virtual void on_ok(std::uint64_t at) = 0;
    virtual void on_error(std::uint64_t at, std::string_view code, std::string_view message) = 0;
    virtual void on_wrong(std::uint64_t at, const std::string& sentence) = 0;
    // A read has brought something: all replies in it have come now.
    virtual void on_input() = 0;
    // They have been told, or a request has been sent: there may be room for new ones.
    virtual void on_room(LoadConnection& connection) = 0;
    // The connection has ended; what was in flight will not be answered.
    virtual void on_lost(LoadConnection& connection, const std::string& sentence) = 0;

   protected:
    ~Host() = default;
  };

  // `host` and `workplace` outlive it. `number` is for whoever has many.
  LoadConnection(Host& host, Workplace& workplace, std::unique_ptr<Stream> stream,
                 std::size_t number = 0);

  [[nodiscard]] std::size_t number() const noexcept { return number_; }
  [[nodiscard]] bool lost() const noexcept { return stream_ == nullptr; }
  [[nodiscard]] bool has_room() const noexcept { return !lost() && !free_.empty(); }
  // Requests that have no reply yet.
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }
  // Whether something waits to be sent.
  [[nodiscard]] bool queued() const noexcept { return !queued_.empty(); }
  // Makes a request that counts from the time `at`; there must be room. It is sent by flush().
  void start(std::uint64_t at);
  // Sends what was made, as far as the system takes it now; the rest goes by itself.
  void flush();

 private:
  enum class State : std::uint8_t {
    free,
    queued,    // not all of it is sent
    sent,      // and not all of its reply has come
    answered,  // all of its reply has come, and not all of it is sent
  };
  struct Slot {
    std::uint64_t at = 0;
    std::uint64_t received = 0;  // bytes of its reply's body
    std::uint32_t round = 0;
    State state = State::free;
    bool wrong = false;
  };

  void on_ready(bool readable, bool writable) override;
  void on_hangup(bool gone) override;
  void read();
  void take(std::string_view input);
  [[nodiscard]] bool take_known(std::string_view& input);
  void on_head(Ref<const Header> header);
  void on_body(std::string_view bytes);
  void on_end();
  void advance(std::size_t bytes);
  void finish(std::uint32_t index);
  void release_or_wait(std::uint32_t index);
  void release(std::uint32_t index);
  void lose(const std::string& sentence);
  // The slot that a frame is for, if a reply to its request can come.
  [[nodiscard]] std::optional<std::uint32_t> slot_of(const FrameHead& frame) const noexcept;
  [[nodiscard]] std::uint64_t id_of(std::uint32_t slot) const noexcept;

  Host& host_;
  Workplace& workplace_;
  const std::size_t number_;
  std::unique_ptr<Stream> stream_;
  Decoder decoder_;
  std::vector<Slot> slots_;
  Ring<std::uint32_t> free_;
  Ring<std::uint32_t> queued_;
  std::size_t in_flight_ = 0;
  std::uint64_t sent_ = 0;     // bytes of the first that is queued
  std::uint32_t next_ = 0;     // the slot whose reply is expected next; without ids it is that one
  std::uint32_t current_ = 0;  // the slot whose reply is being read
  Ref<const Header> head_;     // of the frame of it that is being read
  bool refused_ = false;       // that reply is an error
  std::string difference_;     // what was wrong with the last one that was
  bool blocked_ = false;       // the system takes no more now
  bool deaf_ = false;          // the server takes no more; what it has said is read first
};

}  // namespace cleave::load
