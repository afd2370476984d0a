// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/core/datagrams.h"
#include "cleave/core/socket_address.h"
#include "cleave/testing/frame_bytes.h"
#include "cleave/testing/test_server.h"

using namespace cleave;
using namespace cleave::testing;
using DropReason = Observer::DropReason;

namespace {

// Writes down what it sees, a word or two each.
class Notes final : public Observer {
 public:
  void on_listening(std::string_view) override { lines.emplace_back("listening"); }
  void on_unlistening(std::string_view) override { lines.emplace_back("unlistening"); }
  void on_server_closed() override { lines.emplace_back("closed"); }
  void on_shed(const Error& error) override { lines.push_back("shed " + error.message); }
  void on_datagram_dropped(const Peer& peer, DropReason reason) override {
    ++dropped;
    last_peer = peer.address;
    lines.push_back("dropped " + std::string(to_string(reason)));
  }
  void on_request(const Peer& peer, std::string_view cmd) override {
    last_peer = peer.address;
    last_local = peer.local_address;
    lines.push_back("request " + std::string(cmd));
  }
  void on_served(const Served& served) override {
    ++answered;
    lines.push_back("served " + (served.code ? std::string(to_string(*served.code)) : "ok") + " " +
                    std::to_string(served.body_in) + " " + std::to_string(served.body_out));
  }
  void on_refused(const Peer&, std::string_view cmd, const Error& error) override {
    lines.push_back("refused " + std::string(cmd) + " " + std::string(to_string(error.code)));
  }

  // What came since the last look.
  std::vector<std::string> take() { return std::exchange(lines, {}); }

