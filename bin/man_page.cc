// SPDX-License-Identifier: MIT
#include "cleave/bin/man_page.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <ctime>

namespace cleave::cli {
namespace {

// Text that means nothing to roff. A hyphen is typed as often as it is read here, and so is the
// one of the keyboard.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool begins = out.empty() || out.back() == '\n';
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '~':
        out += "\\(ti";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '"':
        out += "\\(dq";
        break;
      case '.':
        out += begins ? "\\&." : ".";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string upper_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

// The version's day, or the one that whoever packages it sets, so that the page is always the same.
std::string day() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it
  const char* const epoch = std::getenv("SOURCE_DATE_EPOCH");
  if (epoch == nullptr) return CLEAVE_VERSION_DATE;
  const std::string_view digits = epoch;
  std::time_t seconds = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
  std::tm time{};
  std::string out(10, '\0');
  ::gmtime_r(&seconds, &time);
  out.resize(std::strftime(out.data(), out.size() + 1, "%Y-%m-%d", &time));
  return out;
}

}  // namespace

ManPage::ManPage(const Manual& manual) {
  line(".TH " + escaped(upper_case(manual.name)) + " 1 " + day() +
       " \"cleave " CLEAVE_VERSION "\" \"User Commands\"");
  section("NAME");
  line(escaped(manual.name) + " \\- " + escaped(manual.summary));
  section("SYNOPSIS");
  line(".B " + escaped(manual.name));
  line(escaped(manual.usage));
  section("DESCRIPTION");
  text(manual.about);
}

void ManPage::line(std::string_view text) {
  page_.append(text).append("\n");
}

void ManPage::section(std::string_view title) {
  line(".SH " + escaped(upper_case(title)));
}

void ManPage::subsection(std::string_view title) {
  line(".SS \"" + escaped(title) + "\"");
}

void ManPage::text(std::string_view about) {
  while (!about.empty()) {
    const std::size_t end = std::min(about.find("\n\n"), about.size());
    const std::string_view paragraph = about.substr(0, end);
    about.remove_prefix(std::min(end + 2, about.size()));
    // Behind a title there is a paragraph anyway.
    if (!page_.substr(page_.rfind('\n', page_.size() - 2) + 1).starts_with(".S")) line(".PP");
    const bool as_it_is = paragraph.starts_with(' ');
    if (as_it_is) line(".nf");
    line(escaped(paragraph));
    if (as_it_is) line(".fi");
  }
}

void ManPage::terms(const TermList& list) {
  for (const auto& [term, meaning] : list.terms) {
    line(".TP");
    line(".B " + escaped(term.substr(term.find_first_not_of(' '))));
    line(escaped(meaning));
  }
}

void ManPage::examples(std::span<const Example> examples) {
  for (const Example& example : examples) {
    line(".TP");
    line(".B " + escaped(example.line));
    line(escaped(example.meaning));
  }
}

void ManPage::command(const Manual& manual, std::span<const TermList> lists) {
  subsection(manual.name + " " + manual.usage);
  text(manual.summary + "\n\n" + std::string(manual.about));
  for (const TermList& list : lists) terms(list);
  if (!manual.examples.empty()) {
    line(".PP");
    line("Examples:");
    examples(manual.examples);
  }
}

std::string man_page(const Manual& manual, std::span<const TermList> lists) {
  ManPage page(manual);
  for (const TermList& list : lists) {
    page.section(list.title);
    page.terms(list);
  }
  if (!manual.examples.empty()) page.section("examples");
  page.examples(manual.examples);
  return page.str();
}

}  // namespace cleave::cli
