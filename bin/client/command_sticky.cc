// SPDX-License-Identifier: MIT
// Shows, over a TCP connection to ourselves, what becomes of messages that are only bytes, and what
// of frames.
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/usage.h"
#include "cleave/core/file.h"
#include "cleave/handlers/local_error.h"
#include "cleave/protocol/decoder.h"
#include "cleave/protocol/encoder.h"
#include "cleave/protocol/members.h"
#include "cleave/protocol/utf8.h"

namespace cleave::cli {
namespace {

constexpr std::size_t kMostBytes = 1'024;  // of text: enough to see it, and one read takes it
constexpr int kPatienceMs = 10'000;

tl::unexpected<Error> failed(const char* call) {
  return tl::unexpected(local_error(errno, std::string("cannot ") + call));
}

// A TCP connection over loopback of which both ends are ours.
class OwnConnection {
 public:
  static Result<OwnConnection> open() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!listener || ::bind(listener.get(), plain, size) != 0 || ::listen(listener.get(), 1) != 0 ||
        ::getsockname(listener.get(), plain, &size) != 0) {
      return failed("listen on 127.0.0.1");
    }
    OwnConnection made;
    made.sender_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!made.sender_ || ::connect(made.sender_.get(), plain, size) != 0) {
      return failed("connect to 127.0.0.1");
    }
    made.receiver_ = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!made.receiver_) return failed("accept a connection");
    return made;
  }

  [[nodiscard]] Result<void> send(std::string_view bytes) {
    // So little fits into the empty buffers of the system at once.
    const ssize_t count = ::send(sender_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0) return failed("send");
    if (static_cast<std::size_t>(count) != bytes.size()) {
      return fail(Errc::io_error, "the system has not taken all of a short message");
    }
    return {};
  }
  // Waits until so many bytes can be read at once.
  [[nodiscard]] Result<void> wait_for(std::size_t bytes) {
    const int wanted = static_cast<int>(bytes);
    wake_at(wanted);
    auto waited = wait_until_there(wanted);
    wake_at(1);  // or else a read would wait for as much
    return waited;
  }
  [[nodiscard]] Result<std::string> read(std::size_t size) {
    std::string bytes(size, '\0');
    const ssize_t count = ::read(receiver_.get(), bytes.data(), bytes.size());
    if (count < 0) return failed("read");
    bytes.resize(static_cast<std::size_t>(count));
    return bytes;
  }

 private:
  OwnConnection() = default;
  // From how many bytes on the receiving end is readable to poll(2).
  void wake_at(int bytes) {
    ::setsockopt(receiver_.get(), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
  }
  [[nodiscard]] Result<void> wait_until_there(int wanted) {
    while (true) {
      int come = 0;
      if (::ioctl(receiver_.get(), FIONREAD, &come) != 0) return failed("look at what has come");
      if (come >= wanted) return {};
      pollfd readable{receiver_.get(), POLLIN, 0};
      const int ready = ::poll(&readable, 1, kPatienceMs);
      if (ready < 0 && errno != EINTR) return failed("wait for bytes");
      if (ready == 0) return fail(Errc::deadline_exceeded, "what was sent has not come");
    }
  }

  Fd sender_;
  Fd receiver_;
};

// Tells what happens, for people or in lines of JSON.
class Story {
 public:
  explicit Story(bool json) : json_(json) {}

  void begin(std::string_view part, std::string_view title) {
    part_ = part;
    if (!json_ && !text_.empty()) text_ += "\n";
    say(title);
  }
  // Sentences are for people alone.
  void say(std::string_view sentence) {
    if (!json_) text_ += std::string(sentence) + "\n";
  }
  void sent(std::string_view bytes) {
    event("send", std::nullopt, bytes, "  send(" + quoted(bytes) + ")");
  }
  void read(std::size_t asked, std::string_view bytes) {
    event("read", asked, bytes, "  read(" + std::to_string(asked) + ") -> " + quoted(bytes));
  }
  void sent_frame(std::string_view head, std::string_view body) {
    std::string line = "  send:";
    for (const char byte : head.substr(0, 4)) {
      std::array<char, 4> hex{};
      std::snprintf(hex.data(), hex.size(), " %02x", static_cast<unsigned char>(byte));
      line += hex.data();
    }
    line += " | " + printable(head.substr(4)) + " | " + printable(body);
    event("send", std::nullopt, std::string(head) + std::string(body), line);
  }
  void message(std::string_view body) {
    event("message", std::nullopt, body, "    a message: " + quoted(body));
  }

  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  static std::string quoted(std::string_view bytes) { return "'" + printable(bytes) + "'"; }
  void event(std::string_view name, std::optional<std::size_t> asked, std::string_view bytes,
             const std::string& line) {
    if (!json_) {
      text_ +=
          line + "  " + std::to_string(bytes.size()) + (bytes.size() == 1 ? " byte\n" : " bytes\n");
      return;
    }
    Members members;
    members.set("part", part_).set("event", name);
    if (asked) members.set("asked", *asked);
    members.set("bytes", bytes.size());
    if (is_utf8(bytes)) members.set("text", bytes);
    std::string hex;
    for (const char byte : bytes) {
      std::array<char, 3> digits{};
      std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned char>(byte));
      hex += digits.data();
    }
    members.set("hex", hex);
    text_ += json_line(members.object()) + "\n";
  }

  bool json_;
  std::string part_;
  std::string text_;
};