  std::vector<std::string> lines;
  std::string last_peer;
  std::string last_local;
  int dropped = 0;
  int answered = 0;
};

using Lines = std::vector<std::string>;

SocketAddress address_of(const std::string& url) {
  return SocketAddress::from(Endpoint::parse(url).value()).value();
}

class UdpClient {
 public:
  // Sends to the host and the port of a URL, from an address of its own family.
  explicit UdpClient(const std::string& url) : server_(address_of(url)) {
    socket_ = Fd(::socket(server_.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    REQUIRE(socket_);
    SocketAddress any;
    any.any()->sa_family = static_cast<sa_family_t>(server_.family());
    own_ = any;
    if (server_.family() == AF_INET) own_.storage.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (server_.family() == AF_INET6) own_.storage.v6.sin6_addr = in6addr_loopback;
    REQUIRE(::bind(socket_.get(), own_.any(), own_.size()) == 0);
    socklen_t size = own_.size();
    REQUIRE(::getsockname(socket_.get(), own_.any(), &size) == 0);
  }

  // Takes answers from whom it asks, and from nobody else.
  void connect() { REQUIRE(::connect(fd(), server_.any(), server_.size()) == 0); }
  void send(std::string_view bytes) {
    REQUIRE(::sendto(fd(), bytes.data(), bytes.size(), 0, server_.any(), server_.size()) ==
            static_cast<ssize_t>(bytes.size()));
  }
  // The next answer, if it is there.
  std::optional<std::string> receive() {
    std::string bytes(70'000, '\0');
    const ssize_t size = ::recv(fd(), bytes.data(), bytes.size(), 0);
    if (size < 0) return std::nullopt;
    bytes.resize(static_cast<std::size_t>(size));
    return bytes;
  }
  [[nodiscard]] bool has_answer() const {
    pollfd asked{.fd = fd(), .events = POLLIN, .revents = 0};
    return ::poll(&asked, 1, 0) == 1;
  }

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] SocketAddress& own() noexcept { return own_; }
  [[nodiscard]] SocketAddress& server() noexcept { return server_; }

 private:
  Fd socket_;
  SocketAddress server_;
  SocketAddress own_;
};

// The frame that a datagram is; throws where it is none.
Frame frame_of(const std::string& datagram) {
  static HeaderParser parser;
  Decoder decoder(parser);
  std::string_view input = datagram;
  Frame frame;
  for (;;) {
    auto event = decoder.next(input);
    if (!event) throw std::runtime_error(event.error().message);
    if (auto* head = std::get_if<Decoder::Head>(&*event)) frame.header = head->header;
    if (auto* body = std::get_if<Decoder::Body>(&*event)) frame.body += body->bytes;
    if (std::holds_alternative<Decoder::NeedMore>(*event)) throw std::runtime_error("cut short");
    if (std::holds_alternative<Decoder::End>(*event)) break;
  }
  if (!input.empty()) throw std::runtime_error("more than a frame");
  return frame;
}

void add_commands(Router& router, const std::function<void()>& during) {
  router.add("echo", {.summary = "the body", .datagram = true},
             collected([](const Request&, std::string_view body, ReplyWriter& reply) -> Result<> {
               reply.append(body);
               return {};
             }));
  router.add(
      "times",
      {.summary = "the body, n times",
       .arguments = {{.name = "n",
                      .type = Argument::Type::integer,
                      .summary = "how often",
                      .min = 0,
                      .max = 100'000}},
       .datagram = true},
      collected([](const Request& request, std::string_view body, ReplyWriter& reply) -> Result<> {
        const auto n = request.integer_or("n", 0, 100'000, 3).value();
        for (int i = 0; i < n; ++i) reply.append(body);
        return {};
      }));
  router.add("four", {.summary = "the body, four times", .datagram = true},
             collected([](const Request&, std::string_view body) -> Result<Reply> {
               std::string text;
               for (int i = 0; i < 4; ++i) text += body;
               return Reply::text(std::move(text));
             }));
  router.add("short", {.summary = "takes little", .message_bytes = 5, .datagram = true},
             collected([](const Request&, std::string_view body) -> Result<Reply> {
               return Reply::text(std::string(body));
             }));
  router.add("bodiless", {.summary = "takes no body", .takes_body = false, .datagram = true},
             collected([](const Request& request, std::string_view body) -> Result<Reply> {
               return Reply{Members()
                                .set("seen", body.size())
                                .set("sent", request.body_size().value())
                                .set("deadline", request.deadline().has_value())
                                .set("peer", request.peer().address)
                                .set("local", request.peer().local_address)
                                .set("cmd", request.cmd()),
                            {},
                            {}};
             }));
  router.add("fails", {.summary = "fails", .datagram = true},
             collected([](const Request& request, std::string_view body) -> Result<Reply> {
               if (request.has("throw")) throw std::runtime_error("on purpose");
               if (request.has("reply")) {
                 return Reply{Members().set("got", 7), Buffer::copy_of(body),
                              Error{Errc::not_found, "half of it"}};
               }
               return fail(Errc::not_found, "there is no such thing");
             }));
  router.add("source", {.summary = "replies with a source", .datagram = true},
             collected([](const Request&, std::string_view) -> Result<Reply> {
               return Reply{{}, std::shared_ptr<Source>(std::make_shared<Relay>()), {}};
             }));
  router.add("stream", {.summary = "is not for datagrams"},
             collected([](const Request&, std::string_view) -> Result<Reply> { return Reply{}; }));
  router.add("during", {.summary = "does what the test wants", .datagram = true},
             collected([&during](const Request&, std::string_view body) -> Result<Reply> {
               during();
               return Reply::text(std::string(body));
             }));
}

struct World {
  Notes notes;
  std::function<void()> during;
  TestServer test;

  explicit World(Admission* admission = nullptr)
      : test([this](Router& router, Loop&) { add_commands(router, during); },
             {.observer = &notes, .admission = admission}) {}

  std::string listen(const std::string& url) {
    const Result<std::string> bound = test.server()->listen(url);
    REQUIRE(bound.has_value());
    notes.take();
    return *bound;
  }
  // The next answer; waits for it.
  std::string receive(UdpClient& client) {
    REQUIRE(test.run_until([&] { return client.has_answer(); }));
    return client.receive().value();
  }
  std::string ask(UdpClient& client, std::string_view bytes) {
    client.send(bytes);
    return receive(client);
  }
  Frame ask_frame(UdpClient& client, std::string_view header, std::string_view body = {}) {
    return frame_of(ask(client, frame_bytes(header, body)));
  }
  // True if nothing of what was sent until now was answered: what is sent now comes behind it.
  bool silent(UdpClient& client, const std::string& good) {
    const std::string first = ask(client, good);
    return first.size() >= 5 && first.ends_with("still") && !client.receive();
  }
};

const std::string kGood = frame_bytes(R"({"cmd":"echo","data_size":5})", "still");

// An IPv6 loopback that this machine may not have.
bool has_ipv6() {
  SocketAddress address = address_of("udp://[::1]:0");
  const Fd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return socket && ::bind(socket.get(), address.any(), address.size()) == 0;
}

// Lends a test the listening socket.
struct Hook final : Admission {
  explicit Hook(std::function<void(int fd)> does) : on_fd(std::move(does)) {}
  Result<void> may_activate(const Endpoint&, int fd) override {
    on_fd(fd);
    return {};
  }
  std::function<void(int fd)> on_fd;
};

}  // namespace

// ---- Frames -------------------------------------------------------------------------------------

TEST_CASE("a datagram that is one frame is answered with one frame") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  const Frame reply = world.ask_frame(client, R"({"cmd":"echo","data_size":5})", "hello");
  CHECK(reply.header->json() == R"({"data_size":5,"status":"ok"})");
  CHECK(reply.body == "hello");
  CHECK(world.notes.take() == Lines{"request echo", "served ok 5 5"});
}

TEST_CASE("an id comes back, and an empty body is none") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  CHECK(world.ask_frame(client, R"({"cmd":"echo","id":9007199254740991})").header->json() ==
        R"({"id":9007199254740991,"status":"ok"})");
}

TEST_CASE("a handler sees of a datagram what it sees of any request") {
  World world;
  const std::string url = world.listen("udp://127.0.0.1:0");
  UdpClient client(url);
  const std::string padding = R"(,"pad":")" + std::string(100, 'x') + "\"";
  const Frame reply = world.ask_frame(
      client, R"({"cmd":"bodiless","timeout_ms":1000,"data_size":4)" + padding + "}", "body");
  CHECK(reply.number("seen") == 0);
  CHECK(reply.number("sent") == 4);
  CHECK(reply.flag("deadline"));
  CHECK(reply.text("cmd") == "bodiless");
  CHECK(reply.text("peer") == client.own().text());
  CHECK(reply.text("local") == client.server().text());
  CHECK_FALSE(world.ask_frame(client, R"({"cmd":"bodiless")" + padding + "}").flag("deadline"));
}

TEST_CASE("each of several peers is answered, and told from the others") {
  World world;
  const std::string url = world.listen("udp://127.0.0.1:0");
  UdpClient first(url);
  UdpClient second(url);
  first.send(frame_bytes(R"({"cmd":"echo","data_size":1})", "1"));
  second.send(frame_bytes(R"({"cmd":"echo","data_size":1})", "2"));
  first.send(frame_bytes(R"({"cmd":"echo","data_size":1})", "3"));
  CHECK(frame_of(world.receive(first)).body == "1");
  CHECK(frame_of(world.receive(second)).body == "2");
  CHECK(frame_of(world.receive(first)).body == "3");
  CHECK(world.notes.last_peer == first.own().text());
  (void)world.ask(second, kGood);
  CHECK(world.notes.last_peer == second.own().text());
}

TEST_CASE("what is not exactly one frame is dropped and counted, and never answered") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  const std::string frame = frame_bytes(R"({"cmd":"echo","data_size":2})", "hi");
  const std::vector<std::string> wrong = {
      "",
      "x",
      std::string(3, '\0'),
      length_bytes(28),
      length_bytes(0),
      length_bytes(1) + "{",
      length_bytes(0xFFFFFFFF) + "{}",
      "GET / HTTP/1.1\r\n\r\n",
      R"({"cmd":"echo"})",
      frame.substr(0, frame.size() - 3),
      frame.substr(0, frame.size() - 1),
      frame + "x",
      frame + frame,
      frame_bytes(R"({"cmd":"echo"})", "hi"),
      frame_bytes("[]"),
      frame_bytes(R"({"cmd":"echo","cmd":"echo"})"),
      frame_bytes(R"({"cmd":"echo","data_size":1.0})", "x"),
      frame_bytes(R"({"cmd":"echo","data_size":9223372036854775807})", "x"),
      frame_bytes(R"({"cmd":"echo","more":false})"),
      frame_bytes(R"({"cmd":"echo","id":1,"more":true,"data_size":2})", "hi"),
  };
  for (const std::string& bytes : wrong) {
    CAPTURE(bytes);
    client.send(bytes);
    CHECK(world.silent(client, kGood));
    CHECK(world.notes.take() == Lines{"dropped malformed", "request echo", "served ok 5 5"});
    CHECK(world.notes.last_peer == client.own().text());
  }
}

TEST_CASE("what is no request is dropped and counted, and never answered") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  for (const std::string header :
       {R"({})", R"({"id":7})", R"({"status":"ok"})", R"({"status":"error","code":"internal"})",
        R"({"cmd":"echo","status":"ok"})", R"({"cmd":"echo","status":null})"}) {
    CAPTURE(header);
    client.send(frame_bytes(header));
    CHECK(world.silent(client, kGood));
    CHECK(world.notes.take() == Lines{"dropped not_request", "request echo", "served ok 5 5"});
  }
}

