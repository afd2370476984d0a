// SPDX-License-Identifier: MIT
// The client that measures: one thread on epoll, which shares nothing with what it measures but the
// machine. It keeps requests of one size under way on many connections, or sends them by a
// schedule, and prints one JSON object.
//
//     bench_load --port PORT [OPTION...]
//       --wire raw|frame|resp   bytes that come back as they are; frames; Redis's ECHO   [frame]
//       --cmd NAME              the command of the frames                                [echo]
//       --ids                   frames with an id that counts up: no header is like another
//       --body BYTES            the body of a request                                    [64]
//       --connections N                                                                  [64]
//       --depth N               requests under way on each connection                    [1]
//       --rate N                so many a second in all, by the clock, whatever comes back
//       --accept                instead: connect, one request, close, and again; N at once
//       --idle                  instead: one request on each connection, then silence until the
//                               end of standard input
//       --warm S, --seconds S   unmeasured, and measured                                 [0.3, 1]
//       --check                 every reply is compared, not only the first of a connection
//       --pid PID               the server, whose processor time is read at both ends
//       --cores S,L             the cores of the server and of this, whose idle time is read  [0,1]
//
// The first reply of a connection is compared byte by byte, and its size is the size of all that
// follow: those are counted as bytes, which the kernel drops without copying them. With --ids their
// headers are read, as their sizes vary. At the end everything must have come, to the byte. Times
// run from the call that sends a request (with
// --rate: from the time at which it was due) to the one that receives the end of its reply.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cleave/bench/machine.h"
#include "cleave/bin/load/histogram.h"

using namespace cleave::bench;
using cleave::load::Histogram;

namespace {

// ---- Options ------------------------------------------------------------------------------------

enum class Wire : std::uint8_t { raw, frame, resp };

struct Options {
  Wire wire = Wire::frame;
  std::string cmd = "echo";
  bool ids = false;
  std::size_t body = 64;
  std::size_t connections = 64;
  std::size_t depth = 1;
  double rate = 0;
  bool accept = false;
  bool idle = false;
  double warm = 0.3;
  double seconds = 1;
  bool check = false;
  int port = 0;
  int pid = 0;
  Cores cores;
};

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    const auto value = [&]() -> const char* {
      if (++i == argc) die("%s needs a value", argv[i - 1]);
      return argv[i];
    };
    const auto number = [&] { return std::strtoull(value(), nullptr, 10); };
    if (name == "--wire") {
      const std::string_view wire = value();
      if (wire != "raw" && wire != "frame" && wire != "resp") die("there is no such wire");
      options.wire = wire == "raw" ? Wire::raw : wire == "frame" ? Wire::frame : Wire::resp;
    } else if (name == "--cmd") {
      options.cmd = value();
    } else if (name == "--ids") {
      options.ids = true;
    } else if (name == "--body") {
      options.body = number();
    } else if (name == "--connections") {
      options.connections = number();
    } else if (name == "--depth") {
      options.depth = number();
    } else if (name == "--rate") {
      options.rate = std::strtod(value(), nullptr);
    } else if (name == "--accept") {
      options.accept = true;
    } else if (name == "--idle") {
      options.idle = true;
    } else if (name == "--warm") {
      options.warm = std::strtod(value(), nullptr);
    } else if (name == "--seconds") {
      options.seconds = std::strtod(value(), nullptr);
    } else if (name == "--check") {
      options.check = true;
    } else if (name == "--port") {
      options.port = static_cast<int>(number());
    } else if (name == "--pid") {
      options.pid = static_cast<int>(number());
    } else if (name == "--cores") {
      options.cores = read_cores(value());
    } else {
      die("there is no option %s", argv[i]);
    }
  }
  if (options.port == 0) die("--port is needed");
  if (options.connections == 0 || options.depth == 0) die("at least one of everything");
  if (options.wire == Wire::raw && options.body == 0) die("bytes without a frame are one or more");
  return options;
}

// ---- What is sent -------------------------------------------------------------------------------

constexpr std::uint64_t kFirstId = 1'000'000'000;
constexpr std::size_t kIdDigits = 10;

std::string frame(const std::string& header, const std::string& body) {
  std::string bytes;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>(header.size() >> shift & 0xff));
  }
  return bytes.append(header).append(body);
}

