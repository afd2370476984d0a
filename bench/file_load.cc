// SPDX-License-Identifier: MIT
// The client that measures file transfers: one thread on epoll, which shares nothing with what it
// measures but the machine. It puts or gets files one after another on each of its connections, and
// prints one JSON object.
//
//     bench_file_load --port PORT --content FILE [OPTION...]
//       --content FILE          what a file begins with, over and over to its size
//       --wire frame|http|raw|one_way   Cleave's frames; PUT and GET of HTTP/1.1; those of the
//                               limits (raw_request.h); the put that nobody answers, which is over
//                               when the server closes                                   [frame]
//       --work put|get|synced|md5   the last two for the limits alone                    [put]
//       --files N, --size BYTES                                                          [1, 1 GiB]
//       --first N               the number of the first file                             [0]
//       --connections N                                                                  [1]
//       --seconds S             no file is begun after so long                           [no end]
//       --md5 HEX               a put says its digest
//       --check                 what comes is compared
//       --pid PID, --cores S,L  as bench_load has them
//
// Files are named f0, f1 and so on, from --first on. What is sent comes from the cache of
// `--content` by sendfile, without a copy, and what comes back is dropped by the kernel, so that
// the client has less to do than the server. The size of every file and the status of every reply
// are looked at. The measured time runs from the first request to the last reply; connections are
// open before.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cleave/bench/machine.h"
#include "cleave/bench/raw_request.h"
#include "cleave/bin/load/histogram.h"

using namespace cleave::bench;
using cleave::load::Histogram;

namespace {

// ---- Options ------------------------------------------------------------------------------------

enum class Wire : std::uint8_t { frame, http, raw, one_way };
using Work = RawRequest::Work;

struct Options {
  Wire wire = Wire::frame;
  Work work = Work::put;
  std::uint64_t files = 1;
  std::uint64_t first = 0;
  std::uint64_t size = 1024 * 1024 * 1024;
  std::size_t connections = 1;
  double seconds = std::numeric_limits<double>::infinity();
  std::string md5;
  std::string content;
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
    // Which of the names is given.
    const auto choice = [&](std::initializer_list<std::string_view> names) {
      const auto* const found = std::find(names.begin(), names.end(), value());
      if (found == names.end()) die("%s: there is no %s", argv[i - 1], argv[i]);
      return found - names.begin();
    };
    if (name == "--wire") {
      options.wire = static_cast<Wire>(choice({"frame", "http", "raw", "one_way"}));
    } else if (name == "--work") {
      options.work = static_cast<Work>(choice({"put", "synced", "get", "md5"}));
    } else if (name == "--files") {
      options.files = number();
    } else if (name == "--first") {
      options.first = number();
    } else if (name == "--size") {
      options.size = number();
    } else if (name == "--connections") {
      options.connections = number();
    } else if (name == "--seconds") {
      options.seconds = std::strtod(value(), nullptr);
    } else if (name == "--md5") {
      options.md5 = value();
    } else if (name == "--content") {
      options.content = value();
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
  if (options.port == 0 || options.content.empty()) die("--port and --content are needed");
  if (options.files < options.connections) die("a file for each connection, at least");
  if (options.wire == Wire::one_way && options.files > 1) die("one file that nobody answers");
  return options;
}

// ---- What the files have in them ----------------------------------------------------------------

class Content {
 public:
  explicit Content(const std::string& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat status {};
    check(file_ >= 0 && ::fstat(file_, &status) == 0, path.c_str());
    const auto size = static_cast<std::size_t>(status.st_size);
    void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_POPULATE, file_, 0);
    check(memory != MAP_FAILED, "mmap");
    bytes_ = {static_cast<const char*>(memory), size};
  }

  // Of a file from `at` on, as far as the memory reaches in one piece.
  [[nodiscard]] std::string_view from(std::uint64_t at) const {
    return bytes_.substr(at % bytes_.size());
  }
  // Sends the same, `most` bytes or fewer; what sendfile says.
  [[nodiscard]] ssize_t send(int socket, std::uint64_t at, std::uint64_t most) const {
    auto offset = static_cast<off_t>(at % bytes_.size());
    return ::sendfile(socket, file_, &offset, std::min<std::uint64_t>(most, from(at).size()));
  }

 private:
  int file_;
  std::string_view bytes_;
};

// ---- Requests and replies -----------------------------------------------------------------------

std::string frame(const std::string& header) {
  std::string bytes;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>(header.size() >> shift & 0xff));
  }
  return bytes + header;
}

