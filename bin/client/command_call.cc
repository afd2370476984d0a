// SPDX-License-Identifier: MIT
// Any request at all: what has no command of its own, and what servers of other people offer.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/request_members.h"
#include "cleave/bin/client/standard_input.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/text_writer.h"
#include "cleave/handlers/file_source.h"

namespace cleave::cli {
namespace {

class Printing final : public Sink {
 public:
  Printing(Session& session, const Settings& settings)
      : writer_(session, settings, STDOUT_FILENO, "standard output") {}
  void on_body(Buffer bytes) override { writer_.write(std::move(bytes)); }
  std::optional<Error> finish() { return writer_.finish(); }

 private:
  TextWriter writer_;
};

}  // namespace

int run_call(Invocation& invocation) {
  std::string cmd;
  std::vector<std::string> headers;
  std::string path;
  auto& app = invocation.app();
  app.add_option("CMD", cmd, "The command")->required();
  app.add_option("--header", headers, "A member of the request; JSON, or else a string")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  auto* body = app.add_option("--body", path, "The body; - is standard input")->type_name("FILE");
  if (auto status = invocation.parse()) return *status;

  Session& session = invocation.session;
  Call call{.cmd = cmd};
  Result<Members> members = request_members(headers);
  if (!members) return invocation.usage_error(members.error().message);
  call.members = *std::move(members);
  if (path == "-" && invocation.settings.interactive) {
    return invocation.usage_error("standard input is the prompt's");
  }
  if (path == "-") {
    auto input = StandardInput::open(session.loop());
    if (!input) return invocation.console().report_status(input.error());
    call.body = std::shared_ptr<Source>(std::move(*input));
  } else if (!body->empty()) {
    auto file = FileSource::open(session.loop(), LocalFile(path));
    if (!file) return invocation.console().report_status(file.error());
    call.body = std::shared_ptr<Source>(std::move(*file));
  }
  Printing printing(session, invocation.settings);
  const Outcome outcome = session.run(invocation.settings, std::move(call), printing);
  const std::optional<Error> not_written = printing.finish();
  // Which has ended the request, too.
  if (not_written) return invocation.console().report_status(*not_written);
  if (!outcome.result) return invocation.console().report_status(outcome.result.error());
  // The body is the result; what stands beside it does not mix with it.
  if (!invocation.settings.quiet) {
    std::fprintf(stderr, "%s\n", results_json(*outcome.header).c_str());
  }
  return kOk;
}

}  // namespace cleave::cli
