// SPDX-License-Identifier: MIT
#include "cleave/bin/load/report.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <utility>

#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/load/figures.h"
#include "cleave/protocol/members.h"

namespace cleave::load {
namespace {

// From here on the client's thread had hardly a moment to spare.
constexpr double kBusy = 0.95;
// A rate that was missed by less is met: a run ends between two requests.
constexpr double kMet = 0.99;

constexpr std::array<std::pair<std::string_view, double>, 4> kQuantiles = {
    {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}}};

std::string_view name_of(Ids ids) {
  if (ids == Ids::none) return "the same header each time, without an id";
  return ids == Ids::counting ? "ids that count up" : "ids that repeat";
}

bool compares(const Settings& settings) {
  return settings.check && (settings.cmd == "echo" || settings.cmd == "upper");
}

std::string plural(std::uint64_t count, const std::string& one, const std::string& several) {
  return grouped(count) + " " + (count == 1 ? one : several);
}

void row(std::string& out, std::string_view name, const std::string& text) {
  std::string line = "  " + std::string(name);
  line.resize(14, ' ');
  out += line + text + "\n";
}

std::string latencies(const Histogram& latency) {
  std::string text;
  for (const auto& [name, quantile] : kQuantiles) {
    text += std::string(name) + " " + duration(latency.value_at(quantile)) + "   ";
  }
  return text + "max " + duration(latency.max());
}

std::string cpu(const Measured& measured, std::uint64_t nanoseconds, double busy) {
  std::string text = percent(busy) + " busy";
  if (measured.messages == 0) return text;
  return grouped(measured.per_message(nanoseconds)) + " ns a message, " + text;
}

std::string failure(const Failures& failures) {
  return grouped(failures.count) + ": " + cli::printable(failures.first);
}

std::string rounded(double number, int digits = 3) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, number);
  return text.data();
}

Members failures_object(const Failures& failures) {
  Members object;
  object.set("count", failures.count);
  if (failures.count > 0) object.set("message", failures.first);
  return object;
}

Members cpu_object(double nanoseconds, double busy) {
  Members object;
  object.set_raw("cpu_ns_per_message", rounded(nanoseconds)).set_raw("busy", rounded(busy));
  return object;
}

}  // namespace

std::string text_report(const Settings& settings, std::uint64_t body_bytes,
                        const Measured& measured) {
  std::string out = cli::printable(settings.cmd) + " with " + size(body_bytes) + " to " +
                    settings.endpoint.url() + "\n";
  out += plural(settings.connections, "connection", "connections") + ", ";
  if (settings.rate) {
    out += "open loop: " + grouped(*settings.rate) + " requests/s, at most " +
           grouped(std::uint64_t{settings.depth}) + " in flight on each";
  } else {
    out += "closed loop: " + grouped(std::uint64_t{settings.depth}) + " in flight on each";
  }
  out += "\n" + std::string(name_of(settings.ids)) + "; bodies ";
  out += compares(settings) ? "are compared\n\n" : "are not compared\n\n";

  row(out, "rate", grouped(measured.per_second(measured.messages)) + " messages/s");
  row(out, "bytes",
      "sent " + megabytes(measured.per_second(measured.sent_bytes)) + " MB/s, received " +
          megabytes(measured.per_second(measured.received_bytes)) + " MB/s");
  if (measured.latency.count() > 0) row(out, "latency", latencies(measured.latency));
  if (const auto busy = measured.server_busy()) {
    row(out, "server", cpu(measured, *measured.server_cpu_ns, *busy));
  }
  row(out, "client", cpu(measured, measured.client_cpu_ns, measured.client_busy()));
  row(out, "requests",
      grouped(measured.latency.count()) + " ok of " + grouped(measured.requests) + ", in " +
          rounded(measured.seconds) + " s");
  for (const auto& [code, failures] : measured.errors) {
    row(out, "error",
        grouped(failures.count) + " " + cli::printable(code) + ": " +
            cli::printable(failures.first));
  }
  if (measured.wrong.count > 0) row(out, "wrong", failure(measured.wrong));
  if (measured.lost_connections.count > 0) row(out, "lost", failure(measured.lost_connections));
  if (measured.unanswered > 0) row(out, "unanswered", grouped(measured.unanswered));
  if (measured.warm_up_failures.count > 0) {
    row(out, "warm-up", failure(measured.warm_up_failures));
  }
  for (const std::string& remark : remarks(settings, measured)) out += "\n" + remark + "\n";
  return out;
}

