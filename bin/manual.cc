// SPDX-License-Identifier: MIT
#include "cleave/bin/manual.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>

namespace cleave::cli {
namespace {

constexpr std::size_t kUsualWidth = 80;
// Narrower ones are no use to anybody, and wider lines are hard to read.
constexpr std::size_t kLeastWidth = 40;
constexpr std::size_t kMostWidth = 100;
// The widest term that has its meaning beside it and not below.
constexpr std::size_t kTermWidth = 26;

// Of what is Unicode without wide or combining characters, as these pages are.
std::size_t characters_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string sentence_of(std::string_view summary) {
  std::string sentence(summary);
  if (sentence.empty()) return sentence;
  sentence.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence.front())));
  return sentence + ".";
}

// "-P, --parallel N"
std::string term_of(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  // Long names stand below each other.
  std::string term = option.get_snames().empty() ? "    " : "";
  for (const std::string& name : option.get_snames()) term += "-" + name + ", ";
  for (const std::string& name : option.get_lnames()) term += "--" + name + ", ";
  term.resize(term.size() - 2);
  if (option.get_items_expected_max() == 0) return term;
  // What CLI11 puts behind the colon is how it checks the value.
  const std::string type = option.get_type_name();
  return term + " " + type.substr(0, type.find(':'));
}

std::string meaning_of(const CLI::Option& option) {
  const std::string& text = option.get_description();
  return option.get_default_str().empty() ? text : text + "; default " + option.get_default_str();
}

// Where the meanings begin.
std::size_t second_column(std::span<const TermList> lists) {
  std::size_t widest = 0;
  for (const TermList& list : lists) {
    for (const auto& [term, meaning] : list.terms) {
      if (characters_of(term) <= kTermWidth) widest = std::max(widest, characters_of(term));
    }
  }
  return widest + 4;
}

}  // namespace

std::vector<TermList> terms_of(const CLI::App& app) {
  std::vector<TermList> lists;
  for (const CLI::Option* option : app.get_options()) {
    const std::string& group = option->get_group();
    if (group.empty()) continue;
    const std::string title = option->get_positional() ? "Arguments" : group;
    auto list = std::ranges::find(lists, title, &TermList::title);
    if (list == lists.end()) list = lists.insert(lists.end(), {title, {}});
    list->terms.emplace_back(term_of(*option), meaning_of(*option));
  }
  const auto rank = [](const TermList& list) {
    return list.title == "Arguments" ? 0 : list.title == "Options" ? 1 : 2;
  };
  std::ranges::stable_sort(lists, {}, rank);
  return lists;
}

std::string filled(std::string_view text, std::size_t width, std::size_t indent) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t begin = std::min(text.find_first_not_of(" \n"), text.size());
    const std::size_t end = std::min(text.find_first_of(" \n", begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    text.remove_prefix(end);
    if (word.empty()) break;
    if (column > 0 && column + 1 + characters_of(word) > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > 0) {
      out += " ";
      ++column;
    } else {
      column = indent;
    }
    out += word;
    column += characters_of(word);
  }
  return out;
}

std::string columns(std::span<const TermList> lists, std::size_t width) {
  std::string out;
  const std::size_t second = second_column(lists);
  for (const TermList& list : lists) {
    out += (out.empty() ? "" : "\n") + list.title + ":\n";
    for (const auto& [term, meaning] : list.terms) {
      std::string line = "  " + term;
      if (characters_of(line) + 2 > second) {
        out += line + "\n";
        line.clear();
      }
      line.append(second - characters_of(line), ' ');
      out += line + filled(meaning, width, second) + "\n";
    }
  }
  return out;
}

std::string help_page(const Manual& manual, std::span<const TermList> lists, std::size_t width) {
  std::string out = "Usage: " + filled(manual.name + " " + manual.usage, width, 7) + "\n\n" +
                    filled(sentence_of(manual.summary), width) + "\n";
  for (std::string_view rest = manual.about; !rest.empty();) {
    const std::size_t end = std::min(rest.find("\n\n"), rest.size());
    const std::string_view paragraph = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 2, rest.size()));
    out += "\n" + (paragraph.starts_with(' ') ? std::string(paragraph) : filled(paragraph, width)) +
           "\n";
  }
  out += "\n" + columns(lists, width);
  if (!manual.examples.empty()) out += "\nExamples:\n";
  for (const Example& example : manual.examples) {
    out += "  " + std::string(example.line) + "\n      " + filled(example.meaning, width, 6) + "\n";
  }
  return out;
}

std::size_t page_width() {
  struct winsize size {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualWidth;
  return std::clamp<std::size_t>(size.ws_col, kLeastWidth, kMostWidth);
}

}  // namespace cleave::cli
