// SPDX-License-Identifier: MIT
#include <optional>
#include <string>
#include <utility>

#include "cleave/bin/client/batch.h"
#include "cleave/bin/client/file_actions.h"
#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/local_path.h"
#include "cleave/bin/client/local_tree.h"
#include "cleave/bin/client/remote_directory.h"
#include "cleave/bin/client/remote_status.h"
#include "cleave/bin/client/remote_tree.h"
#include "cleave/bin/client/retries.h"

namespace cleave::cli {
namespace {

// Says what fetch() would do.
Result<Transferred> plan_get(const Transfer& transfer) {
  if (transfer.options.no_clobber && exists(transfer.local)) return Transferred{.skipped = true};
  // With -r the server has just said that it is there.
  if (!transfer.options.recursive) {
    const Outcome there = status_of(transfer.session, transfer.settings, transfer.remote);
    if (!there.result) return fail(there.result.error());
  }
  say_plan(transfer, transfer.remote, transfer.local.path());
  return Transferred{};
}

int get_tree(Invocation& invocation, const TransferOptions& options, Batch& batch,
             const std::string& name, const std::string& path) {
  RemoteTree found_there(invocation.session, invocation.settings, batch);
  if (auto found = found_there.find(name); !found)
    return invocation.console().report_status(found.error());
  if (options.dry_run) {
    return batch.run(plan_get,
                     [&path](const std::string& local) { return LocalFile(path + "/" + local); });
  }
  auto tree = LocalTree::make(path);
  if (!tree) return invocation.console().report_status(tree.error());
  return batch.run(fetch, [&tree](const std::string& local) { return tree->make_room_for(local); });
}

}  // namespace

int run_get(Invocation& invocation) {
  std::string name;
  std::string path;
  TransferOptions options;
  auto& app = invocation.app();
  app.add_option("NAME", name, "Its name on the server; with -r a directory, . is the root")
      ->required();
  app.add_option("FILE", path, "Where to; - is standard output; default the last part of NAME");
  add_transfer_options(app, options);
  if (auto status = invocation.parse()) return *status;
  Session& session = invocation.session;
  const Settings& settings = invocation.settings;

  if (!settings.retries) invocation.settings.retries = kRetries;
  // A terminal that shows the file has no room for anything else.
  const bool to_output = path == "-";
  const bool onto_screen = to_output && session.console().output_terminal().is_terminal();
  if (to_output) {
    if (options.resume || options.recursive || options.dry_run) {
      return invocation.usage_error(
          "standard output takes one file as it is, without -r, -c and --dry-run");
    }
    invocation.settings.json = false;  // the results are the file's bytes
  }
  Batch batch(session, settings, options, !options.dry_run && !onto_screen);
  if (to_output) {
    batch.add({.local = path, .remote = name});
    return batch.run(fetch_to_output, [](const std::string& local) { return LocalFile(local); });
  }
  if (options.recursive) {
    name = directory_name(std::move(name));
    bool tree = name == ".";
    if (!tree) {
      const Outcome there = status_of(session, settings, name);
      if (!there.result) return invocation.console().report_status(there.result.error());
      tree = there.header->string_or("type", "").value_or("") == "directory";
    }
    if (tree) {
      if (path.empty()) path = base_name(name);
      return get_tree(invocation, options, batch, name, path);
    }
  }
  // Where a file goes is decided by what was typed here, never by what a server sends.
  if (path.empty()) path = base_name(name);
  if (is_directory(path)) path += "/" + base_name(name);
  batch.add({.local = path, .remote = name});
  return batch.run(options.dry_run ? plan_get : fetch,
                   [](const std::string& local) { return LocalFile(local); });
}

}  // namespace cleave::cli