// All of a request but the file.
std::string request_head(const Options& options, std::uint64_t number) {
  const std::string name = "f" + std::to_string(number);
  const std::string size = std::to_string(options.size);
  const bool get = options.work == Work::get;
  switch (options.wire) {
    case Wire::frame: {
      if (get) return frame(R"({"cmd":"get","filename":")" + name + "\"}");
      const std::string md5 = options.md5.empty() ? "" : R"(,"md5":")" + options.md5 + "\"";
      return frame(R"({"cmd":"put","filename":")" + name + "\"" + md5 + R"(,"data_size":)" + size +
                   "}");
    }
    case Wire::one_way:
      return frame(R"({"cmd":"put","filename":")" + name + R"(","filesize":)" + size + "}");
    case Wire::http: {
      const std::string rest = "/" + name + " HTTP/1.1\r\nHost: localhost\r\n";
      return get ? "GET " + rest + "\r\n" : "PUT " + rest + "Content-Length: " + size + "\r\n\r\n";
    }
    case Wire::raw: {
      const RawRequest request{.work = options.work, .number = number, .size = options.size};
      return {reinterpret_cast<const char*>(&request), sizeof request};
    }
  }
  return {};
}

// The digits behind `name`, 0 where it is not.
std::uint64_t number_behind(std::string_view text, std::string_view name) {
  std::uint64_t number = 0;
  if (const std::size_t at = text.find(name); at != std::string_view::npos) {
    std::from_chars(text.data() + at + name.size(), text.data() + text.size(), number);
  }
  return number;
}

// How many bytes are the head of a reply, and how many of a body follow; a size of 0 says that the
// head is not whole. Ends the program where the reply is not a success.
struct ReplyHead {
  std::size_t size = 0;
  std::uint64_t body = 0;
};

ReplyHead read_reply_head(Wire wire, std::string_view bytes) {
  const auto refuse = [&] {
    die("the reply is %.*s", static_cast<int>(std::min<std::size_t>(bytes.size(), 400)),
        bytes.data());
  };
  std::uint64_t raw = 0;
  switch (wire) {
    case Wire::frame: {
      std::size_t size = 4;
      if (bytes.size() < size) return {};
      for (unsigned i = 0; i < 4; ++i)
        size += std::size_t{static_cast<std::uint8_t>(bytes[i])} << 8 * i;
      if (bytes.size() < size) return {};
      bytes = bytes.substr(4, size - 4);
      if (bytes.find(R"("status":"ok")") == std::string_view::npos) refuse();
      return {size, number_behind(bytes, R"("data_size":)")};
    }
    case Wire::http: {
      const std::size_t end = bytes.find("\r\n\r\n");
      if (end == std::string_view::npos) return {};
      bytes = bytes.substr(0, end + 2);
      if (!bytes.starts_with("HTTP/1.1 20")) refuse();
      return {end + 4, number_behind(bytes, "Content-Length: ")};
    }
    case Wire::raw:
      if (bytes.size() < sizeof raw) return {};
      std::memcpy(&raw, bytes.data(), sizeof raw);
      if (raw == kRawFailed) die("the limits failed");
      return {sizeof raw, raw};
    case Wire::one_way:
      refuse();
  }
  return {};
}

// ---- A connection -------------------------------------------------------------------------------

// A file up to here leaves together with its head.
constexpr std::uint64_t kTogetherBytes = 64 * 1024;
constexpr std::size_t kReceivedBytes = 1024 * 1024;
std::array<char, kReceivedBytes> received;

