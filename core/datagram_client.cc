// SPDX-License-Identifier: MIT
#include "cleave/core/datagram_client.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "cleave/core/file.h"
#include "cleave/core/reply_error.h"
#include "cleave/core/socket_address.h"
#include "cleave/core/watcher.h"
#include "cleave/protocol/decoder.h"
#include "cleave/protocol/encoder.h"

namespace cleave {
inline namespace v0 {
namespace {

// 65,535 less the headers of IP and UDP.
constexpr std::size_t kLargest = 65'507;
// A server's reply is at most three times as long as the request, so that nobody can use it to
// flood a third. With this even an error's sentence fits, and the reply still fits one packet.
constexpr std::size_t kSmallest = 480;
constexpr Millis kFirstPause(250);
constexpr Millis kDefaultTimeout(10'000);
constexpr Millis kLongestTimeout(std::int64_t{365} * 24 * 3'600'000);
// Datagrams that are looked at in one turn: a flood of strange ones does not stop the loop.
constexpr int kDatagramsPerTurn = 64;

Error too_large(std::size_t size) {
  return {Errc::too_large, "the request has " + std::to_string(size) +
                               " bytes, and a datagram holds " + std::to_string(kLargest)};
}

}  // namespace

// One request under way.
struct DatagramClient::Asking {
  explicit Asking(Loop& loop, UniqueFunction<void()> on_time) : timer(loop, std::move(on_time)) {}

  Fd socket;
  std::optional<Watcher> watcher;
  Timer timer;
  std::uint64_t id = 0;
  std::string datagram;
  std::string input = std::string(64 * 1024, '\0');
  std::optional<Millis> timeout;  // as it was given
  Time deadline;
  Millis pause = kFirstPause;
  int tries = 0;
  int error = 0;  // the errno of the last try that the system told us of
  UniqueFunction<void(Result<Answer>)> done;
};

DatagramClient::DatagramClient(Loop& loop, Endpoint endpoint, const HeaderLimits& limits)
    : loop_(loop), endpoint_(std::move(endpoint)), parser_(limits) {}

Result<std::unique_ptr<DatagramClient>> DatagramClient::create(Loop& loop, std::string_view url,
                                                               const HeaderLimits& limits) {
  Result<Endpoint> endpoint = Endpoint::parse(url);
  if (!endpoint) return fail(std::move(endpoint.error()));
  if (!endpoint->is_datagram()) {
    return fail(Errc::invalid_argument,
                "a DatagramClient needs a udp:// address, and this is " + endpoint->url());
  }
  return std::unique_ptr<DatagramClient>(new DatagramClient(loop, *std::move(endpoint), limits));
}

DatagramClient::~DatagramClient() {
  if (asking_) end(fail(Errc::unavailable, "the client was closed here"));
}

void DatagramClient::ask(Call call, UniqueFunction<void(Result<Answer>)> done) {
  Result<std::unique_ptr<Asking>> asking = prepare(std::move(call));
  if (!asking) {
    return loop_.post([done = std::move(done), error = std::move(asking.error())]() mutable {
      done(fail(std::move(error)));
    });
  }
  asking_ = *std::move(asking);
  asking_->done = std::move(done);
  asking_->timer.start(Millis(0));
}

void DatagramClient::cancel() {
  if (asking_) end(fail(Errc::cancelled, "the request was given up here"));
}

Result<std::unique_ptr<DatagramClient::Asking>> DatagramClient::prepare(Call call) {
  if (asking_) return fail(Errc::failed_precondition, "the last request is still under way");
  auto asking = std::make_unique<Asking>(loop_, [this] { send(); });
  asking->id = next_id_++;
  asking->timeout = call.timeout;
  asking->deadline =
      loop_.now() + std::min(call.timeout.value_or(kDefaultTimeout), kLongestTimeout);
  Result<std::string> datagram = datagram_of(std::move(call), asking->id);
  if (!datagram) return fail(std::move(datagram.error()));
  asking->datagram = *std::move(datagram);

  Result<SocketAddress> address = SocketAddress::from(endpoint_);
  if (!address) return fail(std::move(address.error()));
  asking->socket = Fd(::socket(address->family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int fd = asking->socket.get();
  // Connected, so that the system passes on what comes from the server alone.
  if (fd < 0 || ::connect(fd, address->any(), address->size()) != 0) {
    return fail(Errc::unavailable,
                "cannot send to " + endpoint_.url() + ": " + std::strerror(errno));
  }
  Result<Watcher> watcher = Watcher::create(loop_, fd, [this](Watcher::Events) { on_readable(); });
  if (!watcher) return fail(std::move(watcher.error()));
  asking->watcher.emplace(std::move(*watcher));
  asking->watcher->watch({.readable = true});
  return asking;
}

Result<std::string> DatagramClient::datagram_of(Call call, std::uint64_t id) {
  auto* buffer = std::get_if<Buffer>(&call.body);
  if (buffer == nullptr && !std::holds_alternative<std::monostate>(call.body)) {
    return fail(Errc::invalid_argument, "a datagram's body is a Buffer");
  }
  const std::string_view body = buffer != nullptr ? buffer->bytes() : std::string_view();
  std::string datagram;
  if (endpoint_.wire == Wire::frame) {
    OutgoingHead head{
        .cmd = call.cmd, .id = id, .data_size = body.size(), .members = call.members.text()};
    Result<void> appended = append_head(datagram, head, parser_.limits().header_bytes);
    if (appended && datagram.size() + body.size() < kSmallest) {
      head.blanks = static_cast<std::uint32_t>(kSmallest - datagram.size() - body.size());
      datagram.clear();
      appended = append_head(datagram, head, parser_.limits().header_bytes);
    }
    if (!appended) return fail(std::move(appended.error()));
  }
  datagram += body;
  if (datagram.size() > kLargest) return fail(too_large(datagram.size()));
  return datagram;
}

// Sends the request once more, or gives up.
void DatagramClient::send() {
  Asking& asking = *asking_;
  const Time now = loop_.now();
  if (now >= asking.deadline) {
    std::string message = "no reply came from " + endpoint_.url() +
                          "; datagrams sent: " + std::to_string(asking.tries);
    if (asking.error != 0)
      message += std::string("; the last error was: ") + std::strerror(asking.error);
    return end(
        fail(asking.timeout ? Errc::deadline_exceeded : Errc::unavailable, std::move(message)));
  }
  const auto once = [&asking] {
    return ::send(asking.socket.get(), asking.datagram.data(), asking.datagram.size(),
                  MSG_NOSIGNAL) >= 0;
  };
  // The first may only tell what became of the last try: that nobody listens there, yet.
  if (!once() && !once()) {
    if (errno == EMSGSIZE) return end(fail(too_large(asking.datagram.size())));
    asking.error = errno;
  }
  ++asking.tries;
  asking.timer.start(std::min(asking.pause, asking.deadline - now));
  asking.pause *= 2;
}

void DatagramClient::on_readable() {
  Asking& asking = *asking_;
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    const ssize_t size = ::recv(asking.socket.get(), asking.input.data(), asking.input.size(), 0);
    if (size < 0 && errno == EAGAIN) break;
    if (size < 0) {
      if (errno != EINTR) asking.error = errno;
      continue;
    }
    if (auto reply = reply_in({asking.input.data(), static_cast<std::size_t>(size)})) {
      if (reply->header && has_status(*reply->header, "error")) {
        return end(fail(error_of(*reply->header)));
      }
      return end(std::move(*reply));
    }
  }
  // An error has stopped it.
  asking.watcher->watch({.readable = true});
}

// Nothing where the datagram is no reply to the request.
std::optional<Answer> DatagramClient::reply_in(std::string_view datagram) {
  if (endpoint_.wire == Wire::raw) {
    return Answer{{}, std::string(datagram)};
  }
  Decoder decoder(parser_);
  Result<Decoder::Event> event = decoder.next(datagram);
  const auto* head = event ? std::get_if<Decoder::Head>(&*event) : nullptr;
  if (head == nullptr) return std::nullopt;
  const Header& header = *head->header;
  const FrameHead& frame = header.frame();
  if (frame.id != asking_->id || frame.more || frame.data_size.value_or(0) != datagram.size() ||
      !(has_status(header, "ok") || has_status(header, "error"))) {
    return std::nullopt;
  }
  return Answer{head->header, std::string(datagram)};
}

void DatagramClient::end(Result<Answer> answer) {
  // Until `done` has returned: this may be a call of its timer or its watcher.
  const std::unique_ptr<Asking> asking = std::move(asking_);
  asking->done(std::move(answer));
}

}  // namespace v0
}  // namespace cleave
