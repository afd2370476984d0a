// SPDX-License-Identifier: MIT
// Names of files: the checker against the rules, read off one after the other. What it takes is
// opened in a real directory full of ways out, and is never anything outside.
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
#include <utility>

#include "cleave/handlers/beneath.h"
#include "cleave/handlers/file_name.h"
#include "cleave/protocol/utf8.h"
#include "cleave/testing/scratch_directory.h"
#include "fuzz.h"

using namespace cleave;
using namespace cleave::testing;
using cleave::fuzz::require;

namespace {

bool may_be_a_part(std::string_view part) {
  return !part.empty() && part != "." && part != ".." && part.size() <= 255;
}

bool may_be_a_name(std::string_view text) {
  if (text.size() > 1'024 || !is_utf8(text)) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7F || byte == '\\') return false;
    // C1, U+0080 to U+009F, is C2 80 to C2 9F.
    if (byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0) return false;
  }
  std::string first(text.substr(0, text.find('/')));
  for (char& c : first) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (first == ".cleave") return false;
  for (;;) {
    const std::size_t slash = text.find('/');
    if (!may_be_a_part(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

// A root, with a secret beside it and ways that seem to lead there: `f` and `d/f` are files, `d`
// and `d/d` directories, and the others are no names of anything that may be read.
class Store {
 public:
  Store() : kernel_(make_root()), portable_(open_root(), true) {}

  void look_at(const std::string& name) const {
    const auto [file, directory] = open_in(kernel_, name);
    const auto [portable_file, portable_directory] = open_in(portable_, name);
    require(file == portable_file && directory == portable_directory,
            "both ways of opening see the same");
  }

 private:
  using Identity = std::pair<dev_t, ino_t>;

  Fd make_root() {
    make_file(scratch_ / "secret", "secret");
    make_file(scratch_ / "root/f", "f");
    make_file(scratch_ / "root/d/f", "d/f");
    std::filesystem::create_directories(scratch_ / "root/d/d");
    constexpr std::array<std::pair<const char*, const char*>, 7> kLinks = {
        {{"../secret", "root/l"},     // a file outside
         {"..", "root/u"},            // a directory outside
         {"/", "root/r"},             // everything
         {"../../..", "root/d/u"},    // further up
         {"f", "root/i"},             // inside, and a link all the same
         {"o", "root/o"},             // itself
         {"/proc/self", "root/p"}}};  // the system's own links
    for (const auto& [to, name] : kLinks) std::filesystem::create_symlink(to, scratch_ / name);
    require(::mkfifo((scratch_ / "root/q").c_str(), 0600) == 0, "a FIFO can be made");
    for (const char* inside : {"f", "d/f", "d", "d/d"}) {
      inside_.insert(identity_of((scratch_ / "root") / inside));
    }
    return open_root();
  }

  static Identity identity_of(const std::filesystem::path& path) {
    struct stat status {};
    require(::lstat(path.c_str(), &status) == 0, "what was made is there");
    return {status.st_dev, status.st_ino};
  }
  [[nodiscard]] Fd open_root() const {
    const std::string root = scratch_ / "root";
    return Fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  // What the system says to opening it as a file, and as a directory; 0 where it is opened.
  [[nodiscard]] std::pair<int, int> open_in(const Beneath& root, const std::string& name) const {
    const OrErrno<Fd> file = root.open_file(name);
    const OrErrno<Fd> directory = root.open_directory(name);
    if (file) require_inside(*file, S_IFREG);
    if (directory) require_inside(*directory, S_IFDIR);
    return {file ? 0 : file.error(), directory ? 0 : directory.error()};
  }
  void require_inside(const Fd& fd, mode_t type) const {
    struct stat status {};
    require(::fstat(fd.get(), &status) == 0, "what was opened is open");
    require((status.st_mode & S_IFMT) == type, "what was opened is of the type that was asked for");
    require(inside_.contains({status.st_dev, status.st_ino}), "a name never leads outside");
  }

  ScratchDirectory scratch_;
  std::set<Identity> inside_;
  Beneath kernel_;
  Beneath portable_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto name = FileName::parse(text);
  require(name.has_value() == may_be_a_name(text), "a name is taken if no rule forbids it");
  if (!name) {
    require(name.error().code == Errc::invalid_argument, "a bad name is a wrong argument");
    return 0;
  }
  require(name->text() == text, "a name is kept as it came");
  const std::string joined =
      name->parent().empty() ? name->leaf() : name->parent() + "/" + name->leaf();
  require(joined == text, "a name is its parent and its leaf");
  static const Store store;
  store.look_at(name->text());
  return 0;
}
