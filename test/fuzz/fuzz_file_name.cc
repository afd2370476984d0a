// SPDX-License-Identifier: MIT
// Names of files: the checker against the rules, read off one after the other.
#include <cctype>
#include <string>

#include "cleave/handlers/file_name.h"
#include "cleave/protocol/utf8.h"
#include "fuzz.h"

using namespace cleave;
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
  return 0;
}