// The requests, one behind the other in memory that is sent as it is: a whole batch leaves by one
// call. With ids, their digits are written over the last ones before they are sent.
class Requests {
 public:
  explicit Requests(const Options& options) {
    std::string body(options.body, ' ');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
    const std::string size = std::to_string(options.body);
    std::string one;
    switch (options.wire) {
      case Wire::raw:
        one = body;
        break;
      case Wire::resp:
        one = "*2\r\n$4\r\nECHO\r\n$" + size + "\r\n" + body + "\r\n";
        break;
      case Wire::frame: {
        std::string header = R"({"cmd":")" + options.cmd + R"(","data_size":)" + size;
        if (options.ids) {
          header += R"(,"id":)";
          id_at_ = 4 + header.size();
          header += std::to_string(kFirstId);
        }
        one = frame(header + "}", body);
      }
    }
    size_ = one.size();
    body_at_ = size_ - options.body - (options.wire == Wire::resp ? 2 : 0);
    body_bytes_ = options.body;
    // Enough for the deepest connection, within what a socket takes at once.
    in_block_ =
        std::clamp<std::size_t>(kBlockBytes / size_, 1, std::max<std::size_t>(options.depth, 16));
    block_.reserve(in_block_ * size_);
    for (std::size_t i = 0; i < in_block_; ++i) block_ += one;
  }

  [[nodiscard]] bool ids() const noexcept { return id_at_ > 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t in_block() const noexcept { return in_block_; }
  [[nodiscard]] std::string_view block() const noexcept { return block_; }
  [[nodiscard]] std::string_view body() const noexcept {
    return std::string_view(block_).substr(body_at_, body_bytes_);
  }
  // The block's first `count` requests with ids that were never used before.
  std::string_view with_new_ids(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      char* digits = block_.data() + i * size_ + id_at_;
      std::to_chars(digits, digits + kIdDigits, next_id_++);
    }
    return std::string_view(block_).substr(0, count * size_);
  }

 private:
  static constexpr std::size_t kBlockBytes = 1024 * 1024;

  std::string block_;
  std::size_t size_ = 0;
  std::size_t in_block_ = 0;
  std::size_t body_at_ = 0;
  std::size_t body_bytes_ = 0;
  std::size_t id_at_ = 0;
  std::uint64_t next_id_ = kFirstId;
};

// ---- What comes back ----------------------------------------------------------------------------

// Reads replies, whatever the pieces they come in, and ends the program with a sentence where one
// is not what it should be.
class ReplyReader {
 public:
  ReplyReader(Wire wire, const Requests& requests) : wire_(wire), requests_(&requests) {
    begin_frame();
  }

  // How many replies ended within these bytes. Bodies are compared if `compare`, and counted
  // anyway.
  std::size_t read(std::string_view bytes, bool compare) {
    std::size_t ended = 0;
    while (!bytes.empty()) {
      const std::size_t part = in_body_ ? read_body(bytes, compare) : read_head(bytes);
      bytes.remove_prefix(part);
      reply_bytes_so_far_ += part;
      if (!in_body_ || frame_left_ > 0) continue;
      const bool whole = !more_;
      begin_frame();
      if (!whole) continue;
      if (body_read_ != requests_->body().size()) die("a body of %zu bytes", body_read_);
      reply_bytes_ = std::exchange(reply_bytes_so_far_, 0);
      body_read_ = 0;
      ++ended;
    }
    return ended;
  }
  // All bytes of the last reply.
  [[nodiscard]] std::size_t reply_bytes() const noexcept { return reply_bytes_; }

 private:
  void begin_frame() {
    head_.clear();
    more_ = false;
    in_body_ = wire_ == Wire::raw;
    frame_left_ = in_body_ ? requests_->body().size() : 0;
  }

