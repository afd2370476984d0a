// SPDX-License-Identifier: MIT
#include "cleave/bin/client/text_writer.h"

#include <unistd.h>

#include <utility>

#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/standard_descriptor.h"

namespace cleave::cli {

TextWriter::TextWriter(Session& session, const Settings& settings, int fd, const std::string& name)
    : session_(session),
      out_(session.loop(), standard_descriptor(fd), name, [&session] { session.cancel(); }) {
  if (settings.raw || settings.encoding.empty()) return;
  Result<Transcoder> transcoder = Transcoder::create(settings.encoding, terminal_encoding());
  // The option has been checked.
  if (transcoder) transcoder_ = *std::move(transcoder);
}

void TextWriter::write(Buffer bytes) {
  if (!transcoder_) return out_.write(std::move(bytes));
  waiting_.push_back(std::move(bytes));
  if (waiting_.size() == 1) convert_next();
}

void TextWriter::convert_next() {
  if (out_.error()) waiting_.clear();
  if (waiting_.empty()) return;
  out_.write(Buffer::own(transcoder_->convert(waiting_.front().bytes())));
  out_.when_idle([this] {
    waiting_.pop_front();
    convert_next();
  });
}

bool TextWriter::drain() {
  return session_.wait_until([this] { return waiting_.empty() && out_.idle(); }) && !out_.error();
}

std::optional<Error> TextWriter::finish(std::string_view behind) {
  (void)drain();
  std::string rest = transcoder_ ? transcoder_->finish() : "";
  rest += behind;
  if (!rest.empty()) out_.write(Buffer::own(std::move(rest)));
  (void)drain();
  return out_.error();
}

int write_result(Session& session, const Settings& settings, std::string text) {
  TextWriter out(session, settings, STDOUT_FILENO, "standard output");
  out.write(Buffer::own(std::move(text)));
  if (const std::optional<Error> error = out.finish("\n")) {
    return session.console().report_status(*error);
  }
  return session.interrupted() ? kInterrupted : kOk;
}

int write_utf8_result(Session& session, const Settings& settings, std::string text) {
  Settings plain = settings;
  plain.encoding.clear();
  return write_result(session, plain, std::move(text));
}

}  // namespace cleave::cli
