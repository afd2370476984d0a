// SPDX-License-Identifier: MIT
#pragma once

#include <dirent.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

namespace cleave::bench {

// What the clients that measure have in common: how they end, their clock, and what they read of
// the machine at both ends of the measured time.

// ---- An end with a sentence ---------------------------------------------------------------------

[[noreturn, gnu::format(printf, 1, 2)]] inline void die(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::fprintf(stderr, "%s: ", program_invocation_short_name);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  va_end(arguments);
  std::exit(1);
}

inline void check(bool good, const char* what) {
  if (!good) die("%s: %s", what, std::strerror(errno));
}

// ---- The clock ----------------------------------------------------------------------------------

// Nanoseconds, of a clock that only goes forward.
using Time = std::int64_t;
constexpr Time kSecond = 1'000'000'000;

inline Time read_clock(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}
inline Time now() {
  return read_clock(CLOCK_MONOTONIC);
}

// ---- The machine --------------------------------------------------------------------------------

struct Cores {
  int server = 0;
  int load = 1;
};
inline Cores read_cores(const char* text) {
  Cores cores;
  if (std::sscanf(text, "%d,%d", &cores.server, &cores.load) != 2) die("--cores is two numbers");
  return cores;
}

struct Core {
  double busy = 0;
  double stolen = 0;
};
struct Reading {
  Time time = 0;
  Time load = 0;    // processor time of this process
  Time server = 0;  // and of the server's threads, as their schedstat has it
  Core server_core, load_core;
};

inline Core read_core(int core) {
  std::ifstream file("/proc/stat");
  const std::string wanted = "cpu" + std::to_string(core);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name != wanted) continue;
    double user = 0, nice = 0, system = 0, idle = 0, waits = 0, irq = 0, softirq = 0, stolen = 0;
    words >> user >> nice >> system >> idle >> waits >> irq >> softirq >> stolen;
    const auto tick = 1.0 / static_cast<double>(::sysconf(_SC_CLK_TCK));
    return {(user + nice + system + irq + softirq + stolen) * tick, stolen * tick};
  }
  die("there is no core %d", core);
}

inline Time read_server(int pid) {
  if (pid == 0) return 0;
  const std::string folder = "/proc/" + std::to_string(pid) + "/task";
  DIR* tasks = ::opendir(folder.c_str());
  check(tasks != nullptr, "the server's tasks");
  Time sum = 0;
  while (const dirent* task = ::readdir(tasks)) {
    if (task->d_name[0] == '.') continue;
    std::ifstream file(folder + "/" + task->d_name + "/schedstat");
    Time used = 0;
    if (file >> used) sum += used;
  }
  ::closedir(tasks);
  return sum;
}

inline Reading read_machine(Cores cores, int pid) {
  Reading reading;
  reading.server_core = read_core(cores.server);
  reading.load_core = read_core(cores.load);
  reading.server = read_server(pid);
  reading.load = read_clock(CLOCK_PROCESS_CPUTIME_ID);
  reading.time = now();
  return reading;
}

// What happened between two readings, as the last members of a JSON object.
inline void print_machine(const Reading& before, const Reading& after) {
  const double seconds = static_cast<double>(after.time - before.time) / kSecond;
  const auto share = [seconds](Time used) { return static_cast<double>(used) / kSecond / seconds; };
  std::printf("\"server_seconds\":%.9f,\"server_busy\":%.4f,\"load_busy\":%.4f",
              static_cast<double>(after.server - before.server) / kSecond,
              share(after.server - before.server), share(after.load - before.load));
  const auto core = [seconds](const char* name, const Core& first, const Core& last) {
    std::printf(",\"%s_core_busy\":%.4f,\"%s_core_stolen\":%.4f", name,
                (last.busy - first.busy) / seconds, name, (last.stolen - first.stolen) / seconds);
  };
  core("server", before.server_core, after.server_core);
  core("load", before.load_core, after.load_core);
}

}  // namespace cleave::bench
