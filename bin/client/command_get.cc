// SPDX-License-Identifier: MIT
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cleave/bin/client/batch.h"
#include "cleave/bin/client/get_file.h"
#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/local_tree.h"
#include "cleave/bin/client/remote_directory.h"
#include "cleave/bin/client/remote_file.h"
#include "cleave/bin/client/retries.h"
#include "cleave/handlers/file_name.h"

namespace cleave::cli {
namespace {

// A server may have its directories grow while they are listed. What is fetched is held in memory
// by its name before anything is fetched.
constexpr std::size_t kMostFiles = 1'000'000;

constexpr const char* kAboutGet =
    "The file takes its place when its size and its digest are right. When the network breaks, or\n"
    "the server is busy or stops, it is tried again, after half a second and then ever later, and\n"
    "goes on where it stopped. With -c so do later commands, with what is left in .NAME.….part.\n\n"
    "With -r the contents of NAME, of which . is the root, go into FILE. Nothing is written\n"
    "outside, and no symbolic link in it is followed. What is not fetched is said, all others are\n"
    "tried, and the exit status is that of the first failure.\n\n"
    "  cleave get albums/photo.raw copy.raw\n"
    "  cleave get -rc -P 4 albums";

// Says what get_file() would do.
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

// Finds the files below a directory of the server.
class Finding {
 public:
  Finding(Session& session, const Settings& settings, const TransferOptions& options, Batch& batch)
      : session_(session), settings_(settings), options_(options), batch_(batch) {}

  // "." is the root.
  Result<void> find(const std::string& directory) {
    root_ = directory == "." ? "" : directory + "/";
    // Deep or shallow, it is one list.
    directories_.emplace_back();
    while (!directories_.empty()) {
      const std::string next = std::move(directories_.back());
      directories_.pop_back();
      if (auto looked = look_into(next); !looked) return looked;
    }
    return {};
  }

 private:
  // `prefix` is below the root, and empty or ends in a slash.
  Result<void> look_into(const std::string& prefix) {
    std::string directory = root_ + prefix;
    if (!directory.empty()) directory.pop_back();
    Retries retries(session_, settings_, options_, batch_.progress());
    while (true) {
      std::vector<RemoteEntry> entries;
      HeaderParser parser;
      const Result<void> listed = list_directory(
          session_, settings_, directory, [&](std::string_view line) -> Result<void> {
            auto entry = RemoteEntry::parse(parser, line);
            if (!entry) return fail(entry.error());
            entries.push_back(*std::move(entry));
            if (entries.size() + batch_.size() + directories_.size() <= kMostFiles) return {};
            return fail(Errc::too_large,
                        "the directory has more than " + std::to_string(kMostFiles) + " files");
          });
      if (listed) {
        for (const RemoteEntry& entry : entries) take(prefix, entry);
        return {};
      }
      if (!retries.again(listed.error())) return listed;
    }
  }

  void take(const std::string& prefix, const RemoteEntry& entry) {
    const std::string name = prefix + entry.name;
    // Never more than one part, and none that leads elsewhere.
    if (!FileName::is_part(entry.name)) {
      return batch_.refuse(name, {Errc::invalid_argument, "it is no name for a file"});
    }
    if (auto whole = FileName::parse(root_ + name); !whole) {
      return batch_.refuse(name, whole.error());
    }
    if (entry.type == "directory") {
      directories_.push_back(name + "/");
    } else if (entry.type == "file") {
      batch_.add({.local = name, .remote = root_ + name, .size = entry.size});
    } else {
      batch_.refuse(name, {Errc::invalid_argument, "it is neither a file nor a directory"});
    }
  }

  Session& session_;
  const Settings& settings_;
  const TransferOptions& options_;
  Batch& batch_;
  std::string root_;
  std::vector<std::string> directories_;
};

int get_tree(Invocation& invocation, const TransferOptions& options, Batch& batch,
             const std::string& name, const std::string& path) {
  Finding finding(invocation.session, invocation.settings, options, batch);
  if (auto found = finding.find(name); !found) return report_status(found.error());
  if (options.dry_run) {
    return batch.run(plan_get,
                     [&path](const std::string& local) { return LocalFile(path + "/" + local); });
  }
  auto tree = LocalTree::make(path);
  if (!tree) return report_status(tree.error());
  return batch.run(get_file,
                   [&tree](const std::string& local) { return tree->make_room_for(local); });
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
  app.footer(kAboutGet);
  if (auto status = invocation.parse()) return *status;
  Session& session = invocation.session;
  const Settings& settings = invocation.settings;

  Batch batch(session, settings, options);
  if (path == "-") {
    if (options.resume || options.recursive || options.dry_run) {
      return invocation.usage_error(
          "standard output takes one file as it is, without these options");
    }
    invocation.settings.json = false;  // the results are the file's bytes
    batch.add({.local = path, .remote = name});
    return batch.run(get_to_output, [](const std::string& local) { return LocalFile(local); });
  }
  if (options.recursive) {
    while (name.size() > 1 && name.back() == '/') name.pop_back();
    Retries retries(session, settings, options, batch.progress());
    bool tree = name == ".";
    while (!tree) {
      const Outcome there = status_of(session, settings, name);
      if (there.result) {
        tree = there.header->string_or("type", "").value_or("") == "directory";
        break;
      }
      if (!retries.again(there.result.error())) return report_status(there.result.error());
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
  return batch.run(options.dry_run ? plan_get : get_file,
                   [](const std::string& local) { return LocalFile(local); });
}

}  // namespace cleave::cli
