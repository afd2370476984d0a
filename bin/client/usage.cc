// SPDX-License-Identifier: MIT
#include "cleave/bin/client/usage.h"

#include <CLI/CLI.hpp>
#include <charconv>

namespace cleave::cli {

std::function<std::string(const std::string& text)> whole_number(std::uint64_t least,
                                                                 std::uint64_t most) {
  return [least, most](const std::string& text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    const bool right = error == std::errc() && stopped == end && number >= least && number <= most;
    return right ? std::string()
                 : "expected a whole number from " + std::to_string(least) + " to " +
                       std::to_string(most) + ", got '" + text + "'";
  };
}

std::string usage_sentence(const CLI::App& app, const CLI::ParseError& error) {
  std::string text = error.what();
  if (error.get_name() == "ArgumentMismatch") {
    // "--name: 1 required N missing", "--name: At Most 1 required but received 2"
    const std::string name = text.substr(0, text.find(':'));
    const CLI::Option* const option = app.get_option_no_throw(name);
    if (option == nullptr) return text;
    if (option->count() > 1) {
      return name + ": expected one value, got " + std::to_string(option->count());
    }
    return name + ": expected " + option->get_type_name() + ", got nothing";
  }
  // Of flags alone, as other values are checked before: "Could not convert: --name = value"
  const std::size_t name = text.find("--");
  const std::size_t equals = text.find(" = ");
  if (error.get_name() == "ConversionError" && name < equals && equals != std::string::npos) {
    return text.substr(name, equals - name) + ": expected true or false, got '" +
           text.substr(equals + 3) + "'";
  }
  return text;
}

}  // namespace cleave::cli
