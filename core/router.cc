// SPDX-License-Identifier: MIT
#include "cleave/core/router.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace cleave {
inline namespace v0 {
namespace {

// What a collected body may be unless its command says otherwise: it is held in memory.
constexpr std::uint64_t kCollectedBytes = 1024 * 1024;
constexpr std::uint64_t kUnlimited = std::numeric_limits<std::int64_t>::max();

std::string_view name_of(Argument::Type type) {
  switch (type) {
    case Argument::Type::string:
      return "a string";
    case Argument::Type::integer:
      return "an integer";
    case Argument::Type::boolean:
      return "a boolean";
    case Argument::Type::strings:
      return "an array of strings";
    case Argument::Type::object:
      return "an object";
  }
  return "";
}

bool fits(const Argument& argument, const Value& value) {
  switch (argument.type) {
    case Argument::Type::string:
      return value.string().has_value();
    case Argument::Type::integer:
      return value.integer().has_value();
    case Argument::Type::boolean:
      return value.boolean().has_value();
    case Argument::Type::object:
      return value.kind() == Value::Kind::object;
    case Argument::Type::strings:
      if (value.kind() != Value::Kind::array) return false;
      for (const Value element : value) {
        if (!element.string()) return false;
      }
      return true;
  }
  return false;
}

[[maybe_unused]] bool answers_at_once(const Route* route) {
  return route != nullptr && (std::holds_alternative<CollectedFunction>(route->shape) ||
                              std::holds_alternative<ReturningFunction>(route->shape));
}

Result<void> check(const Argument& argument, const std::optional<Value>& value) {
  if (!value) {
    if (!argument.required) return {};
    return fail(Errc::invalid_argument, "'" + argument.name + "' is needed: " + argument.summary);
  }
  if (!fits(argument, *value)) {
    return fail(Errc::invalid_argument, "'" + argument.name + "' must be " +
                                            std::string(name_of(argument.type)) + ", and is " +
                                            std::string(value->kind_name()));
  }
  std::int64_t measure = 0;
  std::string_view what;
  if (const auto number = value->integer(); number && argument.type == Argument::Type::integer) {
    measure = *number;
  } else if (argument.type == Argument::Type::string) {
    measure = static_cast<std::int64_t>(value->string()->size());
    what = " bytes";
  } else {
    return {};
  }
  if (measure >= argument.min && measure <= argument.max) return {};
  return fail(Errc::invalid_argument, "'" + argument.name + "' must be from " +
                                          std::to_string(argument.min) + " to " +
                                          std::to_string(argument.max) + std::string(what) +
                                          ", and is " + std::to_string(measure));
}

}  // namespace

const Route* Router::Command::message_route() const noexcept {
  if (spec.message) return &*spec.message;
  const Route& other = spec.whole ? *spec.whole : route;
  if (std::holds_alternative<HandlerFactory>(other.shape)) return nullptr;
  const bool needs_more = std::any_of(spec.arguments.begin(), spec.arguments.end(),
                                      [](const Argument& argument) { return argument.required; });
  return needs_more ? nullptr : &other;
}

void Router::add(std::string name, CommandSpec spec, Route route) {
  assert(!name.empty() && name.size() <= 64 && name != "cancel" && "not a name for a command");
  const bool holds_body = !std::holds_alternative<HandlerFactory>(route.shape);
  const std::uint64_t body_bytes =
      spec.body_bytes.value_or(holds_body ? kCollectedBytes : kUnlimited);
  std::string key = name;
  [[maybe_unused]] const auto [at, added] = commands_.try_emplace(
      std::move(key), Command{std::move(name), std::move(spec), std::move(route), body_bytes});
  assert(added && "a command was registered twice");
  assert((!at->second.spec.whole || answers_at_once(&*at->second.spec.whole)) &&
         "only a collected handler can be a shortcut");
  assert((!at->second.spec.datagram || answers_at_once(at->second.message_route())) &&
         "a command for datagrams must have a collected handler for messages");
}

const Router::Command* Router::find(std::string_view name) const noexcept {
  const auto at = commands_.find(name);
  return at == commands_.end() ? nullptr : &at->second;
}

Result<void> check_arguments(const CommandSpec& spec, const Header& header) {
  for (const Argument& argument : spec.arguments) {
    if (Result<void> checked = check(argument, header.find(argument.name)); !checked) {
      return checked;
    }
  }
  return {};
}

}  // namespace v0
}  // namespace cleave
