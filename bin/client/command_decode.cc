// SPDX-License-Identifier: MIT
// Shows what is in a byte stream: what a program has sent, or a capture of a connection.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "cleave/bin/client/frame_lines.h"
#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/standard_descriptor.h"
#include "cleave/bin/client/usage.h"
#include "cleave/core/pipe.h"
#include "cleave/handlers/file_writer.h"
#include "cleave/handlers/local_error.h"

namespace cleave::cli {
namespace {

constexpr std::size_t kReadBytes = 65'536;
constexpr std::size_t kTextBytes = 1'024;

Result<Fd> open_input(const std::string& path) {
  const bool standard = path.empty() || path == "-";
  Fd fd(standard ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const std::string name = standard ? "standard input" : "'" + path + "'";
  if (!fd) return tl::unexpected(local_error(errno, "cannot open " + name));
  struct stat info {};
  if (::fstat(fd.get(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return tl::unexpected(local_error(EISDIR, "cannot read " + name));
  }
  return fd;
}

int decode(Invocation& invocation, PipeReader reader, bool& readable, FrameLines& lines) {
  Session& session = invocation.session;
  FileWriter out(session.loop(), standard_descriptor(STDOUT_FILENO), "standard output", {});
  std::string bytes(kReadBytes, '\0');
  bool ended = false;
  while (!ended && !lines.fault()) {
    session.loop().step();  // a file that is always readable does not wait for Ctrl-C either
    if (session.interrupted()) return kInterrupted;
    std::string text;
    readable = false;
    const std::optional<std::size_t> count = reader.read(bytes);
    if (!count) {
      if (!session.wait_interruptibly([&readable] { return readable; })) return kInterrupted;
      continue;
    }
    if (*count == 0 && reader.error() != 0) {
      return invocation.console().report_status(
          local_error(reader.error(), "cannot read the input"));
    }
    ended = *count == 0;
    if (ended) {
      lines.finish(text);
    } else {
      lines.feed(std::string_view(bytes).substr(0, *count), text);
    }
    if (text.empty()) continue;
    out.write(Buffer::own(std::move(text)));
    if (!session.wait_until([&out] { return out.idle(); })) return kInterrupted;
    if (out.error()) return invocation.console().report_status(*out.error());
  }
  if (!lines.fault()) return kOk;
  invocation.console().report(*lines.fault());
  return kOther;
}

}  // namespace

int run_decode(Invocation& invocation) {
  std::string path;
  bool text = false;
  HeaderLimits limits;
  auto& app = invocation.app();
  app.add_option("FILE", path, "What to read; default standard input");
  app.add_flag("--text", text, "Show bodies that are text and not longer than 1 KiB");
  app.add_option("--header-bytes", limits.header_bytes, "The longest header, 2 to 16777216")
      ->type_name("N")
      ->check(whole_number(2, 16'777'216))
      ->capture_default_str();
  app.add_option("--header-depth", limits.depth, "How deep a header may nest, 2 to 256")
      ->type_name("N")
      ->check(whole_number(2, 256))
      ->capture_default_str();
  app.add_option("--header-values", limits.values,
                 "The most members and elements of a header, 16 to 1000000")
      ->type_name("N")
      ->check(whole_number(16, 1'000'000))
      ->capture_default_str();
  app.add_option("--header-key-bytes", limits.key_bytes,
                 "The longest name in a header, 16 to 65536")
      ->type_name("N")
      ->check(whole_number(16, 65'536))
      ->capture_default_str();
  if (auto status = invocation.parse()) return *status;
  if (invocation.settings.interactive && (path.empty() || path == "-")) {
    return invocation.usage_error("a FILE is needed, as standard input is the prompt's");
  }
  Result<Fd> input = open_input(path);
  if (!input) return invocation.console().report_status(input.error());
  bool readable = false;
  auto reader = PipeReader::create(invocation.session.loop(), *std::move(input),
                                   [&readable] { readable = true; });
  if (!reader) return invocation.console().report_status(reader.error());
  FrameLines lines(limits, text ? kTextBytes : 0);
  return decode(invocation, *std::move(reader), readable, lines);
}

}  // namespace cleave::cli
