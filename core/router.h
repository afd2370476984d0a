// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/handler.h"
#include "cleave/protocol/api.h"
#include "cleave/protocol/header.h"
#include "cleave/protocol/members.h"

namespace cleave {
inline namespace v0 {

// A member of a request that a command understands. `help` shows it, and a request that breaks it
// is refused with `invalid_argument` before the handler sees it.
struct Argument {
  enum class Type : std::uint8_t { string, integer, boolean, strings, object };

  std::string name;
  Type type = Type::string;
  std::string summary = {};
  bool required = false;
  // Integers: the range. Strings: the range of their size in bytes.
  std::int64_t min = 0;
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
};

// How the body of a request is found where its header does not say so in the usual way: older
// clients name the size in a member of their own, and do not read replies.
struct BodyRule {
  std::optional<std::uint64_t> size;  // bytes of body; empty: as the frame says
  bool one_way = false;               // no reply is ever sent, neither success nor failure
};

// What is known of a command beside its handler.
struct CommandSpec {
  std::string summary;  // one line for `help`
  // What `help` tells besides.
  Members details = {};
  std::vector<Argument> arguments = {};
  // The longest body: 1 MiB for collected shapes, which hold it, unlimited for streaming ones.
  std::optional<std::uint64_t> body_bytes = {};
  // False: a body is dropped instead of refused.
  bool takes_body = true;
  // A shortcut of a streaming command for requests with short bodies (32 KiB) that came in one
  // piece, as most do: a collected handler that answers as the streaming one would, at half its
  // cost. Bare messages are served by it whatever their length; see `message`.
  std::optional<Route> whole = {};
  // What serves the command where a request is a bare message that is its body: on the wires raw,
  // ready, prefix and header, and in datagrams. Empty: `whole`, or else the handler itself if it is
  // collected or later, where no argument is required; others are then not offered there.
  std::optional<Route> message = {};
  // The longest bare message; as body_bytes unless it is said.
  std::optional<std::uint64_t> message_bytes = {};
  // May be offered on datagram listeners: small, harmless, without effect. What serves its messages
  // must be collected then, as nothing is kept of a datagram (asserted). There body_rule is not
  // asked: a datagram is all of its frame.
  bool datagram = false;
  // Runs while the server drains, too: for the commands by which it is watched.
  bool while_draining = false;
  // Reads a header of an older client; see BodyRule. An error refuses the request.
  std::function<Result<BodyRule>(const Header& header)> body_rule = {};
};

// The commands of a server. Filled before the server starts; must outlive it.
class CLEAVE_API Router {
 public:
  // The longest body for CommandSpec::whole: a longer one seldom comes in one piece, and is cheaper
  // passed on than copied.
  static constexpr std::uint64_t kWholeBytes = 32 * 1024;

  struct Command {
    std::string name;
    CommandSpec spec;
    Route route;
    std::uint64_t body_bytes;  // the limit in force

    // What serves a request of whose body `size` bytes will come, the first `here` of them at once.
    [[nodiscard]] const Route& route_for(std::uint64_t size, std::uint64_t here) const noexcept {
      return spec.whole && size <= kWholeBytes && size <= here ? *spec.whole : route;
    }
    // What serves it where a request is a bare message; null where it is not offered so: it
    // streams, or it needs arguments.
    [[nodiscard]] CLEAVE_API const Route* message_route() const noexcept;
    // The longest bare message.
    [[nodiscard]] std::uint64_t message_bytes() const noexcept {
      return spec.message_bytes.value_or(body_bytes);
    }
  };

  // `name` is 1 to 64 bytes, not yet used, and not "cancel", which the framework answers itself
  // (asserted).
  void add(std::string name, CommandSpec spec, Route route);

  // Null if there is none. Valid as long as the router.
  [[nodiscard]] const Command* find(std::string_view name) const noexcept;
  // All commands, sorted by name.
  [[nodiscard]] const std::map<std::string, Command, std::less<>>& commands() const noexcept {
    return commands_;
  }

 private:
  std::map<std::string, Command, std::less<>> commands_;
};

// Checks the members of `header` against the command's arguments: `invalid_argument` with a
// sentence that names the first one that is wrong.
[[nodiscard]] CLEAVE_API Result<void> check_arguments(const CommandSpec& spec,
                                                      const Header& header);

}  // namespace v0
}  // namespace cleave
