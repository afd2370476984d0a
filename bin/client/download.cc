// SPDX-License-Identifier: MIT
#include "cleave/bin/client/download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "cleave/bin/client/system_error.h"

namespace cleave::cli {

Result<Download> Download::create(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) return fail(system_error(errno, "cannot write '" + path + "'"));
    return Download(std::make_shared<const Fd>(std::move(fd)), path, {});
  }
  // A name that nobody else has: two fetches of one file, or a file of the user's own that happens
  // to be called so, must not meet.
  std::string part = path.substr(0, path.rfind('/') + 1) + ".cleave-XXXXXX.part";
  Fd fd(::mkostemps(part.data(), 5, O_CLOEXEC));
  if (!fd) return fail(system_error(errno, "cannot create '" + part + "'"));
  const mode_t mask = ::umask(0);
  ::umask(mask);
  (void)::fchmod(fd.get(), 0666 & ~mask);  // it is made private, and is to be as any new file
  return Download(std::make_shared<const Fd>(std::move(fd)), path, std::move(part));
}

Download::~Download() {
  if (fd_ && !part_.empty()) ::unlink(part_.c_str());
}

Result<void> Download::publish() {
  // Some file systems tell of a full disk only here, and the old file must outlive that.
  if (!part_.empty() && ::fsync(fd_->get()) != 0 && errno != EINVAL) {
    return fail(system_error(errno, "cannot write '" + part_ + "'"));
  }
  if (!part_.empty() && std::rename(part_.c_str(), path_.c_str()) != 0) {
    return fail(system_error(errno, "cannot rename '" + part_ + "'"));
  }
  part_.clear();
  return {};
}

}  // namespace cleave::cli