class Connection {
 public:
  Connection(const Options& options, const Content& content)
      : options_(&options),
        content_(&content),
        socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(options.port));
    check(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
          "connect");
    check(::fcntl(socket_, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] int socket() const noexcept { return socket_; }
  [[nodiscard]] Time begun() const noexcept { return begun_; }
  [[nodiscard]] bool sending() const noexcept { return !unsent_.empty() || sent_ < to_send_; }

  // The next file; it goes with send().
  void begin(std::uint64_t number) {
    begun_ = now();
    request_ = request_head(*options_, number);
    sent_ = 0;
    to_send_ =
        options_->work == Work::put || options_->work == Work::synced_put ? options_->size : 0;
    while (to_send_ <= kTogetherBytes && sent_ < to_send_) {
      const std::string_view piece = content_->from(sent_).substr(0, to_send_ - sent_);
      request_ += piece;
      sent_ += piece.size();
    }
    unsent_ = request_;
    head_.clear();
    in_body_ = false;
    got_ = 0;
  }
  void send() {
    while (sending()) {
      const bool rest = unsent_.empty();
      const ssize_t taken = rest ? content_->send(socket_, sent_, to_send_ - sent_)
                                 : ::send(socket_, unsent_.data(), unsent_.size(),
                                          MSG_NOSIGNAL | (sent_ < to_send_ ? MSG_MORE : 0));
      if (taken < 0 && errno == EAGAIN) return;
      // Where the server has closed, it may have said why.
      if (taken < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
      check(taken > 0, "send");
      if (rest) {
        sent_ += static_cast<std::uint64_t>(taken);
      } else {
        unsent_.remove_prefix(static_cast<std::size_t>(taken));
      }
    }
    if (options_->wire == Wire::one_way) ::shutdown(socket_, SHUT_WR);
  }
  // True when the reply has come to its end.
  bool receive() {
    const bool look = !in_body_ || options_->check;
    const std::size_t most =
        in_body_ ? std::min<std::uint64_t>(received.size(), wanted() - got_) : received.size();
    const ssize_t came = ::recv(socket_, received.data(), most, look ? 0 : MSG_TRUNC);
    if (came < 0 && errno == EAGAIN) return false;
    check(came >= 0, "recv");
    if (came == 0 && options_->wire == Wire::one_way && !sending()) return true;
    if (came == 0) die("the server has closed a connection");
    std::string_view bytes(received.data(), static_cast<std::size_t>(came));
    if (!in_body_) {
      head_ += bytes;
      const ReplyHead head = read_reply_head(options_->wire, head_);
      if (head.size == 0) return false;
      if (sending()) die("a reply before the request has ended");
      if (head.body != wanted()) die("a body of %ju bytes", std::uintmax_t{head.body});
      in_body_ = true;
      bytes = std::string_view(head_).substr(head.size);
      if (bytes.size() > wanted()) die("more than a reply");
    }
    if (look) compare(bytes);
    got_ += bytes.size();
    return got_ == wanted();
  }

 private:
  [[nodiscard]] std::uint64_t wanted() const noexcept {
    return options_->work == Work::get ? options_->size : 0;
  }
  void compare(std::string_view bytes) const {
    for (std::uint64_t at = got_; !bytes.empty();) {
      const std::string_view piece = content_->from(at).substr(0, bytes.size());
      if (bytes.substr(0, piece.size()) != piece) die("a file that nobody put");
      bytes.remove_prefix(piece.size());
      at += piece.size();
    }
  }

  const Options* options_;
  const Content* content_;
  int socket_;
  Time begun_ = 0;
  std::string request_;
  std::string_view unsent_;  // of it
  std::uint64_t sent_ = 0;   // of the file
  std::uint64_t to_send_ = 0;
  std::string head_;      // of the reply, and what came with it
  bool in_body_ = false;  // of the reply
  std::uint64_t got_ = 0;
};

// ---- The load -----------------------------------------------------------------------------------

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options), content_(options.content), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    check(epoll_ >= 0, "epoll_create1");
    for (std::size_t place = 0; place < options.connections; ++place) {
      connections_.push_back(std::make_unique<Connection>(options_, content_));
      watch(EPOLL_CTL_ADD, place);
    }
    blocked_.resize(options.connections);
  }

  void run() {
    before_ = read_machine(options_.cores, options_.pid);
    for (std::size_t place = 0; place < connections_.size(); ++place) begin(place);
    while (done_ < begun_) {
      const int ready = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()),
                                     kPatienceMilliseconds);
      if (ready == 0) die("%ju files do not end", std::uintmax_t{begun_ - done_});
      check(ready > 0 || errno == EINTR, "epoll_wait");
      for (int i = 0; i < ready; ++i) serve(events_[static_cast<std::size_t>(i)]);
    }
    after_ = read_machine(options_.cores, options_.pid);
    print();
  }

 private:
  static constexpr int kPatienceMilliseconds = 60'000;

  void watch(int operation, std::size_t place) {
    const bool blocked = operation == EPOLL_CTL_MOD && blocked_[place];
    epoll_event event{.events = blocked ? EPOLLIN | EPOLLOUT : EPOLLIN, .data = {.u64 = place}};
    check(::epoll_ctl(epoll_, operation, connections_[place]->socket(), &event) == 0, "epoll_ctl");
  }
  void begin(std::size_t place) {
    connections_[place]->begin(options_.first + begun_++);
    send(place);
  }
  void send(std::size_t place) {
    connections_[place]->send();
    if (connections_[place]->sending() == blocked_[place]) return;
    blocked_[place] = !blocked_[place];
    watch(EPOLL_CTL_MOD, place);
  }
  void serve(const epoll_event& event) {
    const std::size_t place = event.data.u64;
    if ((event.events & EPOLLOUT) != 0) send(place);
    if ((event.events & ~std::uint32_t{EPOLLOUT}) == 0) return;
    if (!connections_[place]->receive()) return;
    const Time time = now();
    latency_.record(static_cast<std::uint64_t>(time - connections_[place]->begun()));
    ++done_;
    const double gone = static_cast<double>(time - before_.time) / kSecond;
    if (begun_ < options_.files && gone < options_.seconds) begin(place);
  }

  void print() const {
    const auto us = [this](double share) {
      return static_cast<double>(latency_.value_at(share)) / 1'000;
    };
    std::printf("{\"messages\":%ju,\"seconds\":%.6f,", std::uintmax_t{done_},
                static_cast<double>(after_.time - before_.time) / kSecond);
    std::printf("\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,", us(0.5), us(0.99), us(0.999));
    print_machine(before_, after_);
    std::printf("}\n");
  }

  const Options options_;
  const Content content_;
  int epoll_;
  std::array<epoll_event, 64> events_{};
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<bool> blocked_;  // whether a connection waits until it can be written to
  std::uint64_t begun_ = 0;
  std::uint64_t done_ = 0;
  Histogram latency_;
  Reading before_, after_;
};

}  // namespace

int main(int argc, char** argv) {
  Load(read_options(argc, argv)).run();
}
