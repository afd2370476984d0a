// SPDX-License-Identifier: MIT
#include "cleave/bin/client/text_writer.h"

#include <utility>

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

std::optional<Error> TextWriter::finish(std::string_view behind) {
  session_.wait_until([this] { return waiting_.empty(); });
  std::string rest = transcoder_ ? transcoder_->finish() : "";
  rest += behind;
  if (!rest.empty()) out_.write(Buffer::own(std::move(rest)));
  session_.wait_until([this] { return out_.idle(); });
  return out_.error();
}

}  // namespace cleave::cli