TEST_CASE("every answer that is sent back is dropped") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  for (const std::string header : {R"({"cmd":"echo","data_size":5})",
                                   R"({"cmd":"nothing","data_size":5,"pad":"xxxxxxxxxxxx"})",
                                   R"({"cmd":"times","n":1000,"data_size":5})"}) {
    const std::string answer = world.ask(client, frame_bytes(header, "hello"));
    world.notes.take();
    client.send(answer);
    CHECK(world.silent(client, kGood));
    CHECK(world.notes.take() == Lines{"dropped not_request", "request echo", "served ok 5 5"});
  }
}

TEST_CASE("an error of a well-formed request is said, with its id") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  const auto code = [&](const std::string& members, std::string_view body = {}) {
    const std::string header = R"({"id":7,"pad":")" + std::string(100, 'x') + R"(","data_size":)" +
                               std::to_string(body.size()) + "," + members + "}";
    const Frame reply = world.ask_frame(client, header, body);
    CHECK(reply.number("id") == 7);
    CHECK(reply.text("status") == "error");
    CHECK_FALSE(reply.text("message").empty());
    return reply.text("code");
  };
  const std::string long_name(65, 'a');
  CHECK(code(R"("cmd":"nothing")") == "unknown_command");
  CHECK(code(R"("cmd":"stream")") == "unknown_command");
  CHECK(code(R"("cmd":"cancel","target":1)") == "unknown_command");
  CHECK(code(R"("cmd":"")") == "invalid_argument");
  CHECK(code(R"("cmd":5)") == "invalid_argument");
  CHECK(code(R"("cmd":")" + long_name + "\"") == "invalid_argument");
  CHECK(code(R"("cmd":"times","n":"many")") == "invalid_argument");
  CHECK(code(R"("cmd":"echo","timeout_ms":0)") == "invalid_argument");
  CHECK(code(R"("cmd":"short")", "longer") == "too_large");
  CHECK(world.notes.take() ==
        Lines{"refused nothing unknown_command", "refused stream unknown_command",
              "refused cancel unknown_command", "refused  invalid_argument",
              "refused  invalid_argument", "refused " + long_name + " invalid_argument",
              "refused times invalid_argument", "refused echo invalid_argument",
              "refused short too_large"});
  CHECK(code(R"("cmd":"fails")") == "not_found");
  CHECK(code(R"("cmd":"fails","throw":true)") == "internal");
  CHECK(code(R"("cmd":"source")") == "internal");
  CHECK(world.notes.take() == Lines{"request fails", "served not_found 0 0", "request fails",
                                    "served internal 0 0", "request source",
                                    "served internal 0 0"});
}

