// SPDX-License-Identifier: MIT
#include "cleave/bin/toml_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cleave {
inline namespace v0 {
namespace {

// A wrong name may lead to anything.
constexpr std::size_t kTomlFileBytes = 1024 * 1024;

tl::unexpected<Error> unreadable(const std::string& name) {
  return fail(Errc::io_error, name + ": cannot be read: " + std::strerror(errno));
}

}  // namespace

Result<std::string> read_text_file(const std::string& name) {
  const Fd file(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
  return file ? read_text_file(file, name) : unreadable(name);
}

Result<std::string> read_text_file(const Fd& file, const std::string& name) {
  std::string text(kTomlFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return unreadable(name);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > kTomlFileBytes) {
    return fail(Errc::invalid_argument,
                name + ": expected at most " + std::to_string(kTomlFileBytes) + " bytes");
  }
  text.resize(size);
  return text;
}

Result<toml::table> parse_toml(std::string_view text, const std::string& name) {
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return fail(Errc::invalid_argument, name + ":" + std::to_string(error.source().begin.line) +
                                            ": " + std::string(error.description()));
  }
}

std::string place_of(const std::string& name, const toml::key& key) {
  return name + ":" + std::to_string(key.source().begin.line) + ": " + std::string(key.str());
}

}  // namespace v0
}  // namespace cleave
