// SPDX-License-Identifier: MIT
#include "cleave/bin/client/line_editor.h"

#include <histedit.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cwchar>
#include <utility>

#include "cleave/bin/client/columns.h"
#include "cleave/bin/client/command_line.h"
#include "cleave/bin/client/history_file.h"
#include "cleave/bin/client/terminal.h"
#include "cleave/bin/client/width.h"
#include "cleave/core/watcher.h"

namespace cleave::cli {
namespace {

// Beside what libedit finds in terminfo: the keys as most terminals send them.
constexpr std::array<std::pair<const char*, const char*>, 13> kKeys = {{
    {"\\e[H", "ed-move-to-beg"},
    {"\\eOH", "ed-move-to-beg"},
    {"\\e[1~", "ed-move-to-beg"},
    {"\\e[F", "ed-move-to-end"},
    {"\\eOF", "ed-move-to-end"},
    {"\\e[4~", "ed-move-to-end"},
    {"\\e[3~", "ed-delete-next-char"},
    {"\\e[1;5C", "em-next-word"},
    {"\\e[1;5D", "ed-prev-word"},
    {"^W", "ed-delete-prev-word"},
    {"^R", "em-inc-search-prev"},
    {"\\e[A", "ed-prev-history"},
    {"\\e[B", "ed-next-history"},
}};

constexpr int kListedShare = 2;  // of the window's lines, for a list of candidates: half of them

// Text is UTF-8 everywhere, and a locale that knows ASCII alone, as C does, would have it dropped.
void know_utf8() {
  wchar_t character = 0;
  std::mbstate_t state{};
  constexpr std::string_view kBeyondAscii = "\xc3\xbc";
  const std::size_t size =
      std::mbrtowc(&character, kBeyondAscii.data(), kBeyondAscii.size(), &state);
  if (size == static_cast<std::size_t>(-1)) {
    std::setlocale(LC_CTYPE, "C.UTF-8");  // NOLINT(concurrency-mt-unsafe): no other thread runs
  }
}

}  // namespace

class LineEditor::Editor {
 public:
  Editor(Loop& loop, std::string prompt, Complete complete)
      : loop_(loop), prompt_(std::move(prompt)), complete_(std::move(complete)) {
    know_utf8();
    ::tcgetattr(STDIN_FILENO, &before_);
    editor_.reset(::el_init("cleave", stdin, stderr, stderr));
    history_.reset(::history_init());
    EditLine* const el = editor_.get();
    ::el_set(el, EL_CLIENTDATA, this);
    ::el_set(
        el, EL_PROMPT, +[](EditLine* editor) { return self(editor).prompt_.data(); });
    ::el_set(el, EL_EDITOR, "emacs");
    // Signals and characters come by the loop.
    ::el_set(el, EL_SIGNAL, 0);
    ::el_set(
        el, EL_GETCFN,
        +[](EditLine* editor, wchar_t* character) { return self(editor).read(*character); });
    // Wide, as libedit would never free its own copies of the names.
    ::el_wset(
        el, EL_ADDFN, L"cleave-complete", L"completes the word at the cursor",
        +[](EditLine* editor, int) { return self(editor).complete(); });
    ::el_set(el, EL_BIND, "^I", "cleave-complete", nullptr);
    for (const auto& [key, command] : kKeys) ::el_set(el, EL_BIND, key, command, nullptr);
    HistEvent event;
    ::history(history_.get(), &event, H_SETSIZE, static_cast<int>(HistoryFile::kLines));
    ::history(history_.get(), &event, H_SETUNIQUE, 1);
    ::el_set(el, EL_HIST, ::history, history_.get());
    ::el_source(el, nullptr);
  }
  ~Editor() {
    // libedit would drop what is typed already, and meant for whoever reads here next.
    ::el_set(editor_.get(), EL_EDITMODE, 0);
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  std::optional<std::string> next() {
    auto signals = watch_signals();
    auto keys = Watcher::create(loop_, STDIN_FILENO, [this](Watcher::Events) { ready_ = true; });
    if (keys) keys->watch({.readable = true});
    watched_ = keys.has_value();
    while (true) {
      interrupted_ = false;
      // Before there is a prompt: what is typed at it is shown by us, and not by the system as
      // well.
      ::el_set(editor_.get(), EL_PREP_TERM, 1);
      begin_line();
      int count = 0;
      const char* line = ::el_gets(editor_.get(), &count);
      if (interrupted_) {
        write("^C\n");
        continue;
      }
      if (line == nullptr || count <= 0) {
        write("\n");
        return std::nullopt;
      }
      std::string text(line);
      while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
      return text;
    }
  }

  void remember(const std::string& line) {
    HistEvent event;
    ::history(history_.get(), &event, H_ENTER, line.c_str());
  }

 private:
  struct EndEditor {
    void operator()(EditLine* editor) const noexcept { ::el_end(editor); }
  };
  struct EndHistory {
    void operator()(History* history) const noexcept { ::history_end(history); }
  };

  static Editor& self(EditLine* editor) {
    void* data = nullptr;
    ::el_get(editor, EL_CLIENTDATA, &data);
    return *static_cast<Editor*>(data);
  }

  static void write(const std::string& text) {
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
  }

  // ---- Signals

  std::vector<SignalWatcher> watch_signals() {
    std::vector<SignalWatcher> watchers;
    const auto watch = [&](int signal, UniqueFunction<void()> callback) {
      auto watcher = SignalWatcher::create(loop_, signal, std::move(callback));
      if (watcher) watchers.push_back(*std::move(watcher));
    };
    watch(SIGINT, [this] { interrupted_ = true; });
    watch(SIGWINCH, [this] { fit_window(); });
    watch(SIGTSTP, [this] {
      give_terminal_back();
      pass_on(SIGTSTP);
    });
    watch(SIGCONT, [this] { go_on(); });
    for (const int signal : {SIGHUP, SIGTERM, SIGQUIT}) {
      watch(signal, [this, signal] {
        give_terminal_back();
        write("\n");
        pass_on(signal);
      });
    }
    return watchers;
  }

  // Does what the process would do by default.
  static void pass_on(int signal) {
    struct sigaction by_default {};
    struct sigaction before {};
    by_default.sa_handler = SIG_DFL;
    ::sigaction(signal, &by_default, &before);
    ::raise(signal);
    ::sigaction(signal, &before, nullptr);
  }
  void give_terminal_back() { ::el_set(editor_.get(), EL_PREP_TERM, 0); }
  void go_on() {
    // In the background the terminal is somebody else's, and there will be another signal.
    if (::tcgetpgrp(STDIN_FILENO) != ::getpgrp()) return;
    ::el_set(editor_.get(), EL_PREP_TERM, 1);
    redraw();
  }

  // ---- The screen

  // What is at the beginning of a line now.
  void redraw() { ::el_set(editor_.get(), EL_REFRESH); }

  // The prompt and the line, up to the cursor and to its end.
  std::string shown_before_cursor() const {
    const LineInfo* line = ::el_line(editor_.get());
    return prompt_ + std::string(line->buffer, line->cursor);
  }
  std::string shown() const {
    const LineInfo* line = ::el_line(editor_.get());
    return prompt_ + std::string(line->buffer, line->lastchar);
  }
  // Where the cursor is, in rows below the prompt. Behind a full row it is in the next one.
  std::size_t cursor_row(std::size_t width) const {
    return last_row_of(shown_before_cursor() + " ", width);
  }

  // What a command has left without an end of line is not written over: as many blanks as the
  // window is wide lead to the next line from anywhere but the first cell.
  void begin_line() {
    if (!terminal_.is_live()) return;
    write(std::string(terminal_.size().columns - 1, ' ') + "\r\x1b[K");
  }

  // Terminals break their lines anew at another width.
  void fit_window() {
    if (terminal_.is_live()) write(up(cursor_row(terminal_.size().columns)) + "\x1b[J");
    ::el_resize(editor_.get());
    redraw();
  }
  static std::string up(std::size_t rows) {
    return "\r" + (rows > 0 ? "\x1b[" + std::to_string(rows) + "A" : std::string());
  }

  // Shows text below the line, and the line again below that.
  void show(const std::string& text) {
    const std::size_t width = terminal_.size().columns;
    const std::size_t below = last_row_of(shown() + " ", width) - cursor_row(width);
    write(std::string(below + 1, '\n') + text);
    redraw();
  }

  // ---- Keys

  // As libedit wants it: 1, or 0 at the end, or -1.
  int read(wchar_t& character) {
    std::mbstate_t state{};
    bool begun = false;
    while (true) {
      if (!wait()) return -1;
      char byte = 0;
      const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (count <= 0) return 0;
      std::size_t size = std::mbrtowc(&character, &byte, 1, &state);
      if (size == static_cast<std::size_t>(-1) && begun) {  // this byte begins another one
        state = {};
        size = std::mbrtowc(&character, &byte, 1, &state);
      }
      begun = size == static_cast<std::size_t>(-2);
      if (begun) continue;
      if (size != static_cast<std::size_t>(-1)) return 1;
      state = {};  // no character at all
    }
  }

  // Until there is something to read; false after Ctrl-C.
  bool wait() {
    ready_ = !watched_;
    while (!ready_ && !interrupted_) loop_.step_waiting();
    return !interrupted_;
  }

  // ---- Completion

  unsigned char complete() {
    const LineInfo* info = ::el_line(editor_.get());
    const std::string line(info->buffer, info->cursor);
    const TypedLine typed = read_typed(line);
    const std::vector<Candidate> candidates =
        complete_(typed.words, typed.word, [this] { return interrupted_; });
    if (interrupted_) return CC_NORM;
    if (candidates.empty()) return CC_ERROR;
    const std::string word = common_beginning(candidates);
    const bool whole = candidates.size() == 1;
    if (word != typed.word || whole) {
      replace(line, typed, word, whole && !goes_on(word));
      tried_.clear();
      if (whole) return CC_REFRESH;
      // What is in common is there now, and the next TAB lists.
      tried_ = std::string(::el_line(editor_.get())->buffer, ::el_line(editor_.get())->cursor);
      return CC_REFRESH_BEEP;
    }
    if (std::exchange(tried_, line) != line) return CC_ERROR;
    list(candidates);
    return CC_NORM;
  }

  void replace(const std::string& line, const TypedLine& typed, const std::string& word,
               bool whole) {
    // Where the word has begun with a quote and is still in it, it stays in it.
    const char quote = line.substr(typed.begin).starts_with(typed.quote) ? typed.quote : '\0';
    std::string text = as_typed(word, quote);
    if (whole && quote != 0) text += quote;
    if (whole) text += ' ';
    const std::string old = line.substr(typed.begin);
    if (text.starts_with(old)) {
      text.erase(0, old.size());
    } else {
      ::el_deletestr(editor_.get(), static_cast<int>(characters(old)));
    }
    if (!text.empty()) ::el_insertstr(editor_.get(), text.c_str());
  }

  // el_deletestr() counts characters.
  static std::size_t characters(const std::string& text) {
    const char* rest = text.c_str();
    std::mbstate_t state{};
    const std::size_t count = std::mbsrtowcs(nullptr, &rest, 0, &state);
    return count == static_cast<std::size_t>(-1) ? text.size() : count;
  }

  void list(const std::vector<Candidate>& candidates) {
    std::vector<std::string> words;
    for (const Candidate& each : candidates) {
      // Of a path the last part.
      const std::size_t slash = each.word.rfind('/', each.word.size() - 2);
      const bool path = slash != std::string::npos && each.word.find('=') > slash;
      words.push_back(path ? each.word.substr(slash + 1) : each.word);
    }
    const Terminal::Size size = terminal_.size();
    show(in_columns(words, size.columns, std::max<std::size_t>(size.rows / kListedShare, 1)));
  }

  termios before_{};
  Loop& loop_;
  std::string prompt_;
  Complete complete_;
  Terminal terminal_{STDERR_FILENO, TerminalEnvironment::of_process()};
  std::unique_ptr<EditLine, EndEditor> editor_;
  std::unique_ptr<History, EndHistory> history_;
  bool watched_ = false;      // standard input is, by the loop
  bool ready_ = false;        // there is something to read
  bool interrupted_ = false;  // by Ctrl-C
  std::string tried_;         // the line at the last TAB that did not help
};

LineEditor::LineEditor(Loop& loop, std::string prompt, Complete complete)
    : editor_(std::make_unique<Editor>(loop, std::move(prompt), std::move(complete))) {}
LineEditor::~LineEditor() = default;
std::optional<std::string> LineEditor::next() {
  return editor_->next();
}
void LineEditor::remember(const std::string& line) {
  editor_->remember(line);
}

}  // namespace cleave::cli