TEST_CASE("the sentence of an error tells what is wrong") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  const std::string padding = R"(,"pad":")" + std::string(100, 'x') + "\"}";
  const auto message = [&](const std::string& members) {
    return world.ask_frame(client, "{" + members + padding).text("message");
  };
  CHECK(message(R"("cmd":"no\"thing")") == R"(there is no command "no\"thing")");
  CHECK(message(R"("cmd":"stream")") == R"("stream" is not offered to datagrams; ask over TCP)");
  CHECK(message(R"("cmd":"fails","throw":1)") == "the handler failed: on purpose");
}

TEST_CASE("an error may carry members and a body as well") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  const Frame reply =
      world.ask_frame(client, R"({"cmd":"fails","reply":true,"data_size":4})", "half");
  CHECK(reply.text("code") == "not_found");
  CHECK(reply.number("got") == 7);
  CHECK(reply.body == "half");
  CHECK(world.notes.take() == Lines{"request fails", "served not_found 4 4"});
}

// ---- At most three times the request ------------------------------------------------------------

TEST_CASE("an answer has at most three times the bytes of its request") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  // One byte of body, n times: the answer's size is a choice.
  const std::string request =
      frame_bytes(R"({"cmd":"times","n":___,"data_size":1,"p":"xxxxxx"})", "y");
  const std::size_t limit = 3 * request.size();
  const std::size_t head = frame_bytes(R"({"data_size":100,"status":"ok"})").size();
  const auto asked = [&](std::size_t n) {
    std::string bytes = request;
    return world.ask(client, bytes.replace(bytes.find("___"), 3, std::to_string(n)));
  };
  REQUIRE(limit - head >= 100);
  const std::string most = asked(limit - head);
  CHECK(most.size() == limit);
  CHECK(frame_of(most).ok());
  const std::string above = asked(limit - head + 1);
  CHECK(above.size() <= limit);
  CHECK(frame_of(above).text("code") == "too_large");
  CHECK(frame_of(above).text("message").starts_with("pad the request: its answer would have"));
  CHECK(world.notes.take().back() == "served too_large 1 0");
}

