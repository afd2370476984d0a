// SPDX-License-Identifier: MIT
// A request that goes on after its body has ended: runs a program on the body, and sends what it
// prints as it comes. The output is a Source, so a slow reader stops the program at its pipe; a
// cancel, a deadline or a lost peer kills it. Usage: exec [URL]
#include <csignal>
#include <cstdio>
#include <deque>

#include "cleave/core/process.h"
#include "cleave/core/server.h"

using namespace cleave;

namespace {

class Output final : public Source {
 public:
  static Result<std::shared_ptr<Output>> start(Loop& loop, std::vector<std::string> argv) {
    auto output = std::make_shared<Output>();
    auto process = Process::spawn(loop, {.argv = std::move(argv), .env = {"PATH=/usr/bin:/bin"}},
                                  [output = output.get()](ProcessExit exit) {
                                    output->exit_ = exit;
                                    output->wake();
                                  });
    if (!process) return fail(process.error());
    output->process_ = std::move(*process);
    auto reader = PipeReader::create(loop, output->process_->take_stdout(),
                                     [output = output.get()] { output->wake(); });
    auto writer = PipeWriter::create(loop, output->process_->take_stdin(),
                                     [output = output.get()] { output->feed(); });
    if (!reader) return fail(reader.error());
    if (!writer) return fail(writer.error());
    output->stdout_.emplace(std::move(*reader));
    output->stdin_.emplace(std::move(*writer));
    return output;
  }

  void input(Buffer bytes) {
    input_.push_back(std::move(bytes));
    feed();
  }
  void end_of_input() {
    input_ended_ = true;
    feed();
  }

  Pulled pull(std::size_t room) override {
    std::string bytes(std::min<std::size_t>(room, 65'536), '\0');
    std::optional<std::size_t> count;
    if (!at_end_) count = stdout_->read(bytes);
    if (count == 0) at_end_ = true;
    if (count.value_or(0) > 0) {
      bytes.resize(*count);
      return Piece{Buffer::own(std::move(bytes))};
    }
    if (!at_end_ || !exit_) return Later{};
    return Done{Members().set("exit_code", exit_->code.value_or(128 + exit_->signal))};
  }
  bool cancel(CancelReason) override {
    process_->kill_group(SIGKILL);
    return false;
  }

 private:
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
  bool input_ended_ = false;
  bool at_end_ = false;
};

// Feeds the body to the program; the reply has begun before the body has ended.
class Exec final : public Handler {
 public:
  explicit Exec(std::shared_ptr<Output> output) : output_(std::move(output)) {}
  void on_body(Chunk chunk) override { output_->input(std::move(chunk).keep()); }
  void on_end() override { output_->end_of_input(); }

 private:
  std::shared_ptr<Output> output_;
};

}  // namespace

int main(int argc, char** argv) {
  auto loop = Loop::create().value();
  Router router;
  router.add(
      "run",
      {.summary = "runs a program on the body",
       .arguments = {{.name = "argv",
                      .type = Argument::Type::strings,
                      .summary = "the program and its arguments",
                      .required = true}}},
      streaming([&loop](const Request& request, ReplyToken token) -> std::shared_ptr<Handler> {
        auto output = Output::start(*loop, request.strings("argv").value());
        if (!output) return std::move(token).fail(output.error()), nullptr;
        std::move(token).ok({}, std::shared_ptr<Source>(*output));
        return std::make_shared<Exec>(*output);
      }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 1 ? argv[1] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "exec: %s\n", url.error().message.c_str()), 1;
  std::printf("listening on %s\n", url->c_str());
  std::fflush(stdout);
  loop->run();
}