std::string json_report(const Settings& settings, std::uint64_t body_bytes,
                        const Measured& measured) {
  Members latency;
  latency.set("count", measured.latency.count());
  for (const auto& [name, quantile] : kQuantiles) {
    latency.set(name == "p99.9" ? "p99_9" : name, measured.latency.value_at(quantile));
  }
  latency.set("max", measured.latency.max());
  std::string errors;
  for (const auto& [code, failures] : measured.errors) {
    Members error;
    error.set("code", code).append(failures_object(failures));
    errors += (errors.empty() ? "" : ",") + error.object();
  }
  Members report;
  report.set("server", settings.endpoint.url())
      .set("command", settings.cmd)
      .set("body_bytes", body_bytes)
      .set("connections", settings.connections)
      .set("depth", settings.depth)
      .set("headers", settings.ids == Ids::counting ? "counting" : "repeated")
      .set("ids", settings.ids != Ids::none)
      .set("bodies_compared", compares(settings))
      .set_raw("seconds", rounded(measured.seconds, 6))
      .set("messages", measured.messages)
      .set_raw("messages_per_second", rounded(measured.per_second(measured.messages)))
      .set("sent_bytes", measured.sent_bytes)
      .set("received_bytes", measured.received_bytes)
      .set("latency_ns", latency)
      .set("client",
           cpu_object(measured.per_message(measured.client_cpu_ns), measured.client_busy()));
  if (const auto busy = measured.server_busy()) {
    report.set("server_process", cpu_object(measured.per_message(*measured.server_cpu_ns), *busy));
  }
  report.set("requests", measured.requests)
      .set("ok", measured.latency.count())
      .set_raw("errors", "[" + errors + "]")
      .set("wrong", failures_object(measured.wrong))
      .set("unanswered", measured.unanswered)
      .set("lost_connections", failures_object(measured.lost_connections))
      .set("warm_up_failures", failures_object(measured.warm_up_failures));
  if (settings.rate) {
    report.set_raw("rate_asked", rounded(*settings.rate))
        .set("unsent", measured.unsent)
        .set_raw("late_seconds", rounded(measured.late_seconds));
  }
  report.set("interrupted", measured.interrupted)
      .set("remarks", std::span<const std::string>(remarks(settings, measured)));
  return report.object() + "\n";
}

std::vector<std::string> remarks(const Settings& settings, const Measured& measured) {
  std::vector<std::string> found;
  if (measured.client_busy() >= kBusy) {
    found.push_back("The client was busy " + percent(measured.client_busy()) +
                    " of the time: the server may be faster than this.");
  }
  const double rate = measured.per_second(measured.messages);
  if (settings.rate && measured.seconds > 0 && rate < *settings.rate * kMet) {
    std::string sentence =
        "Of " + grouped(*settings.rate) + " requests/s, " + grouped(rate) + " were answered well";
    if (measured.unsent > 0) {
      sentence += "; " + grouped(measured.unsent) +
                  " that were due could not be sent, the oldest for " +
                  rounded(measured.late_seconds) + " s, and are in no latency";
    }
    found.push_back(sentence + ".");
  }
  if (settings.pid && !measured.server_cpu_ns) {
    found.push_back("The processor time of process " + std::to_string(*settings.pid) +
                    " cannot be told.");
  }
  return found;
}

Verdict verdict(const Measured& measured) {
  if (measured.wrong.count > 0) {
    return {cli::kOther, plural(measured.wrong.count, "reply was", "replies were") +
                             " wrong: " + measured.wrong.first};
  }
  if (const std::uint64_t errors = measured.error_count(); errors > 0) {
    return {cli::kOther,
            plural(errors, "request was", "requests were") + " answered with an error"};
  }
  if (measured.warm_up_failures.count > 0) {
    return {cli::kOther, plural(measured.warm_up_failures.count, "request", "requests") +
                             " failed while it warmed up: " + measured.warm_up_failures.first};
  }
  if (measured.lost_connections.count > 0) {
    return {cli::kNetwork,
            plural(measured.lost_connections.count, "connection was", "connections were") +
                " lost: " + measured.lost_connections.first};
  }
  if (measured.unanswered > 0) {
    return {cli::kDeadline,
            plural(measured.unanswered, "request was", "requests were") + " not answered in time"};
  }
  if (measured.interrupted) return {cli::kInterrupted, "interrupted"};
  return {};
}

}  // namespace cleave::load
