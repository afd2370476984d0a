// SPDX-License-Identifier: MIT
#include "cleave/bin/client/start_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>

#include "cleave/bin/client/command.h"
#include "cleave/core/endpoint.h"

namespace cleave::cli {
namespace {

// A sentence where it is no address to connect to.
std::string server_address(const std::string& url) {
  const auto begins_it = [&url](const char* scheme) { return url.starts_with(scheme); };
  if (!std::ranges::any_of(std::array{"tcp://", "udp://", "unix:"}, begins_it)) {
    return "expected tcp://HOST:PORT, udp://HOST:PORT or unix:PATH, got '" + url + "'";
  }
  const Result<Endpoint> endpoint = Endpoint::parse(url);
  return endpoint ? "" : endpoint.error().message;
}

}  // namespace

void add_start_options(CLI::App& app, StartOptions& options, Settings& settings) {
  app.set_help_flag("-h,--help", "Show this, or behind a command what that does");
  app.add_option("-s,--server", settings.server,
                 "The server's address: tcp://HOST:PORT, unix:PATH or udp://HOST:PORT; HOST is "
                 "numeric, or localhost")
      ->type_name("URL")
      ->capture_default_str()
      ->check(server_address);
  app.option_defaults()->configurable(false);
  app.add_option("-p,--profile", options.profile,
                 "Take what is not said here from this profile (CLEAVE_PROFILE)")
      ->type_name("NAME");
  app.add_option("--config", options.config,
                 "The file of profiles (CLEAVE_CONFIG), in place of ~/.config/cleave/config.toml; "
                 "an empty name: none")
      ->type_name("FILE");
  app.add_flag("--man", options.man, "Write the man page")->group("");
  app.set_version_flag("--version", "cleave " CLEAVE_VERSION, "Show the version");
  app.option_defaults()->configurable(true);
  add_common_options(app, settings);
}

}  // namespace cleave::cli
