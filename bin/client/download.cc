// SPDX-License-Identifier: MIT
#include "cleave/bin/client/download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "cleave/bin/client/system_error.h"

namespace cleave::cli {

Result<Download> Download::create(const std::string& path) {
  struct stat info {};
  const bool as_it_is = ::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode);
  std::string part = as_it_is ? std::string() : path + ".part";
  const std::string& opened = as_it_is ? path : part;
  Fd fd(::open(opened.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd) return fail(system_error(errno, "cannot create '" + opened + "'"));
  return Download(std::make_shared<const Fd>(std::move(fd)), path, std::move(part));
}

Download::~Download() {
  if (fd_ && !part_.empty()) ::unlink(part_.c_str());
}

Result<void> Download::publish() {
  if (!part_.empty() && std::rename(part_.c_str(), path_.c_str()) != 0) {
    return fail(system_error(errno, "cannot rename '" + part_ + "'"));
  }
  part_.clear();
  return {};
}

}  // namespace cleave::cli