TEST_CASE("an error is cut until it fits, becomes a shorter one, or is dropped") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  const std::size_t too_large =
      frame_bytes(R"({"status":"error","code":"too_large","message":""})").size();
  const std::size_t unknown =
      frame_bytes(R"({"status":"error","code":"unknown_command","message":""})").size();
  const std::string message = "there is no command \"語\"";
  const std::string refused = "refused 語 unknown_command";
  int whole = 0;
  for (std::size_t pad = 0; pad < 20; ++pad) {
    const std::string request = frame_bytes(R"({"cmd":"語")" + std::string(pad, ' ') + "}");
    const std::size_t limit = 3 * request.size();
    CAPTURE(limit);
    client.send(request);
    world.test.settle();
    const std::optional<std::string> answer = client.receive();
    CHECK(answer.has_value() == (limit >= too_large));
    CHECK(world.notes.take() == (answer ? Lines{refused} : Lines{refused, "dropped too_large"}));
    if (!answer) continue;
    CHECK(answer->size() <= limit);
    const Frame frame = frame_of(*answer);
    CHECK(frame.text("code") == (limit >= unknown ? "unknown_command" : "too_large"));
    if (limit < unknown) continue;
    CHECK(message.starts_with(frame.text("message")));
    if (frame.text("message") == message) {
      ++whole;
    } else {
      // No more is cut off than must be: the character of three bytes and an escaped quote.
      CHECK(answer->size() + 6 > limit);
    }
  }
  CHECK(whole > 0);
  CHECK(whole < 15);
}

TEST_CASE("an answer longer than any datagram is too large, whatever asks for it") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0"));
  const std::string body(40'000, 'x');
  const Frame reply = world.ask_frame(client, R"({"cmd":"times","n":2,"data_size":40000})", body);
  CHECK(reply.text("code") == "too_large");
  CHECK(reply.text("message").find("up to 65507") != std::string::npos);
  const Frame whole = world.ask_frame(client, R"({"cmd":"times","n":1,"data_size":40000})", body);
  CHECK(whole.body == body);
}

// ---- Raw ----------------------------------------------------------------------------------------

