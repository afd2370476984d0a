// SPDX-License-Identifier: MIT
#include "cleave/handlers/run_cgroups.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "cleave/handlers/directory_stream.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::string_view kRunPrefix = "run-";

std::string reason(int error) {
  return std::generic_category().message(error);
}

bool write_one(const Fd& directory, const std::string& file) {
  const Fd opened(::openat(directory.get(), file.c_str(), O_WRONLY | O_CLOEXEC));
  return opened && ::write(opened.get(), "1", 1) == 1;
}

}  // namespace

Result<std::shared_ptr<const RunCgroups>> RunCgroups::open(const std::string& path) {
  const auto refuse = [&path](const std::string& why) {
    return fail(Errc::failed_precondition, "the cgroup '" + path + "' " + why);
  };
  if (!path.starts_with('/')) return refuse("is not named by an absolute path");
  Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return refuse("cannot be opened: " + reason(errno));
  if (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    return refuse(errno == EWOULDBLOCK ? "is used by another server"
                                       : "cannot be locked: " + reason(errno));
  }
  const std::shared_ptr<const RunCgroups> cgroups(new RunCgroups(path, std::move(directory)));
  // Tried, as no bit of a mode says whether the system has it, and allows it.
  const std::string trial = "trial";
  Result<std::string> made = cgroups->make(trial);
  const bool kills = made && ::access((*made + "/cgroup.kill").c_str(), W_OK) == 0;
  cgroups->clear(trial);
  if (!made) return fail(std::move(made.error()));
  if (!kills) return refuse("has no cgroup.kill that may be written: it takes Linux 5.14 or later");

  std::vector<std::string> left;
  OrErrno<DirectoryStream> stream = DirectoryStream::open(cgroups->directory_);
  if (!stream) return refuse("cannot be read: " + reason(stream.error()));
  for (std::string_view name = stream->next(); !name.empty(); name = stream->next()) {
    if (name.starts_with(kRunPrefix)) left.emplace_back(name.substr(kRunPrefix.size()));
  }
  for (const std::string& name : left) cgroups->clear(name);
  return cgroups;
}

Result<std::string> RunCgroups::make(const std::string& name) const {
  const std::string entry = std::string(kRunPrefix) + name;
  if (::mkdirat(directory_.get(), entry.c_str(), 0755) != 0) {
    return fail(Errc::io_error, "no cgroup can be made in '" + path_ + "': " + reason(errno));
  }
  return path_ + "/" + entry;
}

void RunCgroups::clear(const std::string& name) const {
  const std::string entry = std::string(kRunPrefix) + name;
  const auto removed = [&] {
    return ::unlinkat(directory_.get(), entry.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT;
  };
  if (removed()) return;  // nothing was left
  // Who was killed takes a moment to end.
  for (auto pause = std::chrono::milliseconds(1); pause < std::chrono::seconds(1); pause *= 2) {
    (void)write_one(directory_, entry + "/cgroup.kill");
    if (removed()) return;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace v0
}  // namespace cleave
