// SPDX-License-Identifier: MIT
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "cleave/bin/client/encoding.h"
#include "cleave/bin/client/session.h"
#include "cleave/bin/client/settings.h"
#include "cleave/core/buffer.h"
#include "cleave/handlers/file_writer.h"
#include "cleave/protocol/error.h"

namespace cleave::cli {

// What a server sends as text, or as any bytes, on its way to a standard output: in the terminal's
// encoding, where the user has said which one the server's is, and else as it comes. It holds each
// Buffer until it is written, so that a slow reader slows the server down. A reader that has gone
// ends the request.
class TextWriter {
 public:
  TextWriter(Session& session, const Settings& settings, int fd, const std::string& name);

  void write(Buffer bytes);
  // Waits until everything so far is written: false if that has failed, or was given up.
  [[nodiscard]] bool drain();
  // The text has ended, and `behind` is ours and follows it. Waits until all of it is written: what
  // went wrong, if anything did.
  [[nodiscard]] std::optional<Error> finish(std::string_view behind = {});

 private:
  void convert_next();

  Session& session_;
  FileWriter out_;
  std::optional<Transcoder> transcoder_;
  std::deque<Buffer> waiting_;  // to be converted; the first is being written
};

// Writes all of a result, and a newline behind it, to standard output: the exit status.
[[nodiscard]] int write_result(Session& session, const Settings& settings, std::string text);
// The same of what we have written ourselves, or servers as JSON, which is UTF-8, whatever else
// they write.
[[nodiscard]] int write_utf8_result(Session& session, const Settings& settings, std::string text);

}  // namespace cleave::cli
