// SPDX-License-Identifier: MIT
#include "cleave/bin/client/local_tree.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "cleave/bin/client/local_path.h"
#include "cleave/handlers/local_error.h"

namespace cleave::cli {
namespace {

Error no_directory(const std::string& path) {
  return {Errc::already_exists, "'" + path + "' is there already, and is no directory"};
}

Result<SharedFd> open_directory(int at, const std::string& name, int flags,
                                const std::string& path) {
  Fd fd(::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
  if (fd) return std::make_shared<const Fd>(std::move(fd));
  const int number = errno;
  struct stat info {};
  const bool link = (flags & O_NOFOLLOW) != 0 &&
                    ::fstatat(at, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                    S_ISLNK(info.st_mode);
  if (link) {
    return fail(Errc::failed_precondition,
                "'" + path + "' is a symbolic link, and those are not followed");
  }
  if (number == ENOTDIR) return fail(no_directory(path));
  return fail(local_error(number, "cannot open the directory '" + path + "'"));
}

// The names in a directory, sorted; what ended the reading is an errno.
int read_names(const Fd& directory, std::vector<std::string>& names) {
  // Of its own, as a stream keeps and moves its descriptor.
  Fd fd(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), ::closedir);
  if (!stream) return errno;
  (void)fd.release();
  errno = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    errno = 0;
  }
  std::ranges::sort(names);
  return errno;
}

}  // namespace

Result<LocalTree> LocalTree::open(const std::string& path) {
  auto root = open_directory(AT_FDCWD, path, 0, path);
  if (!root) return fail(root.error());
  return LocalTree(*std::move(root), path);
}

Result<LocalTree> LocalTree::make(const std::string& path) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0777) == 0) continue;
    const int number = errno;
    if (is_directory(part)) continue;
    return fail(number == EEXIST ? no_directory(part)
                                 : local_error(number, "cannot make the directory '" + part + "'"));
  }
  return open(path);
}

void LocalTree::walk(Visitor& visitor) const {
  walk(root_, "", visitor);
}

void LocalTree::walk(const SharedFd& directory, const std::string& prefix, Visitor& visitor) const {
  std::vector<std::string> names;
  if (const int number = read_names(*directory, names)) {
    visitor.skipped(prefix, local_error(number, "cannot read the directory"));
  }
  for (const std::string& leaf : names) {
    const std::string name = prefix + leaf;
    struct stat info {};
    if (::fstatat(directory->get(), leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      visitor.skipped(name, local_error(errno, "cannot stat it"));
    } else if (S_ISREG(info.st_mode)) {
      visitor.file(name, static_cast<std::uint64_t>(info.st_size));
    } else if (!S_ISDIR(info.st_mode)) {
      visitor.skipped(name, {Errc::invalid_argument, "it is neither a file nor a directory"});
    } else if (auto inner = open_directory(directory->get(), leaf, O_NOFOLLOW, name)) {
      walk(*inner, name + "/", visitor);
    } else {
      visitor.skipped(name, inner.error());
    }
  }
}

Result<LocalFile> LocalTree::find(const std::string& name) const {
  return locate(name, false);
}
Result<LocalFile> LocalTree::make_room_for(const std::string& name) const {
  return locate(name, true);
}

Result<LocalFile> LocalTree::locate(const std::string& name, bool make) const {
  SharedFd directory = root_;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = name.find('/', begin)) != std::string::npos; begin = end + 1) {
    const std::string part = name.substr(begin, end - begin);
    const std::string path = path_ + "/" + name.substr(0, end);
    if (make && ::mkdirat(directory->get(), part.c_str(), 0777) != 0 && errno != EEXIST) {
      return fail(local_error(errno, "cannot make the directory '" + path + "'"));
    }
    auto inner = open_directory(directory->get(), part, O_NOFOLLOW, path);
    if (!inner) return fail(inner.error());
    directory = *std::move(inner);
  }
  return LocalFile(std::move(directory), name.substr(begin), path_ + "/" + name);
}

}  // namespace cleave::cli
