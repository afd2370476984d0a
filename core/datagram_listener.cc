// SPDX-License-Identifier: MIT
#include "cleave/core/datagram_listener.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>
#include <variant>

#include "cleave/core/router.h"
#include "cleave/core/server_core.h"
#include "cleave/protocol/decoder.h"
#include "cleave/protocol/encoder.h"

namespace cleave {
inline namespace v0 {
namespace {

using DropReason = Observer::DropReason;

// Taken in one turn, so that a flood of datagrams does not starve the connections.
constexpr std::size_t kBudget = 2 * Datagrams::kBatch;
constexpr Millis kWatchAgain(100);
// How much longer than its request an answer may be. Whoever sends under a false address turns the
// server against the owner of that address, with so many times his own force.
constexpr std::size_t kAmplification = 3;

std::string quoted_name(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

}  // namespace

// A datagram that is being served.
struct DatagramListener::Asked {
  std::size_t index;  // in its batch
  std::size_t size;
  const Peer& peer;
  Ref<const Header> header;
  std::string_view cmd = {};
  std::string_view body = {};
  const Request* request = nullptr;  // for the interceptors
  std::uint32_t asked = 0;           // of them
  bool observed = false;             // as begun

  [[nodiscard]] std::optional<std::uint64_t> id() const noexcept { return header->frame().id; }
  // The longest datagram that may answer it.
  [[nodiscard]] std::size_t limit() const noexcept {
    return std::min(size * kAmplification, Datagrams::kBytes);
  }
};

DatagramListener::DatagramListener(ServerCore& server, BoundSocket socket, const Service& service,
                                   const SocketAddress& bound)
    : server_(server),
      socket_(std::move(socket)),
      service_(service),
      datagrams_(socket_.fd(), bound),
      retry_(server.loop(), [this] { watcher_->watch({.readable = true}); }) {}

DatagramListener::~DatagramListener() = default;

Result<Ref<DatagramListener>> DatagramListener::create(ServerCore& server, BoundSocket socket,
                                                       const Service& service) {
  if (service.wire != Wire::frame && service.wire != Wire::raw) {
    return fail(Errc::invalid_argument, "a datagram carries the wire frame or raw, and not " +
                                            std::string(to_string(service.wire)));
  }
  const int fd = socket.fd();
  SocketAddress bound;
  socklen_t size = sizeof bound.storage;
  if (::getsockname(fd, bound.any(), &size) != 0) {
    return fail(Errc::io_error, "cannot tell the address of " + socket.endpoint().url() + ": " +
                                    std::strerror(errno));
  }
  Ref<DatagramListener> listener(new DatagramListener(server, std::move(socket), service, bound));
  Result<Watcher> watcher = Watcher::create(
      server.loop(), fd,
      [self = listener.get()](Watcher::Events events) { self->on_watched(events); });
  if (!watcher) return fail(std::move(watcher.error()));
  listener->watcher_ = std::make_unique<Watcher>(std::move(*watcher));
  listener->watcher_->watch({.readable = true});
  return listener;
}

void DatagramListener::close() {
  retry_.stop();
  watcher_.reset();
}

void DatagramListener::abandon() {
  close();
  abandoned_ = true;
  if (Asked* asked = std::exchange(serving_, nullptr)) {
    served(*asked, Error{Errc::cancelled, "the server was closed"}, 0);
  }
}

// ---- Receiving ----------------------------------------------------------------------------------

void DatagramListener::on_watched(Watcher::Events events) {
  if (!events.error) return receive_some();
  // Watching has stopped. Not at once again, in case that the error stays.
  datagrams_.forget_errors();
  retry_.start(kWatchAgain);
}

void DatagramListener::receive_some() {
  const Ref<ServerCore> server(&server_);
  const Ref<DatagramListener> self(this);
  bool failed = false;
  for (std::size_t left = kBudget; left > 0 && watcher_;) {
    const auto batch = datagrams_.receive(std::min(left, Datagrams::kBatch));
    if (!batch) {
      datagrams_.forget_errors();
      if (!std::exchange(failed, true)) continue;
      watcher_->watch({});
      retry_.start(kWatchAgain);
      return server->observer().on_shed(
          {batch.error().code, endpoint().url() + ": " + batch.error().message});
    }
    if (batch->empty()) return;
    for (std::size_t i = 0; i < batch->size() && watcher_; ++i) serve(i, (*batch)[i]);
    if (abandoned_) return;
    for (const std::size_t unsent : datagrams_.send()) {
      drop(peer_of((*batch)[unsent]), DropReason::unsendable);
    }
    left -= batch->size();
  }
}

void DatagramListener::drop(const Peer& peer, DropReason reason) {
  server_.observer().on_datagram_dropped(peer, reason);
}

const Peer& DatagramListener::peer_of(const Datagrams::Incoming& datagram) {
  if (peer_.address.empty() || !(datagram.from == peer_from_) || !(datagram.to == peer_to_)) {
    peer_from_ = datagram.from;
    peer_to_ = datagram.to;
    peer_ = {.address = peer_from_.text(), .local_address = peer_to_.text()};
  }
  return peer_;
}

// ---- One datagram -------------------------------------------------------------------------------

void DatagramListener::serve(std::size_t index, const Datagrams::Incoming& datagram) {
  const Peer& peer = peer_of(datagram);
  if (datagram.truncated) return drop(peer, DropReason::truncated);
  // Nobody is behind port 0, and from our own address comes only what we sent.
  if (datagram.from.port() == 0 || datagram.from == datagram.to) {
    return drop(peer, DropReason::not_request);
  }
  Asked asked{.index = index,
              .size = datagram.bytes.size(),
              .peer = peer,
              .header = server_.empty_header()};
  asked.body = datagram.bytes;
  if (service_.wire == Wire::frame) return serve_frame(std::move(asked));
  asked.cmd = service_.command->name;
  ask(asked, *service_.command, std::nullopt);
}

void DatagramListener::serve_frame(Asked asked) {
  Decoder decoder(server_.parser());
  const Result<Decoder::Event> event = decoder.next(asked.body);
  const auto* head = event ? std::get_if<Decoder::Head>(&*event) : nullptr;
  if (head == nullptr || head->header->frame().more ||
      decoder.body_remaining() != asked.body.size()) {
    return drop(asked.peer, DropReason::malformed);
  }
  asked.header = head->header;
  const Header& header = *asked.header;
  const std::optional<Value> cmd = header.find("cmd");
  if (!cmd || header.find("status")) return drop(asked.peer, DropReason::not_request);
  asked.cmd = cmd->string().value_or(std::string_view());
  if (asked.cmd.empty() || asked.cmd.size() > 64) {
    return refuse(asked, {Errc::invalid_argument, "cmd must be a string of 1 to 64 bytes"});
  }
  const Router::Command* command = server_.router().find(asked.cmd);
  if (command == nullptr) {
    return refuse(asked, {Errc::unknown_command, "there is no command " + quoted_name(asked.cmd)});
  }
  if (!command->spec.datagram) {
    return refuse(asked, {Errc::unknown_command,
                          quoted_name(asked.cmd) + " is not offered to datagrams; ask over TCP"});
  }
  if (const Result<void> checked = check_arguments(command->spec, header); !checked) {
    return refuse(asked, checked.error());
  }
  std::optional<Time> deadline;
  if (header.find("timeout_ms")) {
    const Result<std::int64_t> given = header.integer("timeout_ms", 1, std::int64_t{1} << 53);
    if (!given) return refuse(asked, given.error());
    deadline = server_.loop().now() + Millis(*given);
  }
  ask(asked, *command, deadline);
}

void DatagramListener::ask(Asked& asked, const Router::Command& command,
                           std::optional<Time> deadline) {
  if (server_.draining() && !command.spec.while_draining) {
    return refuse(asked, {Errc::unavailable, "the server is stopping"});
  }
  if (command.spec.takes_body && asked.body.size() > command.message_bytes()) {
    return refuse(
        asked, {Errc::too_large, "the body has " + std::to_string(asked.body.size()) + " bytes, " +
                                     quoted_name(command.name) + " takes up to " +
                                     std::to_string(command.message_bytes())});
  }
  Request request;
  request.header_ = asked.header;
  request.cmd_ = asked.cmd;
  request.body_size_ = asked.body.size();
  request.deadline_ = deadline;
  request.peer_ = &asked.peer;
  members_.clear();
  body_.clear();
  serving_ = &asked;
  if (server_.intercepts()) {
    asked.request = &request;
    const std::optional<Error> refusal = server_.ask_interceptors(request, asked.asked);
    if (abandoned_) return;
    if (refusal) {
      serving_ = nullptr;
      refuse(asked, *refusal);
      return served(asked, refusal, 0);
    }
  }
  asked.observed = true;
  server_.observer().on_request(asked.peer, asked.cmd);
  if (abandoned_) return;
  std::optional<Error> error = call(*command.message_route(), request,
                                    command.spec.takes_body ? asked.body : std::string_view());
  serving_ = nullptr;
  if (abandoned_) return;
  const std::uint64_t body_out = answer(asked, error);
  served(asked, error, body_out);
}

// Leaves in members_ and body_ what the handler replies, with an error as well.
std::optional<Error> DatagramListener::call(const Route& route, const Request& request,
                                            std::string_view body) {
  const auto failed = [this](Error error) {
    members_.clear();
    body_.clear();
    return error;
  };
  try {
    if (const auto* writing = std::get_if<CollectedFunction>(&route.shape)) {
      ReplyWriter writer(members_, body_, body);
      Result<void> outcome = (*writing)(request, body, writer);
      if (!outcome) return failed(std::move(outcome.error()));
      (void)writer.body();  // where the rest looks for it
      return std::nullopt;
    }
    Result<Reply> reply = std::get<ReturningFunction>(route.shape)(request, body);
    if (!reply) return failed(std::move(reply.error()));
    if (const auto* bytes = std::get_if<Buffer>(&reply->body)) {
      body_ = bytes->bytes();
    } else if (!std::holds_alternative<std::monostate>(reply->body)) {
      return Error{Errc::internal, "the handler's reply is a file or a source, and no datagram"};
    }
    members_ = std::move(reply->members);
    return std::move(reply->error);
  } catch (const std::exception& thrown) {
    return failed({Errc::internal, std::string("the handler failed: ") + thrown.what()});
  } catch (...) {
    return failed({Errc::internal, "the handler failed"});
  }
}

// ---- The answer ---------------------------------------------------------------------------------

void DatagramListener::refuse(const Asked& asked, const Error& error) {
  server_.observer().on_refused(asked.peer, asked.cmd, error);
  members_.clear();
  body_.clear();
  std::optional<Error> said = error;
  (void)answer(asked, said);
}

// Answers with members_ and body_, or with the error. What has no room leaves an error, which is
// then the outcome; what has no room for that either is dropped. The bytes of body that are sent.
std::uint64_t DatagramListener::answer(const Asked& asked, std::optional<Error>& error) {
  const auto too_large = [&] {
    const std::size_t size = std::max(head_.size(), members_.text().size()) + body_.size();
    return Error{Errc::too_large, "pad the request: its answer would have " + std::to_string(size) +
                                      " bytes, and may have 3 times the request's " +
                                      std::to_string(asked.size) + ", up to " +
                                      std::to_string(Datagrams::kBytes)};
  };
  if (service_.wire == Wire::raw) {
    if (error) return 0;  // there is no way to say it
    if (body_.size() <= asked.limit()) {
      datagrams_.answer(asked.index, {}, body_);
      return body_.size();
    }
    head_.clear();
    error = too_large();
    drop(asked.peer, DropReason::too_large);
    return 0;
  }
  if (!error) {
    if (put(asked, "ok", members_.text(), body_)) return body_.size();
    error = too_large();
  } else if (!members_.empty() || !body_.empty()) {
    std::string members = error_members(*error);
    if (!members_.empty()) members.append(",").append(members_.text());
    if (put(asked, "error", members, body_)) return body_.size();
  }
  if (!say(asked, *error) && !say(asked, too_large())) drop(asked.peer, DropReason::too_large);
  return 0;
}

// Answers with a frame, if it is not too long.
bool DatagramListener::put(const Asked& asked, std::string_view status, std::string_view members,
                           std::string_view body) {
  head_.clear();
  // A header that this refuses would have no room in a datagram.
  const bool made =
      append_head(
          head_, {.id = asked.id(), .data_size = body.size(), .status = status, .members = members})
          .has_value();
  if (!made || head_.size() + body.size() > asked.limit()) return false;
  datagrams_.answer(asked.index, head_, body);
  return true;
}

// Answers with an error, of whose message as much is said as there is room for.
bool DatagramListener::say(const Asked& asked, const Error& error) {
  std::size_t message_bytes = std::min(error.message.size(), kErrorMessageBytes);
  while (!put(asked, "error", error_members(error, message_bytes), {})) {
    if (message_bytes == 0) return false;
    message_bytes -= std::min(message_bytes, head_.size() - asked.limit());
  }
  return true;
}

void DatagramListener::served(Asked& asked, const std::optional<Error>& error,
                              std::uint64_t body_out) {
  const Observer::Served served{
      .cmd = asked.cmd,
      .peer = asked.peer,
      .id = asked.id(),
      .code = error ? std::optional(error->code) : std::nullopt,
      .message = error ? std::string_view(error->message) : std::string_view(),
      .body_in = asked.body.size(),
      .body_out = body_out,
      .duration = Millis(0),
      .one_way = false,
  };
  if (asked.observed) server_.observer().on_served(served);
  if (asked.asked > 0) server_.tell_interceptors(*asked.request, served, asked.asked);
}

}  // namespace v0
}  // namespace cleave
