// SPDX-License-Identifier: MIT
#include "cleave/handlers/shell_text.h"

#include <string>
#include <utility>

#include "cleave/handlers/gathered_run.h"
#include "cleave/protocol/utf8.h"

namespace cleave {
inline namespace v0 {
namespace {

class ShellText final : public GatheredRun {
 public:
  ShellText(Programs& programs, const Peer& peer, ReplyToken token)
      : GatheredRun(programs, std::move(token)), peer_(peer) {}

  void on_body(Chunk chunk) override { line_ += chunk.bytes(); }
  void on_end() override {
    if (!is_utf8(line_)) {
      return fail({Errc::invalid_argument, "a command must be UTF-8"});
    }
    auto run = Run::start(programs(),
                          {.process = as_it_is({.argv = {"/bin/sh", "-c", "--", std::move(line_)},
                                                .env = environment_lines(clean_environment())}),
                           .peer = peer_,
                           .output_bytes = programs().options().limits.exec_output_bytes});
    if (!run) return fail(std::move(run.error()));
    (*run)->end_of_input();
    gather(std::move(*run));
  }

 private:
  Reply reply(Outputs outputs) override {
    if (run().truncated()) {
      if (run().error()) return Reply::failure(*run().error());
      return Reply::failure({Errc::too_large,
                             "the output is longer than " + std::to_string(run().output_bytes()) +
                                 " bytes (exec_output_bytes)",
                             "exec_output_bytes"});
    }
    std::string& output = outputs[outputs[1].empty() ? 0 : 1];
    return {run().members(), Buffer::own(std::move(output)), run().error()};
  }

  const Peer peer_;
  std::string line_;
};

}  // namespace

Route shell_text(std::shared_ptr<Programs> programs) {
  return streaming([programs = std::move(programs)](const Request& request, ReplyToken token) {
    return std::make_shared<ShellText>(*programs, request.peer(), std::move(token));
  });
}

}  // namespace v0
}  // namespace cleave