TEST_CASE("on the wire raw a datagram is a message, and so is its answer") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0?wire=raw&cmd=echo"));
  for (const std::string& message :
       {std::string("hello"), std::string("粘包 \0 é", 12), std::string(), std::string("{}"),
        std::string(1'024, 'x'), std::string(Datagrams::kBytes, 'x')}) {
    CHECK(world.ask(client, message) == message);
    const std::string size = std::to_string(message.size());
    CHECK(world.notes.take() == Lines{"request echo", "served ok " + size + " " + size});
  }
}

TEST_CASE(
    "on the wire raw an answer may be three times its request, and above that it is dropped") {
  World world;
  UdpClient three(world.listen("udp://127.0.0.1:0?wire=raw&cmd=times"));
  UdpClient four(world.listen("udp://127.0.0.1:0?wire=raw&cmd=four"));
  CHECK(world.ask(three, "abc") == "abcabcabc");
  world.notes.take();
  four.send("abc");
  CHECK(world.ask(four, "").empty());
  CHECK_FALSE(four.receive());
  CHECK(world.notes.take() == Lines{"request four", "dropped too_large", "served too_large 3 0",
                                    "request four", "served ok 0 0"});
}

TEST_CASE("on the wire raw an error cannot be said, and the observer is told of it") {
  World world;
  UdpClient shorts(world.listen("udp://127.0.0.1:0?wire=raw&cmd=short"));
  UdpClient fails(world.listen("udp://127.0.0.1:0?wire=raw&cmd=fails"));
  shorts.send("longer");
  CHECK(world.ask(shorts, "fits.") == "fits.");
  CHECK(world.notes.take() == Lines{"refused short too_large", "request short", "served ok 5 5"});
  fails.send("x");
  world.test.settle();
  CHECK_FALSE(fails.receive());
  CHECK(world.notes.take() == Lines{"request fails", "served not_found 1 0"});
}

TEST_CASE("only commands for datagrams, and only the wires frame and raw, can be listened for") {
  World world;
  CHECK_FALSE(world.test.server()->listen("udp://127.0.0.1:0?wire=raw&cmd=stream").has_value());
  Endpoint endpoint = Endpoint::parse("udp://127.0.0.1:0?wire=raw&cmd=echo").value();
  endpoint.wire = Wire::prefix;
  const auto refused = world.test.server()->listen(endpoint);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::invalid_argument);
  CHECK(refused.error().message == "a datagram carries the wire frame or raw, and not prefix");
}

// ---- Addresses ----------------------------------------------------------------------------------

TEST_CASE(
    "what comes from the listener's own address is dropped, or it would answer itself for ever") {
  Fd own;
  Hook hook([&own](int fd) { own = Fd(::dup(fd)); });
  for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
    World world(&hook);
    const std::string bound = world.listen("udp://" + std::string(host) + ":0?wire=raw&cmd=echo");
    SocketAddress self = address_of("udp://127.0.0.1:1");
    self.storage.v4.sin_port = htons(Endpoint::parse(bound).value().port);
    REQUIRE(::sendto(own.get(), "x", 1, 0, self.any(), self.size()) == 1);
    world.test.settle();
    CHECK(world.notes.take() == Lines{"dropped not_request"});
    CHECK(world.notes.last_peer == self.text());
  }
}

TEST_CASE("what comes from port 0 is dropped, as nobody is there") {
  const Fd raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!raw) {
    WARN_MESSAGE(errno != EPERM, "not tested: making such a datagram needs CAP_NET_RAW");
    return;
  }
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0?wire=raw&cmd=echo"));
  udphdr header{};
  header.uh_dport = htons(client.server().port());
  header.uh_ulen = htons(sizeof header + 1);
  std::string packet(reinterpret_cast<const char*>(&header), sizeof header);
  packet += "x";
  REQUIRE(::sendto(raw.get(), packet.data(), packet.size(), 0, client.server().any(),
                   client.server().size()) == static_cast<ssize_t>(packet.size()));
  CHECK(world.ask(client, "good") == "good");
  CHECK(world.notes.take() == Lines{"dropped not_request", "request echo", "served ok 4 4"});
}

TEST_CASE("a listener on all addresses answers from the one that was asked") {
  World world;
  const std::string bound = world.listen("udp://0.0.0.0:0?wire=raw&cmd=echo");
  const std::string port = std::to_string(Endpoint::parse(bound).value().port);
  for (const char* host : {"127.0.0.1", "127.0.0.2", "127.1.2.3"}) {
    UdpClient client("udp://" + std::string(host) + ":" + port);
    client.connect();  // takes nothing that comes from elsewhere
    CHECK(world.ask(client, host) == host);
  }
}

TEST_CASE("a request to a listener on all addresses tells which one it was sent to") {
  World world;
  const std::string bound = world.listen("udp://0.0.0.0:0?wire=raw&cmd=echo");
  const std::string port = std::to_string(Endpoint::parse(bound).value().port);
  UdpClient client("udp://127.0.0.1:" + port);
  for (const char* host : {"127.0.0.1", "127.0.0.2", "127.0.0.1"}) {
    client.server() = address_of("udp://" + std::string(host) + ":" + port);
    client.send("x");
    (void)world.receive(client);
    CHECK(world.notes.last_local == host + (":" + port));
  }
}