// How many bytes the reads ask for, one after the other.
struct ReadSizes {
  std::size_t first = 2;
  std::size_t then = 10;
};

using Texts = std::vector<std::string>;

// Reads until `bytes` have been read, and hands each read on.
template <typename Callback>
Result<void> read_all(OwnConnection& connection, Story& story, std::size_t bytes, ReadSizes sizes,
                      const Callback& callback) {
  if (auto come = connection.wait_for(bytes); !come) return come;
  std::size_t asked = sizes.first;
  while (bytes > 0) {
    const Result<std::string> came = connection.read(asked);
    if (!came) return fail(came.error());
    if (came->empty()) return fail(Errc::io_error, "the connection has ended");
    bytes -= came->size();
    story.read(asked, *came);
    callback(std::string_view(*came));
    asked = sizes.then;
  }
  return {};
}

Result<void> tell_joined(OwnConnection& connection, Story& story, const Texts& texts) {
  story.begin("joined", "Messages that are sent one by one, and read when all have come:");
  std::size_t bytes = 0;
  for (const std::string& text : texts) {
    if (auto sent = connection.send(text); !sent) return sent;
    story.sent(text);
    bytes += text.size();
  }
  const ReadSizes all{.first = kMostBytes, .then = kMostBytes};
  auto read = read_all(connection, story, bytes, all, [](std::string_view) {});
  story.say("TCP carries bytes. Where one send ended and the next began, it does not say.");
  return read;
}

Result<void> tell_cut(OwnConnection& connection, Story& story, const std::string& text,
                      ReadSizes sizes) {
  story.begin("cut", "One message, and reads that ask for less than all of it:");
  if (auto sent = connection.send(text); !sent) return sent;
  story.sent(text);
  auto read = read_all(connection, story, text.size(), sizes, [](std::string_view) {});
  story.say("A read gives what has come, up to what it asks for. The rest waits for the next one.");
  return read;
}

Result<void> tell_framed(OwnConnection& connection, Story& story, const Texts& texts,
                         ReadSizes sizes) {
  story.begin("framed",
              "The same messages as frames (header's length | header | body), and the same reads:");
  std::size_t bytes = 0;
  for (const std::string& text : texts) {
    std::string head;
    if (auto made = append_head(head, {.cmd = "echo", .data_size = text.size()}); !made) {
      return made;
    }
    if (auto sent = connection.send(head + text); !sent) return sent;
    story.sent_frame(head, text);
    bytes += head.size() + text.size();
  }
  HeaderParser parser;
  Decoder decoder(parser);
  std::string body;
  std::size_t messages = 0;
  Result<void> decoded;
  const auto decode = [&](std::string_view piece) {
    while (decoded) {
      Result<Decoder::Event> event = decoder.next(piece);
      if (!event) decoded = fail(event.error());
      if (!event || std::holds_alternative<Decoder::NeedMore>(*event)) return;
      if (const auto* part = std::get_if<Decoder::Body>(&*event)) body += part->bytes;
      if (!std::holds_alternative<Decoder::End>(*event)) continue;
      ++messages;
      story.message(std::exchange(body, {}));
    }
  };
  if (auto read = read_all(connection, story, bytes, sizes, decode); !read) return read;
  story.say(std::to_string(texts.size()) + " sent, " + std::to_string(messages) +
            " received: each frame says how long it is, so it does not matter how it is read.");
  return decoded;
}

Result<void> tell(Story& story, const Texts& texts, ReadSizes sizes) {
  std::string joined = texts.front();
  for (std::size_t i = 1; i < texts.size(); ++i) joined += " " + texts[i];
  Result<OwnConnection> connection = OwnConnection::open();
  if (!connection) return fail(connection.error());
  if (auto told = tell_joined(*connection, story, texts); !told) return told;
  if (auto told = tell_cut(*connection, story, joined, sizes); !told) return told;
  return tell_framed(*connection, story, texts, sizes);
}

}  // namespace

int run_sticky(Invocation& invocation) {
  Texts texts;
  ReadSizes sizes;
  auto& app = invocation.app();
  auto* read = app.add_option("--read", sizes.first,
                              "How many bytes each read asks for, 1 to 1024; default 2 and then 10")
                   ->type_name("N")
                   ->check(whole_number(1, kMostBytes));
  if (auto status = invocation.parse_leading(texts)) return *status;
  if (!read->empty()) sizes.then = sizes.first;
  if (texts.empty()) texts = {"hello", "world"};
  std::size_t bytes = texts.size() - 1;  // of the blanks between them
  for (const std::string& text : texts) {
    if (text.empty()) return invocation.usage_error("expected TEXT, got an empty word");
    bytes += text.size();
  }
  if (bytes > kMostBytes) {
    return invocation.usage_error("expected TEXTs of up to " + std::to_string(kMostBytes) +
                                  " bytes together, got " + std::to_string(bytes));
  }
  Story story(invocation.settings.json);
  const Result<void> told = tell(story, texts, sizes);
  invocation.console().put(story.text());
  const int written = invocation.console().finish_results();
  return told ? written : invocation.console().report_status(told.error());
}

}  // namespace cleave::cli
