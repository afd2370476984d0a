// SPDX-License-Identifier: MIT
#include "cleave/bin/client/environment.h"

#include <cstdlib>

namespace cleave::cli {
namespace {

std::optional<std::string> absolute(const std::string& name) {
  auto path = environment_variable(name);
  return path && path->starts_with('/') ? path : std::nullopt;
}

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::optional<std::string> home_folder() {
  return absolute("HOME");
}

std::optional<std::string> user_folder(const std::string& variable, const std::string& usual) {
  if (auto folder = absolute(variable)) return folder;
  const auto home = home_folder();
  return home ? std::optional(*home + "/" + usual) : std::nullopt;
}

}  // namespace cleave::cli