TEST_CASE("IPv6 is served as IPv4 is, and both at once where that is wanted") {
  if (!has_ipv6()) {
    MESSAGE("not tested: this machine has no ::1");
    return;
  }
  World world;
  UdpClient six(world.listen("udp://[::1]:0?wire=raw&cmd=echo"));
  six.connect();
  CHECK(world.ask(six, "six") == "six");
  CHECK(world.notes.last_peer == six.own().text());

  const std::string both = world.listen("udp://[::]:0?wire=raw&cmd=echo&dual_stack=on");
  const std::string port = std::to_string(Endpoint::parse(both).value().port);
  UdpClient to_six("udp://[::1]:" + port);
  to_six.connect();
  CHECK(world.ask(to_six, "six") == "six");
  UdpClient to_four("udp://127.0.0.2:" + port);
  to_four.connect();
  CHECK(world.ask(to_four, "four") == "four");
  CHECK(world.notes.last_peer == "[::ffff:127.0.0.1]:" + std::to_string(to_four.own().port()));
  world.notes.take();

  // IPv6 carries a little more than is taken.
  to_six.send(std::string(Datagrams::kBytes + 1, 'x'));
  CHECK(world.ask(to_six, "six") == "six");
  CHECK(world.notes.take() == Lines{"dropped truncated", "request echo", "served ok 3 3"});
}

// ---- Many, and broken ones ----------------------------------------------------------------------

TEST_CASE("a flood is served in turns, and answers of connections come between") {
  for (const std::string& flood :
       {std::string("no frame"), frame_bytes(R"({"status":"ok"})"), kGood}) {
    World world;
    UdpClient client(world.listen("udp://127.0.0.1:0?receive_buffer=1048576"));
    TestPeer peer = world.test.connect();
    constexpr int kDatagrams = 150;
    // Never less than that waits, turn for turn.
    int sent = 0;
    const auto fill = [&] {
      for (; sent - world.notes.dropped - world.notes.answered < kDatagrams; ++sent) {
        client.send(flood);
        (void)client.receive();
      }
    };
    for (int round = 0; round < 10; ++round) {
      peer.send(R"({"cmd":"stream"})");
      int turns = 0;
      for (std::optional<Frame> reply; !reply; reply = peer.read()) {
        fill();
        const int before = world.notes.dropped + world.notes.answered;
        world.test.loop().step();
        CHECK(world.notes.dropped + world.notes.answered - before <= 65);
        REQUIRE(++turns < 8);
      }
    }
    CHECK(world.notes.dropped + world.notes.answered > 300);
    if (flood != kGood) CHECK_FALSE(client.has_answer());
  }
}

TEST_CASE("a whole batch and more is answered, each once and in order") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0?wire=raw&cmd=echo"));
  for (int i = 0; i < 100; ++i) client.send(std::to_string(i));
  for (int i = 0; i < 100; ++i) CHECK(world.receive(client) == std::to_string(i));
  CHECK_FALSE(client.receive());
}

TEST_CASE("an answer that cannot be sent is dropped and counted, and disturbs nothing") {
  Hook hook([](int fd) { (void)::shutdown(fd, SHUT_WR); });
  World world(&hook);
  UdpClient client(world.listen("udp://127.0.0.1:0?wire=raw&cmd=echo"));
  UdpClient other(world.test.server()->listen("udp://127.0.0.1:0?wire=raw&cmd=echo").value());
  world.notes.take();
  client.send("a");
  client.send("b");
  world.test.settle();
  CHECK_FALSE(client.has_answer());
  CHECK(world.notes.take() == Lines{"request echo", "served ok 1 1", "request echo",
                                    "served ok 1 1", "dropped unsendable", "dropped unsendable"});
  CHECK(world.notes.last_peer == client.own().text());
}

