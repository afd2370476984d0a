// SPDX-License-Identifier: MIT
#include "cleave/handlers/introspection.h"

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace cleave {
inline namespace v0 {
namespace {

std::string_view type_name(Argument::Type type) {
  switch (type) {
    case Argument::Type::string:
      return "string";
    case Argument::Type::integer:
      return "integer";
    case Argument::Type::boolean:
      return "boolean";
    case Argument::Type::strings:
      return "strings";
    case Argument::Type::object:
      return "object";
  }
  std::abort();
}

// `[a,b,c]` of JSON values.
template <typename Items, typename ToJson>
std::string json_array(const Items& items, ToJson to_json) {
  std::string array = "[";
  for (const auto& item : items) {
    if (array.size() > 1) array += ',';
    array += to_json(item);
  }
  return array + "]";
}

std::string describe(const Argument& argument) {
  Members members;
  members.set("name", argument.name);
  members.set("type", type_name(argument.type));
  members.set("required", argument.required);
  members.set("summary", argument.summary);
  const bool ranged =
      argument.type == Argument::Type::integer || argument.type == Argument::Type::string;
  if (ranged) members.set("min", argument.min);
  if (ranged && argument.max != std::numeric_limits<std::int64_t>::max()) {
    members.set("max", argument.max);
  }
  return members.object();
}

std::string describe(const Router::Command& command) {
  Members members;
  members.set("cmd", command.name);
  members.set("summary", command.spec.summary);
  members.set_raw("arguments", json_array(command.spec.arguments, [](const Argument& argument) {
                    return describe(argument);
                  }));
  members.set("takes_body", command.spec.takes_body);
  // A limit that no body reaches is none.
  if (command.spec.takes_body && command.body_bytes <= std::numeric_limits<std::int64_t>::max()) {
    members.set("body_bytes", command.body_bytes);
  }
  members.set("datagram", command.spec.datagram);
  if (!command.spec.details.empty()) members.append(command.spec.details);
  return members.object();
}

// A command that replies with what `write` says.
void add(Router& router, std::string name, std::string summary, bool datagram,
         std::function<void(Members&)> write) {
  router.add(std::move(name),
             {.summary = std::move(summary),
              .takes_body = false,
              .datagram = datagram,
              .while_draining = true},
             collected([write = std::move(write)](const Request&, std::string_view,
                                                  ReplyWriter& reply) -> Result<void> {
               Members members;
               write(members);
               reply.append(members.object());
               return {};
             }));
}

}  // namespace

void add_introspection(Router& router, const Loop& loop, const Metrics& metrics,
                       std::function<void(Members& into)> limits) {
  add(router, "ping", "tells that the server lives, its version and how long it has run", true,
      [&loop, started = loop.now()](Members& members) {
        members.set("protocol", 1);
        members.set("version", CLEAVE_VERSION);
        members.set("uptime_ms", (loop.now() - started).count());
      });
  add(router, "help", "describes every command with its arguments", false,
      [&router](Members& members) {
        members.set_raw("commands", json_array(router.commands(), [](const auto& entry) {
                          return describe(entry.second);
                        }));
      });
  add(router, "limits", "tells every limit in force, by its name", false, std::move(limits));
  add(router, "stats", "tells every counter", false,
      [&metrics](Members& members) { members = metrics.members(); });
}

}  // namespace v0
}  // namespace cleave
