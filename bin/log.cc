// SPDX-License-Identifier: MIT
#include "cleave/bin/log.h"

#include <poll.h>
#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <atomic>
#include <chrono>

#include "cleave/bin/escape.h"

namespace cleave {
inline namespace v0 {
namespace {

// What a pipe takes in one piece (PIPE_BUF): a descriptor that is ready takes a whole line, so the
// thread never blocks in write(2), and lines of several processes do not mix.
constexpr std::size_t kLineBytes = 4'096;
// How far texts may fill a line; the rest is for its time, its level, names and numbers.
constexpr std::size_t kTextBytes = kLineBytes - 512;

spdlog::level::level_enum to_spdlog(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      break;
  }
  return spdlog::level::off;
}

void append(std::string& line, LogFormat format, const LogField& field) {
  const auto* text = std::get_if<std::string_view>(&field.value);
  if (text != nullptr && text->empty()) return;
  if (format == LogFormat::json) {
    line.append(",\"").append(field.name).append("\":");
  } else {
    line.append(" ").append(field.name).append("=");
  }
  if (text == nullptr) {
    line.append(std::to_string(std::get<std::uint64_t>(field.value)));
    return;
  }
  const bool bare = format == LogFormat::text && is_plain_word(*text);
  if (!bare) line.append("\"");
  append_escaped(line, *text, kTextBytes);
  if (!bare) line.append("\"");
}

// An event and its fields as they stand in a line, without time and level.
std::string payload(LogFormat format, std::string_view event,
                    std::initializer_list<LogField> fields) {
  std::string line(event);
  if (format == LogFormat::json) line = "\"event\":\"" + line + "\"";
  for (const LogField& field : fields) append(line, format, field);
  return line;
}

std::unique_ptr<spdlog::formatter> formatter(LogFormat format) {
  const char* const pattern = format == LogFormat::json
                                  ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                                  : "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
  return std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc);
}

// Runs on the log's thread, and writes there whatever fits within the time it has.
class DescriptorSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  DescriptorSink(int fd, LogFormat format)
      : base_sink(formatter(format)), fd_(fd), format_(format) {}

  // Where lines were lost on the way to this sink. Not owned: an owner on the log's own thread
  // could be the last one, and a thread that joins itself waits for ever. The pool's destructor
  // waits for its thread, so the pool is there whenever the sink is called.
  void watch_overruns(spdlog::details::thread_pool& pool) noexcept { pool_ = &pool; }
  // From now on a reader that does not read is waited for until then, and no longer.
  void finish_by(std::chrono::steady_clock::time_point deadline) noexcept { deadline_ = deadline; }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    report_drops();
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (!put({line.data(), line.size()})) ++lost_;
  }
  void flush_() override {}

  void report_drops() {
    const std::uint64_t dropped = lost_ + pool_->overrun_counter();
    if (dropped == reported_) return;
    const std::string text =
        payload(format_, "log_lines_dropped", {{"count", dropped - reported_}});
    spdlog::memory_buf_t line;
    formatter_->format(spdlog::details::log_msg({}, spdlog::level::warn, text), line);
    if (put({line.data(), line.size()})) reported_ = dropped;
  }

  // Waits for the reader in short turns, because the deadline may be set meanwhile.
  bool put(std::string_view line) const {
    pollfd entry = {.fd = fd_, .events = POLLOUT, .revents = 0};
    for (;;) {
      const bool late = std::chrono::steady_clock::now() >= deadline_.load();
      if (::poll(&entry, 1, late ? 0 : 50) == 1) break;
      if (late) return false;
    }
    return ::write(fd_, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  }

  const int fd_;
  const LogFormat format_;
  spdlog::details::thread_pool* pool_ = nullptr;
  std::atomic<std::chrono::steady_clock::time_point> deadline_ =
      std::chrono::steady_clock::time_point::max();
  std::atomic<std::uint64_t> lost_ = 0;
  std::uint64_t reported_ = 0;
};

}  // namespace

struct Log::State {
  LogFormat format;
  std::shared_ptr<DescriptorSink> sink;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
};

Log::Log(int fd, LogFormat format, LogLevel level, std::size_t queue) {
  auto sink = std::make_shared<DescriptorSink>(fd, format);
  auto pool = std::make_shared<spdlog::details::thread_pool>(queue, 1);
  sink->watch_overruns(*pool);
  auto logger = std::make_shared<spdlog::async_logger>(
      "", sink, pool, spdlog::async_overflow_policy::overrun_oldest);
  // spdlog would tell of its own troubles on standard error, which is not ours to use.
  logger->set_error_handler([](const std::string&) {});
  state_ =
      std::make_unique<State>(State{format, std::move(sink), std::move(pool), std::move(logger)});
  set_level(level);
}

Log::~Log() {
  state_->sink->finish_by(std::chrono::steady_clock::now() + std::chrono::seconds(1));
}

void Log::set_level(LogLevel level) noexcept {
  state_->logger->set_level(to_spdlog(level));
}

bool Log::wants(LogLevel level) const noexcept {
  return state_->logger->should_log(to_spdlog(level));
}

void Log::write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (!wants(level)) return;
  state_->logger->log(to_spdlog(level), payload(state_->format, event, fields));
}

std::uint64_t Log::dropped() const noexcept {
  return state_->sink->lost() + state_->pool->overrun_counter();
}

}  // namespace v0
}  // namespace cleave