TEST_CASE("a peer that has gone before its answer does not disturb the others") {
  // Told of it or not: as by default the socket is not, and as an embedding program may want it.
  for (const int told : {0, 1}) {
    Fd own;
    Hook hook([&own, told](int fd) {
      REQUIRE(::setsockopt(fd, IPPROTO_IP, IP_RECVERR, &told, sizeof told) == 0);
      own = Fd(::dup(fd));
    });
    World world(&hook);
    const std::string url = world.listen("udp://127.0.0.1:0?wire=raw&cmd=echo");
    UdpClient client(url);
    for (int round = 0; round < 3; ++round) {
      SocketAddress gone;
      for (int i = 0; i < 2; ++i) {
        UdpClient leaver(url);
        leaver.send("gone");
        gone = leaver.own();
      }
      world.test.settle();
      client.send("here");
      world.test.settle();
      CHECK(client.receive() == "here");
      // The error comes when nothing else happens, as it does over a network.
      REQUIRE(::sendto(own.get(), "x", 1, 0, gone.any(), gone.size()) == 1);
      world.test.settle();
      client.send("still here");
      world.test.advance(Millis(250));
      CHECK(client.receive() == "still here");
    }
    CHECK(world.notes.answered == 12);
    CHECK(world.notes.lines.size() == 24);  // each asked and served, and nothing else
  }
}

// ---- Ending -------------------------------------------------------------------------------------

TEST_CASE("a server that drains closes its datagram listeners at once") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0?wire=raw&cmd=echo"));
  client.connect();
  CHECK(world.ask(client, "x") == "x");
  world.notes.take();
  bool clean = false;
  world.test.server()->drain([&clean](bool good) { clean = good; });
  CHECK(world.notes.take() == Lines{"unlistening"});
  CHECK(::send(client.fd(), "x", 1, 0) == 1);
  CHECK(::send(client.fd(), "x", 1, 0) == -1);  // the first one was not taken by anybody
  CHECK(errno == ECONNREFUSED);
  world.test.settle();
  CHECK(clean);
}

TEST_CASE("a server that ends when it is told of a request does not have it handled") {
  struct Ender final : public Observer {
    std::function<void()> end;
    void on_request(const Peer&, std::string_view) override { std::exchange(end, nullptr)(); }
  };
  Ender ender;
  int handled = 0;
  TestServer test(
      [&handled](Router& router, Loop&) {
        router.add("count", {.summary = "counts", .datagram = true},
                   collected([&handled](const Request&, std::string_view) -> Result<Reply> {
                     ++handled;
                     return Reply{};
                   }));
      },
      {.observer = &ender});
  UdpClient client(test.server()->listen("udp://127.0.0.1:0?wire=raw&cmd=count").value());
  ender.end = [&test] { test.destroy_server(); };
  client.send("x");
  test.settle();
  CHECK(handled == 0);
  CHECK_FALSE(ender.end);
}

TEST_CASE("a server that drains listens no more") {
  World world;
  world.test.server()->drain([](bool) {});
  for (const char* url : {"udp://127.0.0.1:0", "tcp://127.0.0.1:0"}) {
    const Result<std::string> bound = world.test.server()->listen(url);
    REQUIRE_FALSE(bound.has_value());
    CHECK(bound.error().code == Errc::unavailable);
  }
}

TEST_CASE("a handler that drains its server is answered, and the datagrams behind it are not") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0?wire=raw&cmd=during"));
  int calls = 0;
  world.during = [&] {
    if (++calls == 2) world.test.server()->drain([](bool) {});
  };
  for (const char* message : {"one", "two", "three"}) client.send(message);
  world.test.settle();
  CHECK(calls == 2);
  CHECK(client.receive() == "one");
  CHECK(client.receive() == "two");
  CHECK_FALSE(client.receive());
  CHECK(world.notes.take() ==
        Lines{"request during", "served ok 3 3", "request during", "unlistening", "served ok 3 3"});
}

TEST_CASE("a handler may destroy the server that it serves") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0?wire=raw&cmd=during"));
  int calls = 0;
  world.during = [&] {
    ++calls;
    world.test.destroy_server();
  };
  client.send("one");
  client.send("two");
  world.test.settle();
  CHECK(calls == 1);
  CHECK_FALSE(client.receive());
  CHECK(world.notes.take() ==
        Lines{"request during", "served cancelled 3 0", "unlistening", "closed"});
}

TEST_CASE("a server that was destroyed listens no more") {
  World world;
  UdpClient client(world.listen("udp://127.0.0.1:0?wire=raw&cmd=echo"));
  client.connect();
  world.test.destroy_server();
  CHECK(world.notes.take() == Lines{"unlistening", "closed"});
  CHECK(::send(client.fd(), "x", 1, 0) == 1);
  CHECK(::send(client.fd(), "x", 1, 0) == -1);
  CHECK_FALSE(world.test.loop().step());
}
