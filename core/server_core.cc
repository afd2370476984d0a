// SPDX-License-Identifier: MIT
#include "cleave/core/server_core.h"

#include <algorithm>
#include <cassert>
#include <exception>
#include <utility>

#include "cleave/core/connection.h"
#include "cleave/core/exchange.h"
#include "cleave/protocol/encoder.h"

namespace cleave {
inline namespace v0 {
namespace {

// One look at all connections: a time limit is kept to within this.
constexpr Millis kSweep(250);
// A sweep that comes so much later than it should: the process was stopped, or a handler blocks.
constexpr Millis kLateSweep(1'000);

// A peer that acknowledges nothing of what it is sent for so long has gone: as long as one is
// waited for that says nothing (keep_alive).
constexpr Millis kSilence(120'000);

// One-way requests that finish without their connections. A peer that makes more of them than the
// disk takes loses the rest.
constexpr std::size_t kOrphans = 1'024;

LinkOptions options_for_links(const Limits& limits, Budget& budget) {
  return {.window_bytes = limits.window_bytes,
          .output_bytes = limits.output_bytes,
          .header_bytes = static_cast<std::uint32_t>(limits.header_bytes),
          .budget = &budget};
}

class Nobody final : public Observer {};

Observer& nobody() {
  static Nobody observer;
  return observer;
}

Admission& everybody() {
  static Admission admission;
  return admission;
}

}  // namespace

ServerCore::ServerCore(Loop& loop, const Router& router, ServerOptions options)
    : loop_(loop),
      router_(router),
      options_(std::move(options)),
      observer_(options_.observer != nullptr ? options_.observer : &nobody()),
      admission_(options_.admission != nullptr ? options_.admission : &everybody()),
      parser_(options_.limits.header()),
      empty_header_(parser_.parse("{}").value()),
      budget_(make_ref<Budget>(options_.limits.memory_bytes)),
      link_options_(options_for_links(options_.limits, *budget_)),
      sweep_timer_(loop, [this] { sweep(); }),
      drain_timer_(loop, [this] { drain_deadline(); }) {
  assert(std::count(options_.interceptors.begin(), options_.interceptors.end(), nullptr) == 0 &&
         "an interceptor is null");
}

ServerCore::~ServerCore() = default;

Result<std::string> ServerCore::listen(const Endpoint& endpoint) {
  const Ref<ServerCore> guard(this);  // the admission may end the server
  const Result<Service> service = Service::of(endpoint, router_);
  if (!service) return fail(service.error());
  Result<BoundSocket> socket = BoundSocket::open(endpoint, *admission_);
  if (!socket) return fail(std::move(socket.error()));
  return serve_socket(*std::move(socket), *service);
}

Result<std::string> ServerCore::adopt(Fd inherited, const Endpoint& how) {
  const Ref<ServerCore> guard(this);
  Result<BoundSocket> socket = BoundSocket::adopt(std::move(inherited), how, *admission_);
  if (!socket) return fail(std::move(socket.error()));
  const Result<Service> service = Service::of(socket->endpoint(), router_);
  if (!service) return fail(service.error());
  return serve_socket(*std::move(socket), *service);
}

// Whatever the socket's kind and wherever it comes from.
Result<std::string> ServerCore::serve_socket(BoundSocket socket, const Service& service) {
  if (draining_ || shut_) return fail(Errc::unavailable, "the server is stopping");
  std::string bound = socket.endpoint().url();
  if (socket.endpoint().is_datagram()) {
    auto listener = DatagramListener::create(*this, std::move(socket), service);
    if (!listener) return fail(std::move(listener.error()));
    datagram_listeners_.push_back(std::move(*listener));
  } else {
    auto listener = Listener::create(loop_, std::move(socket), service, *this);
    if (!listener) return fail(std::move(listener.error()));
    listeners_.push_back(std::move(*listener));
  }
  observer_->on_listening(bound);
  return bound;
}

Result<void> ServerCore::unlisten(std::string_view url) {
  const Ref<ServerCore> guard(this);  // the observer may end the server
  const auto is_it = [url](const auto& listener) { return listener->endpoint().url() == url; };
  if (const auto at = std::ranges::find_if(listeners_, is_it); at != listeners_.end()) {
    listeners_.erase(at);
  } else if (const auto datagrams = std::ranges::find_if(datagram_listeners_, is_it);
             datagrams != datagram_listeners_.end()) {
    const Ref<DatagramListener> listener = *datagrams;
    datagram_listeners_.erase(datagrams);
    listener->close();
  } else {
    return fail(Errc::not_found, "nothing listens at '" + std::string(url) + "'");
  }
  observer_->on_unlistening(url);
  return {};
}

std::vector<std::string> ServerCore::listening() const {
  std::vector<std::string> urls;
  for (const auto& listener : listeners_) urls.push_back(listener->endpoint().url());
  for (const auto& listener : datagram_listeners_) urls.push_back(listener->endpoint().url());
  return urls;
}

void ServerCore::close_listeners() {
  Observer& observer = *observer_;  // which may end the server
  for (const std::unique_ptr<Listener>& listener : std::exchange(listeners_, {})) {
    observer.on_unlistening(listener->endpoint().url());
  }
  for (const Ref<DatagramListener>& listener : std::exchange(datagram_listeners_, {})) {
    listener->close();
    observer.on_unlistening(listener->endpoint().url());
  }
}

void ServerCore::on_accept(std::unique_ptr<Stream> stream, const Service& service) {
  serve(std::move(stream), service);
}

void ServerCore::on_no_room(std::unique_ptr<Stream> stream, const Service& service,
                            const Error& error) {
  shed(std::move(stream), service.wire, error);
}

void ServerCore::on_accept_error(const Error& error) {
  observer_->on_shed(error);
}

// Tells a peer why it is not taken in, and closes.
void ServerCore::shed(std::unique_ptr<Stream> stream, Wire wire, const Error& error) {
  if (says_errors(wire)) {
    std::string frame;
    const std::string members = error_members(error);
    // On the wire header a reply has the form of a frame, and a size.
    (void)append_head(
        frame, {.write_data_size = wire == Wire::header, .status = "error", .members = members});
    const std::string_view piece = frame;
    (void)stream->write({&piece, 1});
  }
  stream.reset();
  met(error);
  observer_->on_shed(error);
}

Result<void> ServerCore::has_room_for(const AddressCounts::Host& host) const {
  const Limits& limits = options_.limits;
  if (connections_.size() >= limits.max_connections) {
    return fail(Errc::busy,
                "the server has " + std::to_string(connections_.size()) +
                    " connections, the limit is " + std::to_string(limits.max_connections) +
                    " (max_connections)",
                "max_connections");
  }
  const std::string_view name =
      host.loopback ? "max_connections_per_loopback_address" : "max_connections_per_address";
  const std::uint64_t limit = host.loopback ? limits.max_connections_per_loopback_address
                                            : limits.max_connections_per_address;
  if (addresses_.of(host) >= limit) {
    return fail(Errc::busy,
                "this address has " + std::to_string(addresses_.of(host)) +
                    " connections, the limit is " + std::to_string(limit) + " (" +
                    std::string(name) + ")",
                name);
  }
  if (std::optional<Error> refusal = budget_->refusal()) return fail(*std::move(refusal));
  return {};
}

void ServerCore::serve(std::unique_ptr<Stream> stream, Service service) {
  const Ref<ServerCore> guard(this);  // the admission may end the server
  auto peer = std::make_unique<const Peer>(stream->peer());
  const AddressCounts::Host host = AddressCounts::host_of(peer->address);
  if (const Result<void> room = has_room_for(host); !room) {
    return shed(std::move(stream), service.wire, room.error());
  }
  if (const Result<void> admitted = admission_->may_accept(*peer); !admitted) {
    return shed(std::move(stream), service.wire, admitted.error());
  }
  if (shut_) return;
  stream->give_up_after(std::max(Millis(options_.limits.write_stall_timeout_ms), kSilence));
  auto connection = make_ref<Connection>(*this, std::move(stream), std::move(peer), service);
  connection->index = connections_.size();
  connections_.push_back(connection);
  addresses_.add(host);
  if (!sweep_timer_.running()) {
    sweep_timer_.start(kSweep);
    last_sweep_ = loop_.now();
  }
  observer_->on_accept(connection->peer());
  connection->start();
  if (draining_) connection->drain();
}

void ServerCore::remove(Connection& connection) {
  const std::size_t index = connection.index;
  if (index >= connections_.size() || connections_[index].get() != &connection) return;
  connections_.back()->index = index;
  std::swap(connections_[index], connections_.back());
  const Ref<Connection> removed = std::move(connections_.back());
  connections_.pop_back();
  addresses_.remove(AddressCounts::host_of(removed->peer().address));
  drained_if_empty();
}

bool ServerCore::add_orphan(Exchange& exchange) {
  if (orphans_.size() >= kOrphans || budget_->exhausted()) return false;
  orphans_.emplace_back(&exchange);
  return true;
}

void ServerCore::remove_if_orphan(Exchange& exchange) {
  const auto at = std::find_if(orphans_.begin(), orphans_.end(),
                               [&](const auto& each) { return each.get() == &exchange; });
  if (at == orphans_.end()) return;
  const Ref<Exchange> guard = *at;
  orphans_.erase(at);
  drained_if_empty();
}

std::optional<Error> ServerCore::ask_interceptors(Request& request, std::uint32_t& asked) {
  for (Interceptor* const interceptor : options_.interceptors) {
    ++asked;
    Result<void> outcome;
    try {
      outcome = interceptor->before(request);
    } catch (const std::exception& thrown) {
      outcome = fail(Errc::internal, std::string("an interceptor failed: ") + thrown.what());
    } catch (...) {
      outcome = fail(Errc::internal, "an interceptor failed");
    }
    if (shut_) break;
    if (!outcome) return std::move(outcome.error());
  }
  return std::nullopt;
}

void ServerCore::tell_interceptors(const Request& request, const Observer::Served& served,
                                   std::uint32_t& asked) {
  for (std::size_t i = std::exchange(asked, 0); i-- > 0;) {
    try {
      options_.interceptors[i]->after(request, served);
    } catch (...) {  // the request has its answer, and the others are to be told all the same
    }
  }
}

void ServerCore::sweep() {
  const Ref<ServerCore> guard(this);
  const Time now = loop_.now();
  sweep_timer_.start(kSweep);
  // Who was late while this process itself did not run cannot be told before the sockets are read:
  // in the next sweep.
  const bool late = now - std::exchange(last_sweep_, now) > kSweep + kLateSweep;
  swept_late_ = late && !swept_late_;
  // A connection that closes is replaced by the last one, so go from behind.
  for (std::size_t i = swept_late_ ? 0 : connections_.size(); i-- > 0;) {
    if (i < connections_.size()) Ref<Connection>(connections_[i])->tick(now);
  }
  relieve(now);
  observer_->on_memory(budget_->used(), budget_->take_peak());
  const std::vector<Ref<Exchange>> orphans = orphans_;
  for (const Ref<Exchange>& orphan : orphans) {
    if (!orphan->overdue(now)) continue;
    observer_->on_limit("request_timeout_ms");
    orphan->let_go();
    remove_orphan(*orphan);
  }
  if (connections_.empty() && orphans_.empty()) sweep_timer_.stop();
}

// What waits for want of memory goes on by itself when others give some back. If that does not get
// less, the connection that holds most is ended, and in each further sweep the next one.
void ServerCore::relieve(Time now) {
  if (!budget_->exhausted() && !budget_->has_paused()) {
    overloaded_since_.reset();
    return;
  }
  const std::uint64_t used = budget_->used();
  const bool less = used + budget_->limit() / 64 <= overloaded_used_;
  if (!overloaded_since_ || less) overloaded_since_ = now;
  if (*overloaded_since_ == now || used > overloaded_used_) overloaded_used_ = used;
  if (now - *overloaded_since_ < Millis(options_.limits.overload_timeout_ms)) return;
  const auto largest = std::max_element(
      connections_.begin(), connections_.end(),
      [](const auto& left, const auto& right) { return left->held_bytes() < right->held_bytes(); });
  if (largest == connections_.end() || (*largest)->held_bytes() == 0) return;
  Ref<Connection>(*largest)->end_overloaded();
}

void ServerCore::drain(Millis timeout, UniqueFunction<void(bool clean)> done) {
  const Ref<ServerCore> guard(this);  // the observer may end the server
  drained_.push_back(std::move(done));
  if (!std::exchange(draining_, true)) {
    close_listeners();
    if (shut_) return;
    drain_timer_.start(timeout);
    for (const Ref<Connection>& connection : connections_) connection->drain();
  }
  loop_.post([core = Ref<ServerCore>(this)] { core->drained_if_empty(); });
}

void ServerCore::drain_deadline() {
  const Ref<ServerCore> guard(this);
  drain_clean_ = false;
  const std::vector<Ref<Connection>> connections = connections_;
  if (!std::exchange(drain_cancelled_, true)) {
    for (const Ref<Connection>& connection : connections) {
      connection->cancel_all(CancelReason::draining);
    }
    drain_timer_.start(Millis(options_.limits.cancel_grace_ms) + kSweep);
    return;
  }
  for (const Ref<Connection>& connection : connections) {
    connection->close(Observer::CloseReason::drained, "the drain took too long", true);
  }
  const std::vector<Ref<Exchange>> orphans = std::exchange(orphans_, {});
  for (const Ref<Exchange>& orphan : orphans) orphan->let_go();
  drained_if_empty();
}

void ServerCore::drained_if_empty() {
  if (!draining_ || !connections_.empty() || !orphans_.empty()) return;
  drain_timer_.stop();
  for (auto& done : std::exchange(drained_, {})) {
    loop_.post([done = std::move(done), clean = drain_clean_]() mutable { done(clean); });
  }
}

void ServerCore::shut() {
  shut_ = true;
  drained_.clear();
  drain_timer_.stop();
  sweep_timer_.stop();
  for (const Ref<DatagramListener>& listener : datagram_listeners_) listener->abandon();
  close_listeners();
  const std::vector<Ref<Connection>> connections = connections_;
  for (const Ref<Connection>& connection : connections) {
    connection->close(Observer::CloseReason::drained, "the server was closed", true);
  }
  const std::vector<Ref<Exchange>> orphans = std::exchange(orphans_, {});
  for (const Ref<Exchange>& orphan : orphans) orphan->let_go();
  observer_->on_server_closed();
  observer_ = &nobody();
}

void ServerCore::set_limits(const Limits& limits) {
  const Ref<ServerCore> guard(this);
  options_.limits = limits;
  budget_->set_limit(limits.memory_bytes);
  link_options_ = options_for_links(limits, *budget_);
  parser_.set_limits(limits.header());
  for (const Ref<Connection>& connection : connections_) connection->limits_changed();
}

// ---- Server -------------------------------------------------------------------------------------

Server::Server(Loop& loop, const Router& router, ServerOptions options)
    : core_(make_ref<ServerCore>(loop, router, std::move(options))) {}

Server::~Server() {
  core_->shut();
}

Result<std::string> Server::listen(std::string_view url) {
  const Result<Endpoint> endpoint = Endpoint::parse(url);
  if (!endpoint) return fail(endpoint.error());
  return core_->listen(*endpoint);
}
Result<std::string> Server::listen(const Endpoint& endpoint) {
  return core_->listen(endpoint);
}
Result<std::string> Server::adopt(Fd socket, const Endpoint& how) {
  return core_->adopt(std::move(socket), how);
}
void Server::serve(std::unique_ptr<Stream> stream) {
  core_->serve(std::move(stream), {});
}
Result<void> Server::check(const Endpoint& endpoint) const {
  const Result<Service> service = Service::of(endpoint, core_->router());
  if (!service) return fail(service.error());
  return {};
}
Result<void> Server::serve(std::unique_ptr<Stream> stream, const Endpoint& endpoint) {
  const Result<Service> service = Service::of(endpoint, core_->router());
  if (!service) return fail(service.error());
  core_->serve(std::move(stream), *service);
  return {};
}
Result<void> Server::unlisten(std::string_view url) {
  return core_->unlisten(url);
}
std::vector<std::string> Server::listening() const {
  return core_->listening();
}
void Server::drain(UniqueFunction<void(bool clean)> done) {
  core_->drain(Millis(core_->limits().drain_timeout_ms), std::move(done));
}
void Server::drain(Millis timeout, UniqueFunction<void(bool clean)> done) {
  core_->drain(timeout, std::move(done));
}
std::size_t Server::connections() const noexcept {
  return core_->connections();
}
std::uint64_t Server::memory() const noexcept {
  return core_->budget().used();
}
const Limits& Server::limits() const noexcept {
  return core_->limits();
}
void Server::set_limits(const Limits& limits) {
  core_->set_limits(limits);
}

}  // namespace v0
}  // namespace cleave