  // Takes what belongs to the head of a frame; once it is whole, the body begins.
  std::size_t read_head(std::string_view bytes) {
    const std::size_t wanted =
        wire_ == Wire::frame && head_.size() >= 4 ? 4 + header_bytes() - head_.size() : 1;
    const std::size_t part = std::min(wanted, bytes.size());
    head_.append(bytes.substr(0, part));
    if (wire_ == Wire::resp) {
      if (head_.ends_with("\r\n")) take_resp_head();
    } else if (head_.size() > 4 && head_.size() == 4 + header_bytes()) {
      take_header(std::string_view(head_).substr(4));
    }
    return part;
  }
  [[nodiscard]] std::size_t header_bytes() const {
    std::size_t size = 0;
    for (std::size_t i = 4; i-- > 0;) size = size << 8 | static_cast<unsigned char>(head_[i]);
    return size;
  }
  void take_resp_head() {
    if (head_ != "$" + std::to_string(requests_->body().size()) + "\r\n") {
      die("Redis replied %s", head_.c_str());
    }
    in_body_ = true;
    frame_left_ = requests_->body().size() + 2;
  }
  void take_header(std::string_view header) {
    in_body_ = true;
    if (is_as_before(header)) {
      frame_left_ = alike_body_;
      return;
    }
    more_ = header.find(R"("more":true)") != std::string_view::npos;
    if (!more_ && header.find(R"("status":"ok")") == std::string_view::npos) {
      die("a reply says %.*s", static_cast<int>(header.size()), header.data());
    }
    frame_left_ = 0;
    constexpr std::string_view kSize = R"("data_size":)";
    if (const std::size_t at = header.find(kSize); at != std::string_view::npos) {
      const char* digits = header.data() + at + kSize.size();
      std::from_chars(digits, header.data() + header.size(), frame_left_);
    }
    constexpr std::string_view kId = R"("id":)";
    const std::size_t id = header.find(kId);
    if (requests_->ids() && id == std::string_view::npos) die("a reply without its id");
    if (more_) return;
    alike_ = header;
    alike_id_ = requests_->ids() ? id + kId.size() : header.size();
    alike_body_ = frame_left_;
  }
  // A header that differs from the last whole reply's in the digits of its id alone says the same.
  [[nodiscard]] bool is_as_before(std::string_view header) const {
    const std::size_t behind = alike_id_ + (requests_->ids() ? kIdDigits : 0);
    return header.size() == alike_.size() &&
           header.substr(0, alike_id_) == std::string_view(alike_).substr(0, alike_id_) &&
           header.substr(behind) == std::string_view(alike_).substr(behind);
  }
  std::size_t read_body(std::string_view bytes, bool compare) {
    const std::size_t part = std::min(bytes.size(), frame_left_);
    const std::string_view expected = requests_->body().substr(body_read_);
    const std::size_t ours = std::min(part, expected.size());
    if (ours < part && wire_ != Wire::resp) die("a body that is too long");
    if (compare && bytes.substr(0, ours) != expected.substr(0, ours)) die("a body nobody sent");
    body_read_ += ours;
    frame_left_ -= part;
    return part;
  }

  Wire wire_;
  const Requests* requests_;
  std::string head_;  // of the frame, as far as it has come
  bool in_body_ = false;
  bool more_ = false;           // frames of this reply follow
  std::size_t frame_left_ = 0;  // of its body
  std::size_t body_read_ = 0;   // of the reply
  std::size_t reply_bytes_so_far_ = 0;
  std::size_t reply_bytes_ = 0;
  std::string alike_;  // the header of the last whole reply, where its id is, and its body's size
  std::size_t alike_id_ = 0;
  std::size_t alike_body_ = 0;
};

// ---- A connection -------------------------------------------------------------------------------

// Where bytes are received that the kernel does not drop, and how much is asked for at once.
std::array<char, 1024 * 1024> received;

