// SPDX-License-Identifier: MIT
#include <cstdio>
#include <string>
#include <utility>

#include "cleave/bin/client/file_source.h"
#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/local_path.h"
#include "cleave/bin/client/progress.h"
#include "cleave/bin/client/standard_input.h"
#include "cleave/bin/client/text.h"

namespace cleave::cli {
namespace {

int put_one_way(Invocation& invocation, const std::shared_ptr<FileSource>& file,
                const std::string& name) {
  // The size goes by the name that servers know which never answer a put.
  Call call{.cmd = "put",
            .members = Members().set("filename", name).set("filesize", *file->size()),
            .body = std::shared_ptr<Source>(file)};
  const Result<void> sent = invocation.session.run_one_way(invocation.settings, std::move(call));
  return sent ? kOk : report_status(sent.error());
}

// The server's digest of what it has stored, against ours of what we have read.
Result<void> compare(const Header& reply, const std::string& ours) {
  const auto theirs = reply.string_or("xxh3", ours);
  if (!theirs || *theirs == ours) return {};
  return fail(Errc::checksum_mismatch, "the server stored bytes with xxh3 " + std::string(*theirs) +
                                           ", the file has " + ours);
}

}  // namespace

int run_put(Invocation& invocation) {
  std::string path;
  std::string name;
  bool one_way = false;
  bool keep = false;
  auto& app = invocation.app();
  app.add_option("FILE", path, "The file to send; - is standard input")->required();
  app.add_option("NAME", name, "Its name on the server; default the last part of FILE");
  app.add_flag("--one-way", one_way, "Expect no answer, as of servers that never give one");
  app.add_flag("--no-overwrite", keep, "Fail if there is a file of that name");
  if (auto status = invocation.parse()) return *status;
  const bool from_input = path == "-";
  if (name.empty()) name = base_name(path);
  if (from_input && (name == "-" || one_way || invocation.settings.interactive)) {
    return invocation.usage_error("standard input needs a NAME, an answer, and no prompt");
  }

  Session& session = invocation.session;
  std::shared_ptr<FileSource> file;
  if (!from_input) {
    auto opened = FileSource::open(session.loop(), path);
    if (!opened) return report_status(opened.error());
    file = std::move(*opened);
  }
  std::optional<Progress> progress(std::in_place, name, !invocation.settings.quiet);
  if (file) {
    progress->set_total(*file->size());
    file->on_progress([&progress](std::uint64_t done) { progress->update(done); });
  }
  if (one_way) return put_one_way(invocation, file, name);

  Call call{.cmd = "put", .members = Members().set("filename", name)};
  if (keep) call.members.set("overwrite", false);
  if (file) {
    call.members.set("file_size", *file->size());
    call.body = std::shared_ptr<Source>(file);
  } else {
    auto input = StandardInput::open(session.loop());
    if (!input) return report_status(input.error());
    call.body = std::shared_ptr<Source>(std::move(*input));
  }
  std::string ignored;
  const Outcome outcome = session.run(invocation.settings, std::move(call), ignored);
  if (file) file->on_progress({});
  progress.reset();
  if (file && file->error()) return report_status(*file->error());
  if (!outcome.result) return report_status(outcome.result.error());
  if (auto ours = file ? file->digest() : std::nullopt) {
    if (auto same = compare(*outcome.header, *ours); !same) return report_status(same.error());
  }
  if (invocation.settings.json) std::puts(results_json(*outcome.header).c_str());
  return finish_results();
}

}  // namespace cleave::cli
