// SPDX-License-Identifier: MIT
// Datagrams of any bytes, through real sockets on loopback. What is not exactly one request is
// never answered; what is, is answered at most once, to who asked, and with at most three times its
// bytes.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "cleave/core/datagrams.h"
#include "cleave/core/socket_address.h"
#include "cleave/handlers/echo.h"
#include "cleave/handlers/upper.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/test_server.h"
#include "fuzz.h"

using namespace cleave;
using namespace cleave::testing;
using cleave::fuzz::Choices;
using cleave::fuzz::require;

namespace {

constexpr std::size_t kAtOnce = 4;

SocketAddress address_of(const std::string& url) {
  return SocketAddress::from(Endpoint::parse(url).value()).value();
}

class Asker {
 public:
  Asker() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    const SocketAddress own = address_of("udp://127.0.0.1:0");
    require(::bind(socket_.get(), own.any(), own.size()) == 0, "loopback has a free port");
  }
  void send(const SocketAddress& to, std::string_view bytes) const {
    require(::sendto(socket_.get(), bytes.data(), bytes.size(), 0, to.any(), to.size()) ==
                static_cast<ssize_t>(bytes.size()),
            "loopback takes a datagram");
  }
  // The next answer, if one is there.
  [[nodiscard]] std::optional<std::string> receive() const {
    static std::array<char, 65'536> memory;
    const ssize_t size = ::recv(socket_.get(), memory.data(), memory.size(), 0);
    if (size < 0) return std::nullopt;
    return std::string(memory.data(), static_cast<std::size_t>(size));
  }
  void wait(int ms) const {
    pollfd asked{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    (void)::poll(&asked, 1, ms);
  }

 private:
  Fd socket_;
};

// What the server says that it did.
struct Tally final : Observer {
  void on_datagram_dropped(const Peer& /*peer*/, DropReason reason) override {
    ++dropped;
    unsendable += reason == DropReason::unsendable ? 1 : 0;
    too_large += reason == DropReason::too_large ? 1 : 0;
  }
  std::size_t dropped = 0;
  std::size_t too_large = 0;
  std::size_t unsendable = 0;
};

// Replies as the first byte of the body says.
Result<void> mimic(const Request& request, std::string_view body, ReplyWriter& reply) {
  const unsigned first = body.empty() ? 0 : static_cast<unsigned char>(body.front());
  if (first % 8 == 5) return fail(Errc::not_found, std::string(body));
  if (first % 8 == 6) throw std::runtime_error(std::string(body));
  if (first % 8 == 7) reply.set("said", body).set("id_was", request.has_id());
  for (unsigned i = 0; i < first % 8 && first % 8 < 5; ++i) reply.append(body);
  return {};
}

void add_commands(Router& router) {
  add_echo(router);
  add_upper(router);
  router.add("mimic", {.summary = "as it is told", .body_bytes = 65'536, .datagram = true},
             collected(mimic));
  router.add("half", {.summary = "fails, with results", .datagram = true},
             collected([](const Request&, std::string_view body) -> Result<Reply> {
               return Reply{Members().set("got", body.size()), Buffer::copy_of(body),
                            Error{Errc::not_found, std::string(body)}};
             }));
  router.add("picky",
             {.summary = "has arguments",
              .arguments = {{.name = "n", .type = Argument::Type::integer, .max = 5}},
              .body_bytes = 8,
              .datagram = true},
             collected([](const Request&, std::string_view) -> Result<Reply> { return Reply{}; }));
  router.add("tcp", {.summary = "is not for datagrams"},
             collected([](const Request&, std::string_view) -> Result<Reply> { return Reply{}; }));
}

// A header and what lies behind it, if `bytes` are one whole frame and nothing else.
struct Whole {
  Ref<const Header> header;
  std::string_view body;
};
std::optional<Whole> whole_frame(std::string_view bytes, HeaderParser& parser) {
  if (bytes.size() < 4) return std::nullopt;
  std::uint64_t length = 0;
  for (int i = 3; i >= 0; --i) {
    length = length * 256 + static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  }
  bytes.remove_prefix(4);
  if (length < 2 || length > 65'536 || length > bytes.size()) return std::nullopt;
  const auto header = parser.parse(bytes.substr(0, static_cast<std::size_t>(length)));
  bytes.remove_prefix(static_cast<std::size_t>(length));
  if (!header || (*header)->frame().data_size.value_or(0) != bytes.size()) return std::nullopt;
  return Whole{*header, bytes};
}

class World {
 public:
  World() : test_([](Router& router, Loop&) { add_commands(router); }, {.observer = &tally_}) {
    frames_ = listen("udp://127.0.0.1:0");
    raw_ = listen("udp://127.0.0.1:0?wire=raw&cmd=mimic");
  }

  void run(Choices& input) {
    const bool raw = input.byte() % 2 == 1;
    while (!input.empty()) {
      std::vector<std::string> asked;
      std::size_t total = 0;
      while (!input.empty() && asked.size() < kAtOnce && total < 16'384) {
        asked.push_back(datagram(input));
        total += asked.back().size();
      }
      ask(raw, asked);
    }
  }

 private:
  SocketAddress listen(const std::string& url) {
    const auto bound = test_.server()->listen(url);
    require(bound.has_value(), "loopback has a free port");
    return address_of(*bound);
  }

  // One to be sent: as it stands in the input, or a frame around what stands there.
  static std::string datagram(Choices& input) {
    constexpr std::array<const char*, 8> kHeads = {
        R"({"cmd":"echo")",  R"({"cmd":"upper")", R"({"cmd":"mimic")",  R"({"cmd":"half")",
        R"({"cmd":"picky")", R"({"cmd":"tcp")",   R"({"cmd":"nobody")", R"({"x":1)"};
    const std::uint8_t shape = input.byte();
    const std::size_t blanks = (shape & 8U) != 0 ? input.number(2) : 0;
    const std::size_t fill = (shape & 16U) != 0 ? input.number(2) : 0;
    std::string header(input.bytes(input.byte()));  // the members behind the head, or all
    std::string body(input.bytes(input.byte()));
    std::string bytes;
    body.append(fill, 'f');
    if ((shape & 128U) != 0) {
      bytes = header + body;
    } else {
      if ((shape & 64U) == 0) {
        if ((shape & 32U) != 0) header += ",\"id\":" + std::to_string(body.size());
        header =
            kHeads[shape & 7U] + header + ",\"data_size\":" + std::to_string(body.size()) + "}";
      }
      bytes = frame_bytes(header + std::string(blanks, ' '), body);
    }
    return bytes.substr(0, Datagrams::kBytes);
  }

  void ask(bool raw, const std::vector<std::string>& asked) {
    tally_ = {};
    for (std::size_t i = 0; i < asked.size(); ++i) askers_[i].send(raw ? raw_ : frames_, asked[i]);
    settle(raw);
    require(tally_.unsendable == 0, "loopback takes an answer");
    const std::size_t dropped = tally_.dropped;
    std::size_t answered = 0;
    std::size_t mute = 0;  // errors, on the wire that cannot say them
    for (std::size_t i = 0; i < asked.size(); ++i) {
      const auto answer = askers_[i].receive();
      if (answer) {
        ++answered;
        require(answer->size() <= 3 * asked[i].size(), "an answer has at most 3 times the bytes");
        require(answer->size() <= 65'507, "an answer fits a datagram");
        require(!askers_[i].receive(), "there is one answer, and to who asked");
      }
      if (raw) {
        mute += look_at_raw(asked[i], answer) ? 0 : 1;
      } else {
        look_at_frame(asked[i], answer);
        if (answer) bounce(i, *answer);
      }
    }
    require(answered + dropped + mute == asked.size(), "what is not answered is counted");
  }

  // What was sent before this has been served after it: its own answer comes last.
  void settle(bool raw) {
    static const std::string good = frame_bytes(R"({"cmd":"echo","data_size":2})", "ok");
    last_.send(raw ? raw_ : frames_, raw ? "\1ok" : good);
    for (int i = 0; i < 1'000; ++i) {
      test_.loop().step();
      if (last_.receive()) return;
      last_.wait(i < 10 ? 0 : 10);
    }
    require(false, "the server goes on, whatever came");
  }

  void bounce(std::size_t asker, const std::string& answer) {
    askers_[asker].send(frames_, answer);
    settle(false);
    require(!askers_[asker].receive(), "an answer is never answered");
  }

  void look_at_frame(const std::string& asked, const std::optional<std::string>& answer) {
    const auto request = whole_frame(asked, parser_);
    const bool is_request = request && !request->header->frame().more &&
                            request->header->find("cmd") && !request->header->find("status");
    if (!is_request) return require(!answer, "what is no request is never answered");
    if (!answer) return require(tally_.too_large > 0, "a request is answered if there is room");

    const auto reply = whole_frame(*answer, parser_);
    require(reply.has_value(), "an answer is one whole frame");
    const Header& header = *reply->header;
    require(header.frame().id == request->header->frame().id, "an answer has its request's id");
    require(!header.frame().more && !header.find("cmd"), "an answer is no request");
    const std::string_view status = header.string("status").value();
    const std::string_view cmd = request->header->string_or("cmd", "").value_or("");
    if (status == "ok") {
      require(cmd != "echo" || reply->body == request->body, "an echo is what was said");
      require(cmd != "tcp" && cmd != "nobody", "what is not offered is not done");
    } else {
      require(status == "error", "an answer is ok or an error");
      require(errc_from(header.string("code").value()).has_value(), "an error has a code");
      require(header.string("message").has_value(), "an error has a sentence, or a part of one");
    }
  }

  // False for an error, which is neither answered nor dropped.
  static bool look_at_raw(const std::string& asked, const std::optional<std::string>& answer) {
    const unsigned kind = asked.empty() ? 0 : static_cast<unsigned char>(asked.front()) % 8U;
    std::string expected;
    for (unsigned i = 0; i < kind && kind < 5; ++i) expected += asked;
    const bool fits = expected.size() <= std::min<std::size_t>(3 * asked.size(), 65'507);
    if (kind == 5 || kind == 6 || !fits) {
      require(!answer, "what went wrong cannot be said on the wire raw");
      return !fits;
    }
    require(answer == expected, "an answer is the reply's body alone");
    return true;
  }

  Tally tally_;
  TestServer test_;
  SocketAddress frames_;
  SocketAddress raw_;
  std::array<Asker, kAtOnce> askers_;
  Asker last_;
  HeaderParser parser_;
};

}  // namespace

// The first byte chooses the wire.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;  // nothing of a datagram is kept, so one server serves all inputs
  if (size > 4'096) return 0;
  Choices input(data, size);
  world.run(input);
  return 0;
}