class Connection {
 public:
  Connection(int socket, const Options& options, Requests& requests)
      : socket_(socket),
        requests_(&requests),
        reader_(std::make_unique<ReplyReader>(options.wire, requests)),
        check_all_(options.check) {}
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] int socket() const noexcept { return socket_; }
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_; }
  [[nodiscard]] std::size_t reply_bytes() const noexcept { return reply_bytes_; }
  // Nothing of a reply that is not whole.
  [[nodiscard]] bool between_replies() const noexcept { return partial_ == 0; }

  // Requests that are due since `due`; they go with the next flush().
  void add(std::size_t count, Time due) {
    if (!batches_.empty() && batches_.back().due == due) {
      batches_.back().count += count;
    } else {
      batches_.push_back({due, count});
    }
    in_flight_ += count;
    unsent_requests_ += count;
  }
  // False when the socket takes no more now.
  bool flush() { return requests_->ids() ? flush_with_ids() : flush_alike(); }

  struct Received {
    std::size_t bytes = 0;
    std::size_t replies = 0;
  };
  Received receive() {
    // With ids a server may cut a reply into as many frames as it likes.
    const bool look = check_all_ || requests_->ids() || reply_bytes_ == 0;
    const ssize_t came = ::recv(socket_, received.data(), received.size(), look ? 0 : MSG_TRUNC);
    if (came < 0 && errno == EAGAIN) return {};
    check(came >= 0, "recv");
    if (came == 0) die("the server has closed a connection");
    const auto bytes = static_cast<std::size_t>(came);
    Received result{.bytes = bytes};
    if (look) {
      result.replies = reader_->read({received.data(), bytes}, check_all_ || reply_bytes_ == 0);
      if (result.replies == 0) return result;
      reply_bytes_ = reader_->reply_bytes();
      if (!check_all_ && !requests_->ids()) reader_.reset();
    } else {
      partial_ += bytes;
      result.replies = partial_ / reply_bytes_;
      partial_ %= reply_bytes_;
    }
    if (result.replies > in_flight_) die("more replies than requests");
    in_flight_ -= result.replies;
    return result;
  }
  // The times since which the last `count` replies were due, each with how many they were.
  template <typename Function>
  void settle(std::size_t count, const Function& each) {
    while (count > 0) {
      Batch& oldest = batches_.front();
      const std::size_t part = std::min(count, oldest.count);
      each(oldest.due, part);
      count -= part;
      oldest.count -= part;
      if (oldest.count == 0) batches_.pop_front();
    }
  }

 private:
  struct Batch {
    Time due;
    std::size_t count;
  };

  // What was taken of these; 0 also where nothing can be taken now.
  std::size_t send(const iovec* pieces, std::size_t count) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces);
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(socket_, &message, MSG_NOSIGNAL);
    check(sent >= 0 || errno == EAGAIN, "send");
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  bool flush_alike() {
    unsent_bytes_ += std::exchange(unsent_requests_, 0) * requests_->size();
    const std::string_view block = requests_->block();
    while (unsent_bytes_ > 0) {
      std::array<iovec, 8> pieces;
      std::size_t count = 0;
      std::size_t offered = 0;
      std::size_t at = at_;
      while (count < pieces.size() && offered < unsent_bytes_) {
        const std::size_t part = std::min(block.size() - at, unsent_bytes_ - offered);
        pieces[count++] = {const_cast<char*>(block.data()) + at, part};
        offered += part;
        at = 0;
      }
      const std::size_t sent = send(pieces.data(), count);
      at_ = (at_ + sent) % block.size();
      unsent_bytes_ -= sent;
      if (sent < offered) return false;
    }
    // Whole requests have gone, and all of the block's are alike.
    at_ = 0;
    return true;
  }
  bool flush_with_ids() {
    while (!rest_.empty() || unsent_requests_ > 0) {
      std::string_view next = rest_;
      if (rest_.empty()) {
        const std::size_t count = std::min(unsent_requests_, requests_->in_block());
        next = requests_->with_new_ids(count);
        unsent_requests_ -= count;
      }
      const iovec piece{const_cast<char*>(next.data()), next.size()};
      const std::size_t sent = send(&piece, 1);
      const bool all = sent == next.size();
      rest_ = std::string(next.substr(sent));
      if (!all) return false;
    }
    return true;
  }

  int socket_;
  Requests* requests_;
  std::unique_ptr<ReplyReader> reader_;
  bool check_all_;
  std::size_t reply_bytes_ = 0;  // once it is known
  std::size_t partial_ = 0;      // of a reply, while it is not looked at
  std::size_t in_flight_ = 0;
  std::deque<Batch> batches_;  // of what is in flight, oldest first
  std::size_t unsent_requests_ = 0;
  std::size_t unsent_bytes_ = 0;  // of the block's requests from at_ on
  std::size_t at_ = 0;
  std::string rest_;  // with ids: what a socket did not take
};

// A socket that is connected or on its way; `source` counts through the addresses of loopback, each
// of which has its own ports.
int connect_to(int port, std::size_t source) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  check(socket >= 0, "socket");
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (source > 0) {
    ::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + static_cast<std::uint32_t>(source));
    check(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
  }
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const int status = ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address);
  check(status == 0 || errno == EINPROGRESS, "connect");
  return socket;
}

