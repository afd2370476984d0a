// SPDX-License-Identifier: MIT
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "cleave/bin/client/batch.h"
#include "cleave/bin/client/file_actions.h"
#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/local_path.h"
#include "cleave/bin/client/local_tree.h"
#include "cleave/bin/client/remote_status.h"
#include "cleave/bin/client/standard_input.h"
#include "cleave/bin/client/text.h"
#include "cleave/handlers/file_name.h"
#include "cleave/handlers/file_source.h"

namespace cleave::cli {
namespace {

int put_one_way(Invocation& invocation, const std::string& path, const std::string& name) {
  auto file = FileSource::open(invocation.session.loop(), LocalFile(path));
  if (!file) return report_status(file.error());
  Progress progress(name, !invocation.settings.quiet);
  ProgressShare share(progress);
  share.expect((*file)->file_size());
  (*file)->on_progress([&share](std::uint64_t done) { share.reach(done); });
  // The size goes by the name that servers know which never answer a put.
  Call call{.cmd = "put",
            .members = Members().set("filename", name).set("filesize", (*file)->file_size()),
            .body = std::shared_ptr<Source>(*file)};
  const Result<void> sent = invocation.session.run_one_way(invocation.settings, std::move(call));
  (*file)->on_progress({});
  return sent ? kOk : report_status(sent.error());
}

int put_input(Invocation& invocation, const std::string& name, bool replace) {
  auto input = StandardInput::open(invocation.session.loop());
  if (!input) return report_status(input.error());
  Call call{.cmd = "put",
            .members = Members().set("filename", name),
            .body = std::shared_ptr<Source>(std::move(*input))};
  if (!replace) call.members.set("overwrite", false);
  std::string ignored;
  const Outcome outcome = invocation.session.run(invocation.settings, std::move(call), ignored);
  if (!outcome.result) return report_status(outcome.result.error());
  if (invocation.settings.json) std::puts(results_json(*outcome.header).c_str());
  return finish_results();
}

// Says what store() would do.
Result<Transferred> plan_put(const Transfer& transfer) {
  auto file = FileSource::open(transfer.session.loop(), transfer.local);
  if (!file) return fail(file.error());
  if (transfer.options.no_clobber || transfer.options.no_overwrite) {
    const Outcome there = status_of(transfer.session, transfer.settings, transfer.remote);
    if (there.result && transfer.options.no_clobber) return Transferred{.skipped = true};
    if (there.result) {
      return fail(Errc::already_exists, "there is a file '" + transfer.remote + "' already");
    }
    if (there.result.error().code != Errc::not_found) return fail(there.result.error());
  }
  say_plan(transfer, transfer.local.path(), transfer.remote);
  return Transferred{};
}

// Below `directory` on the server; "." is its root.
int put_tree(Batch& batch, Batch::Action action, const std::string& path,
             const std::string& directory) {
  auto tree = LocalTree::open(path);
  if (!tree) return report_status(tree.error());
  const std::string prefix = directory == "." ? "" : directory + "/";
  const auto refuse = [&](const std::string& name, const Error& error) {
    batch.refuse({.local = path + "/" + name, .remote = {}}, error);
  };
  LocalTree::Visitor visitor{
      .file =
          [&](const std::string& name, std::uint64_t size) {
            auto remote = FileName::parse(prefix + name);
            if (!remote) return refuse(name, remote.error());
            batch.add({.local = name, .remote = remote->text(), .size = size});
          },
      .skipped = refuse};
  tree->walk(visitor);
  return batch.run(action, [&tree](const std::string& name) { return tree->find(name); });
}

}  // namespace

int run_put(Invocation& invocation) {
  std::string path;
  std::string name;
  bool one_way = false;
  TransferOptions options;
  auto& app = invocation.app();
  app.add_option("FILE", path, "The file to send; - is standard input; with -r a directory")
      ->required();
  app.add_option("NAME", name, "Its name on the server; default the last part of FILE");
  app.add_flag("--one-way", one_way, "Expect no answer, as of servers that never give one");
  app.add_flag("--no-overwrite", options.no_overwrite, "Fail if there is a file of that name");
  add_transfer_options(app, options);
  if (auto status = invocation.parse()) return *status;

  const bool special = options.resume || options.recursive || options.dry_run;
  if (path == "-" || one_way) {
    if (special || options.no_clobber) {
      return invocation.usage_error(
          "standard input and one-way files go once and as they are, without these options");
    }
    if (name.empty()) name = base_name(path);
    if (path != "-") return put_one_way(invocation, path, name);
    if (name == "-" || one_way || invocation.settings.interactive) {
      return invocation.usage_error("standard input needs a NAME, an answer, and no prompt");
    }
    return put_input(invocation, name, !options.no_overwrite);
  }

  const bool tree = options.recursive && is_directory(path);
  while (tree && path.size() > 1 && path.back() == '/') path.pop_back();
  if (name.empty()) {
    // "." and ".." have names, too.
    std::error_code error;
    name = base_name(tree ? std::filesystem::canonical(path, error).string() : path);
    if (name.empty() && tree) return invocation.usage_error("a NAME is needed; . is the root");
  }
  while (tree && name.size() > 1 && name.back() == '/') name.pop_back();
  Batch batch(invocation.session, invocation.settings, options);
  const Batch::Action action = options.dry_run ? plan_put : store;
  if (tree) return put_tree(batch, action, path, name);
  batch.add({.local = path, .remote = name});
  return batch.run(action, [](const std::string& local) { return LocalFile(local); });
}

}  // namespace cleave::cli
