// SPDX-License-Identifier: MIT
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "cleave/bin/client/batch.h"
#include "cleave/bin/client/file_actions.h"
#include "cleave/bin/client/file_line.h"
#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/local_path.h"
#include "cleave/bin/client/local_tree.h"
#include "cleave/bin/client/remote_directory.h"
#include "cleave/bin/client/remote_status.h"
#include "cleave/bin/client/retries.h"
#include "cleave/bin/client/standard_input.h"
#include "cleave/bin/client/text.h"
#include "cleave/handlers/file_name.h"
#include "cleave/handlers/file_source.h"

namespace cleave::cli {
namespace {

// What is transferred by a request of its own.
class OneFile {
 public:
  OneFile(Invocation& invocation, const std::string& path, const std::string& name)
      : invocation_(invocation),
        progress_(invocation.session.loop(), invocation.console(), true),
        share_(std::in_place, progress_, name),
        line_(file_line(path, name)) {}
  ProgressShare& share() noexcept { return *share_; }
  // Tells how it has ended, and gives the exit status.
  int end(const Result<void>& result, const Ref<const Header>& reply) {
    Console& console = invocation_.console();
    share_.reset();
    int status = kOk;
    if (!result) {
      append_error(line_, result.error());
      // A program is told with the file.
      if (!console.events()) console.report(result.error());
      status = exit_status(result.error().code);
    } else {
      line_.set("status", "ok");
      if (reply) append_results(line_, *reply);
    }
    if (invocation_.settings.json) console.print(json_line(line_.object()));
    progress_.file_ended(line_, result.has_value());
    progress_.end();
    const int written = console.finish_results();
    return status == kOk ? written : status;
  }

 private:
  Invocation& invocation_;
  Progress progress_;
  std::optional<ProgressShare> share_;
  Members line_;
};

int put_one_way(Invocation& invocation, const std::string& path, const std::string& name) {
  auto file = FileSource::open(invocation.session.loop(), LocalFile(path));
  if (!file) return invocation.console().report_status(file.error());
  OneFile one(invocation, path, name);
  one.share().expect((*file)->file_size());
  (*file)->on_progress([&one](std::uint64_t done) { one.share().reach(done); });
  // The size goes by the name that servers know which never answer a put.
  Call call{.cmd = "put",
            .members = Members().set("filename", name).set("filesize", (*file)->file_size()),
            .body = std::shared_ptr<Source>(*file)};
  const Result<void> sent = invocation.session.run_one_way(invocation.settings, std::move(call));
  (*file)->on_progress({});
  return one.end(sent, {});
}

int put_input(Invocation& invocation, const std::string& name, bool replace) {
  auto input = StandardInput::open(invocation.session.loop());
  if (!input) return invocation.console().report_status(input.error());
  OneFile one(invocation, "-", name);
  (*input)->on_progress([&one](std::uint64_t done) { one.share().reach(done); });
  Call call{.cmd = "put",
            .members = Members().set("filename", name),
            .body = std::shared_ptr<Source>(*input)};
  if (!replace) call.members.set("overwrite", false);
  std::string ignored;
  const Outcome outcome = invocation.session.run(invocation.settings, std::move(call), ignored);
  (*input)->on_progress({});
  return one.end(outcome.result, outcome.header);
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

// Of a directory, without -r.
Result<Transferred> refuse_directory(const Transfer& transfer) {
  return fail(Errc::invalid_argument,
              "'" + transfer.local.path() + "' is a directory; put -r stores what is in it");
}

// Below `directory` on the server; "." is its root.
int put_tree(Invocation& invocation, Batch& batch, Batch::Action action, const std::string& path,
             const std::string& directory) {
  auto tree = LocalTree::open(path);
  if (!tree) return invocation.console().report_status(tree.error());
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

  if (options.no_clobber && options.no_overwrite) {
    return invocation.usage_error(
        "--no-clobber passes over a file that is there and --no-overwrite fails: leave one out");
  }
  const bool special = options.resume || options.recursive || options.dry_run;
  if (path == "-" || one_way) {
    if (special || options.no_clobber) {
      return invocation.usage_error(
          "standard input and one-way files go once and as they are, without -r, -c, --dry-run and "
          "--no-clobber");
    }
    if (name.empty()) name = base_name(path);
    if (auto status = invocation.refuse_unless_utf8(name)) return *status;
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
  if (tree) name = directory_name(std::move(name));
  if (auto status = invocation.refuse_unless_utf8(name)) return *status;
  if (!invocation.settings.retries) invocation.settings.retries = kRetries;
  Batch batch(invocation.session, invocation.settings, options, !options.dry_run);
  const Batch::Action action = options.dry_run ? plan_put : store;
  if (tree) return put_tree(invocation, batch, action, path, name);
  batch.add({.local = path, .remote = name});
  return batch.run(is_directory(path) ? refuse_directory : action,
                   [](const std::string& local) { return LocalFile(local); });
}

}  // namespace cleave::cli