// ---- The load -----------------------------------------------------------------------------------

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options), requests_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    check(epoll_ >= 0, "epoll_create1");
  }

  void run() {
    before_ = read_machine(options_.cores, options_.pid);
    open_all();
    after_ = read_machine(options_.cores, options_.pid);
    if (options_.idle) {
      messages_ = static_cast<double>(connections_.size());
      print();
      while (std::getchar() != EOF) continue;
      return;
    }
    const Time start = now();
    warm_until_ = start + static_cast<Time>(options_.warm * kSecond);
    end_ = warm_until_ + static_cast<Time>(options_.seconds * kSecond);
    if (options_.rate > 0) {
      send_by_the_clock(start);
    } else {
      keep_full();
    }
    drain();
    // Where all are of one size, a part of a reply counts as such: few of them are very large.
    messages_ = requests_.ids() ? static_cast<double>(measured_latency_.count())
                                : static_cast<double>(bytes_) /
                                      static_cast<double>(connections_[0]->reply_bytes());
    print();
    // A reset leaves no port behind that has to wait.
    for (const auto& connection : connections_) {
      const linger none{.l_onoff = 1, .l_linger = 0};
      ::setsockopt(connection->socket(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
  }

  // Connections that come and go; each closes in order, as a client does.
  void run_accepts() {
    std::vector<std::unique_ptr<Connection>> places(options_.connections);
    std::size_t begun = 0;
    const auto begin = [&](std::size_t place) {
      const int socket = connect_to(options_.port, 1 + begun++ % 200);
      places[place] = std::make_unique<Connection>(socket, options_, requests_);
      places[place]->add(1, now());
      watch(EPOLL_CTL_ADD, *places[place], EPOLLIN | EPOLLOUT, place);
    };
    for (std::size_t place = 0; place < places.size(); ++place) begin(place);
    warm_until_ = now() + static_cast<Time>(options_.warm * kSecond);
    end_ = warm_until_ + static_cast<Time>(options_.seconds * kSecond);
    while (!ended_) {
      const int ready = wait(100);
      for (int i = 0; i < ready; ++i) {
        const std::size_t place = events_[static_cast<std::size_t>(i)].data.u64;
        Connection& connection = *places[place];
        if ((events_[static_cast<std::size_t>(i)].events & EPOLLOUT) != 0) {
          connection.flush();
          watch(EPOLL_CTL_MOD, connection, EPOLLIN, place);
        }
        const Connection::Received came = connection.receive();
        bytes_ += came.bytes;
        if (came.replies == 0) continue;
        record(connection, came.replies, now());
        messages_ += 1;
        begin(place);
      }
      look_at_the_clock();
    }
    print();
  }

 private:
  static constexpr std::size_t kAtOnce = 128;            // that are opened
  static constexpr std::size_t kMostInFlight = 100'000;  // by the clock
  static constexpr Time kPatience = 20 * kSecond;
  static constexpr std::size_t kPortsPerSource = 16'000;

  void watch(int operation, const Connection& connection, std::uint32_t events, std::size_t place) {
    epoll_event event{.events = events, .data = {.u64 = place}};
    check(::epoll_ctl(epoll_, operation, connection.socket(), &event) == 0, "epoll_ctl");
  }
  int wait(int milliseconds) {
    const int ready =
        ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), milliseconds);
    check(ready >= 0 || errno == EINTR, "epoll_wait");
    return std::max(ready, 0);
  }

  // Every connection with its first reply, so that the size of all others is known.
  void open_all() {
    blocked_.resize(options_.connections);
    for (std::size_t i = 0; i < options_.connections; ++i) {
      const int socket = connect_to(options_.port, i / kPortsPerSource);
      connections_.push_back(std::make_unique<Connection>(socket, options_, requests_));
      // Connected or not, it is written to when it can be.
      blocked_[i] = true;
      connections_[i]->add(1, now());
      watch(EPOLL_CTL_ADD, *connections_[i], EPOLLIN | EPOLLOUT, i);
      ++in_flight_;
      if ((i + 1) % kAtOnce == 0) drain();
    }
    drain();
    for (const auto& connection : connections_) {
      if (!requests_.ids() && connection->reply_bytes() != connections_[0]->reply_bytes()) {
        die("replies of two sizes");
      }
    }
  }

  void flush(std::size_t place) {
    const bool blocked = !connections_[place]->flush();
    if (blocked == blocked_[place]) return;
    blocked_[place] = blocked;
    watch(EPOLL_CTL_MOD, *connections_[place], blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, place);
  }
  void record(Connection& connection, std::size_t replies, Time at) {
    connection.settle(replies, [&](Time due, std::size_t count) {
      const auto took = static_cast<std::uint64_t>(std::max<Time>(at - due, 0));
      for (std::size_t i = 0; i < count; ++i) latency_.record(took);
    });
  }
  // Receives what has come; `again`: as many requests as replies follow at once.
  void serve(int ready, bool again) {
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events_[static_cast<std::size_t>(i)];
      const std::size_t place = event.data.u64;
      Connection& connection = *connections_[place];
      if ((event.events & EPOLLOUT) != 0) flush(place);
      if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) continue;
      const Connection::Received came = connection.receive();
      bytes_ += came.bytes;
      if (came.replies == 0) continue;
      const Time at = now();
      record(connection, came.replies, at);
      in_flight_ -= came.replies;
      if (!again) continue;
      connection.add(came.replies, at);
      in_flight_ += came.replies;
      flush(place);
    }
  }

  // The measured time begins and ends here; it is not over before there is something to measure.
  void look_at_the_clock() {
    const Time time = now();
    if (!measuring_ && time >= warm_until_) {
      measuring_ = true;
      latency_.clear();
      late_.clear();
      bytes_ = 0;
      messages_ = 0;
      before_ = read_machine(options_.cores, options_.pid);
    } else if (measuring_ && time >= end_ && latency_.count() > 0) {
      ended_ = true;
      after_ = read_machine(options_.cores, options_.pid);
      measured_latency_ = latency_;
      measured_bytes_ = bytes_;
    } else if (time >= end_ + kPatience) {
      die("no reply comes");
    }
  }

  void keep_full() {
    const Time start = now();
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      connections_[i]->add(options_.depth, start);
      in_flight_ += options_.depth;
      flush(i);
    }
    while (!ended_) {
      serve(wait(100), true);
      look_at_the_clock();
    }
    bytes_ = measured_bytes_;
  }

  // Never waits, so that it is never late by its own fault.
  void send_by_the_clock(Time start) {
    const double interval = static_cast<double>(kSecond) / options_.rate;
    std::uint64_t begun = 0;
    std::vector<std::size_t> touched;
    while (!ended_) {
      const Time time = now();
      for (;; ++begun) {
        const Time due = start + static_cast<Time>(static_cast<double>(begun) * interval);
        if (due > time) break;
        if (in_flight_ >= kMostInFlight) {
          skipped_ += measuring_ ? 1 : 0;
          continue;
        }
        const std::size_t place = begun % connections_.size();
        connections_[place]->add(1, due);
        ++in_flight_;
        late_.record(static_cast<std::uint64_t>(time - due));
        touched.push_back(place);
      }
      for (const std::size_t place : touched) {
        if (!blocked_[place]) flush(place);
      }
      touched.clear();
      serve(wait(0), false);
      look_at_the_clock();
    }
    bytes_ = measured_bytes_;
  }

  // Until everything that was asked has been answered, and not a byte more.
  void drain() {
    const std::uint64_t bytes = bytes_;
    const Time patience = now() + kPatience;
    while (in_flight_ > 0) {
      serve(wait(100), false);
      if (now() > patience) die("%zu replies do not come", in_flight_);
    }
    for (const auto& connection : connections_) {
      if (!connection->between_replies()) die("bytes that belong to no reply");
    }
    bytes_ = bytes;
  }

  void print() const {
    const Histogram& latency = options_.accept || options_.idle ? latency_ : measured_latency_;
    const double seconds = static_cast<double>(after_.time - before_.time) / kSecond;
    const auto us = [](std::uint64_t ns) { return static_cast<double>(ns) / 1'000; };
    std::printf("{\"messages\":%.3f,\"seconds\":%.6f,\"bytes\":%ju,\"reply_bytes\":%zu,", messages_,
                seconds, static_cast<std::uintmax_t>(bytes_),
                connections_.empty() ? 0 : connections_[0]->reply_bytes());
    std::printf("\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,", us(latency.value_at(0.5)),
                us(latency.value_at(0.99)), us(latency.value_at(0.999)));
    std::printf("\"late_p99_us\":%.2f,\"skipped\":%ju,", us(late_.value_at(0.99)),
                static_cast<std::uintmax_t>(skipped_));
    print_machine(before_, after_);
    std::printf("}\n");
    std::fflush(stdout);
  }

  Options options_;
  Requests requests_;
  int epoll_;
  std::array<epoll_event, 1'024> events_{};
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<bool> blocked_;  // whether a connection waits until it can be written to
  std::size_t in_flight_ = 0;
  double messages_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t measured_bytes_ = 0;
  std::uint64_t skipped_ = 0;
  Histogram latency_, measured_latency_, late_;
  Time warm_until_ = 0;
  Time end_ = 0;
  bool measuring_ = false;
  bool ended_ = false;
  Reading before_, after_;
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  rlimit descriptors{};
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  const auto load = std::make_unique<Load>(options);
  if (options.accept) {
    load->run_accepts();
  } else {
    load->run();
  }
}
