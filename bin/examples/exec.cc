// SPDX-License-Identifier: MIT
// A request that goes on after its body has ended: runs a program on the body, and sends what it
// prints as it comes. A slow reader stops it at its pipe; a cancel, a deadline or a lost peer kills
// it.
//
//     $ build/bin/example_exec &
//     listening on tcp://127.0.0.1:8080?wire=frame
//     $ printf 'b\na\n' | cleave call run --header 'argv=["sort"]' --body -
//     a
//     b
//     {"exit_code":0}
#include <csignal>
#include <cstdio>
#include <deque>

#include "cleave/core/process.h"
#include "cleave/core/server.h"

using namespace cleave;

namespace {

// Feeds the body to the program, and is what it prints: the reply begins before the body has ended.
class Run final : public Handler, public Source {
 public:
  static Result<std::shared_ptr<Run>> start(Loop& loop, std::vector<std::string> argv) {
    auto run = std::make_shared<Run>();
    auto process = Process::spawn(loop, {.argv = std::move(argv), .env = {"PATH=/usr/bin:/bin"}},
                                  [run = run.get()](ProcessExit exit) { run->exited(exit); });
    if (!process) return fail(process.error());
    run->process_ = std::move(*process);
    auto reader =
        PipeReader::create(loop, run->process_->take_stdout(), [run = run.get()] { run->wake(); });
    auto writer =
        PipeWriter::create(loop, run->process_->take_stdin(), [run = run.get()] { run->feed(); });
    if (!reader || !writer) return fail(reader ? writer.error() : reader.error());
    run->stdout_.emplace(std::move(*reader));
    run->stdin_.emplace(std::move(*writer));
    return run;
  }

  void on_body(Chunk chunk) override { input_.push_back(std::move(chunk).keep()), feed(); }
  void on_end() override { input_ended_ = true, feed(); }

  Pulled pull(std::size_t room) override {
    std::string bytes(std::min<std::size_t>(room, 65'536), '\0');
    const auto count = at_end_ ? 0 : stdout_->read(bytes);
    at_end_ = count == 0;
    bytes.resize(count.value_or(0));
    if (!bytes.empty()) return Piece{Buffer::own(std::move(bytes))};
    if (!at_end_ || !exit_) return Later{};
    return Done{Members().set("exit_code", exit_->code.value_or(128 + exit_->signal))};
  }
  bool cancel(CancelReason) override {
    process_->kill_group(SIGKILL);
    return false;
  }

 private:
  void exited(ProcessExit exit) { exit_ = exit, wake(); }
  void feed() {
    while (stdin_ && !input_.empty()) {
      const PipeWriter::Written written = stdin_->write(input_.front().bytes());
      if (written.outcome == PipeWriter::Outcome::gone) return input_.clear(), stdin_.reset();
      input_.front().drop_front(written.bytes);
      if (written.outcome == PipeWriter::Outcome::would_block) return;
      if (input_.front().empty()) input_.pop_front();
    }
    if (input_ended_) stdin_.reset();
  }

  std::unique_ptr<Process> process_;
  std::optional<PipeReader> stdout_;
  std::optional<PipeWriter> stdin_;
  std::deque<Buffer> input_;
  std::optional<ProcessExit> exit_;
  bool input_ended_ = false, at_end_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  auto loop = Loop::create().value();
  Router router;
  Argument program{"argv", Argument::Type::strings, "the program and its arguments", true};
  router.add("run", {.summary = "runs a program on the body", .arguments = {program}},
             streaming([&loop](const Request& request, ReplyToken token) {
               auto run = Run::start(*loop, request.strings("argv").value());
               if (!run) return std::move(token).fail(run.error()), std::shared_ptr<Run>();
               std::move(token).ok({}, std::shared_ptr<Source>(*run));
               return *run;
             }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 1 ? argv[1] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "exec: %s\n", url.error().message.c_str()), 1;
  std::printf("listening on %s\n", url->c_str());
  std::fflush(stdout);
  loop->run();
}
