// SPDX-License-Identifier: MIT
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <limits>
#include <optional>
#include <string>

#include "cleave/bin/client/download.h"
#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/local_path.h"
#include "cleave/bin/client/progress.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/writer.h"

namespace cleave::cli {
namespace {

// A reply's body on its way to a descriptor.
class Receiving final : public Sink {
 public:
  Receiving(Session& session, SharedFd fd, const std::string& name, bool show_progress)
      : session_(session),
        writer_(session.loop(), std::move(fd), name, [&session] { session.cancel(); }),
        progress_(name, show_progress) {}

  void on_frame(const Header& header) override {
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    if (size_ || !header.find("file_size")) return;
    if (auto size = header.integer("file_size", 0, kMax)) {
      size_ = static_cast<std::uint64_t>(*size);
      progress_.set_total(*size_);
    }
    if (auto digest = header.string("xxh3")) digest_ = std::string(*digest);
  }
  void on_body(Buffer bytes) override {
    writer_.write(std::move(bytes));
    progress_.update(writer_.written());
  }

  // Waits until all is written, and then tells whether it is all and right.
  Result<void> finish(const Result<void>& outcome) {
    session_.wait_until([this] { return writer_.idle(); });
    if (writer_.error()) return fail(*writer_.error());
    if (!outcome) return outcome;
    progress_.update(writer_.written());
    if (size_ && *size_ != writer_.written()) {
      return fail(Errc::io_error, "the file has " + std::to_string(*size_) + " bytes, " +
                                      std::to_string(writer_.written()) + " have come");
    }
    if (const std::string digest = writer_.digest(); digest_ && *digest_ != digest) {
      return fail(Errc::checksum_mismatch,
                  "xxh3 is to be " + *digest_ + ", that of the bytes that came is " + digest);
    }
    return {};
  }

 private:
  Session& session_;
  Writer writer_;
  Progress progress_;
  std::optional<std::uint64_t> size_;
  std::optional<std::string> digest_;
};

bool is_directory(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Outcome fetch(Invocation& invocation, const std::string& name, const std::string& path,
              SharedFd fd) {
  const bool show_progress = !invocation.settings.quiet;
  Receiving receiving(invocation.session, std::move(fd), path, show_progress);
  Outcome outcome = invocation.session.run(
      invocation.settings, {.cmd = "get", .members = Members().set("filename", name)}, receiving);
  outcome.result = receiving.finish(outcome.result);
  return outcome;
}

}  // namespace

int run_get(Invocation& invocation) {
  std::string name;
  std::string path;
  invocation.app().add_option("NAME", name, "The name of the file on the server")->required();
  invocation.app().add_option("FILE", path,
                              "Where to; - is standard output, default the last part of NAME");
  if (auto status = invocation.parse()) return *status;
  if (path == "-") {
    const Outcome outcome =
        fetch(invocation, name, "standard output", standard_descriptor(STDOUT_FILENO));
    return outcome.result ? kOk : report_status(outcome.result.error());
  }
  // Where a file goes is decided by what was typed here, never by what a server sends.
  if (path.empty()) path = base_name(name);
  if (is_directory(path)) path += "/" + base_name(name);
  auto download = Download::create(path);
  if (!download) return report_status(download.error());
  const Outcome outcome = fetch(invocation, name, path, download->fd());
  if (!outcome.result) return report_status(outcome.result.error());
  if (auto published = download->publish(); !published) return report_status(published.error());
  if (invocation.settings.json) std::puts(results_json(*outcome.header).c_str());
  return finish_results();
}

}  // namespace cleave::cli
