// SPDX-License-Identifier: MIT
// Runs programs by uv_spawn in a loop of libuv and collects what they write, as a server on libuv
// would; otherwise as posix_spawn_runs.cc, without requests (raw_runs.h).
//
//     bench_uv_spawn_runs BYTES     holds so much memory, prints its port on 127.0.0.1 and serves
//                                   until it is killed
#include <netinet/in.h>
#include <uv.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cleave/bench/raw_runs.h"

namespace {

using cleave::bench::kProgram;
using cleave::bench::kRunsAtOnce;

void check(int status, const char* what) {
  if (status >= 0) return;
  std::fprintf(stderr, "bench_uv_spawn_runs: %s: %s\n", what, uv_strerror(status));
  std::exit(1);
}

std::size_t connections = 0;
std::uint64_t over = 0;
std::array<char, 64 * 1024> piece;

void lend_piece(uv_handle_t*, std::size_t, uv_buf_t* lent) {
  *lent = uv_buf_init(piece.data(), piece.size());
}

// ---- Runs ---------------------------------------------------------------------------------------

struct Run {
  uv_process_t process;
  uv_pipe_t output;
  int open_handles = 0;  // 0: there is none
  std::string collected;
};
std::array<Run, kRunsAtOnce> runs;

void start(Run& run);

// A run is over when both its handles are closed: its output at the end, its process at the exit.
void close(uv_handle_t* handle) {
  uv_close(handle, [](uv_handle_t* closed) {
    Run& run = *static_cast<Run*>(closed->data);
    if (--run.open_handles > 0) return;
    ++over;
    if (connections > 0) start(run);
  });
}

void on_output(uv_stream_t* output, ssize_t came, const uv_buf_t*) {
  if (came > 0) {
    static_cast<Run*>(output->data)->collected.append(piece.data(), static_cast<std::size_t>(came));
  } else if (came < 0) {
    close(reinterpret_cast<uv_handle_t*>(output));
  }
}

void on_exit(uv_process_t* process, std::int64_t status, int signal) {
  if (status != 0 || signal != 0) {
    std::fprintf(stderr, "bench_uv_spawn_runs: %s has failed\n", kProgram);
    std::exit(1);
  }
  close(reinterpret_cast<uv_handle_t*>(process));
}

void start(Run& run) {
  uv_loop_t* loop = uv_default_loop();
  check(uv_pipe_init(loop, &run.output, 0), "uv_pipe_init");
  run.output.data = &run;
  run.process.data = &run;
  run.open_handles = 2;
  run.collected.clear();
  std::array<uv_stdio_container_t, 3> stdio{};
  stdio[0].flags = UV_IGNORE;
  stdio[1].flags = static_cast<uv_stdio_flags>(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
  stdio[1].data.stream = reinterpret_cast<uv_stream_t*>(&run.output);
  stdio[2].flags = UV_IGNORE;
  std::string program = kProgram;
  std::array<char*, 2> argv{program.data(), nullptr};
  uv_process_options_t options{};
  options.exit_cb = on_exit;
  options.file = kProgram;
  options.args = argv.data();
  options.stdio_count = stdio.size();
  options.stdio = stdio.data();
  check(uv_spawn(loop, &run.process, &options), "uv_spawn");
  check(uv_read_start(reinterpret_cast<uv_stream_t*>(&run.output), lend_piece, on_output),
        "uv_read_start");
}

// ---- Connections --------------------------------------------------------------------------------

void on_asked(uv_stream_t* connection, ssize_t came, const uv_buf_t*) {
  const uv_buf_t answer = uv_buf_init(reinterpret_cast<char*>(&over), sizeof over);
  for (ssize_t i = 0; i < came; ++i) {
    if (uv_try_write(connection, &answer, 1) < 0) came = UV_EOF;
  }
  if (came >= 0) return;
  --connections;
  uv_close(reinterpret_cast<uv_handle_t*>(connection),
           [](uv_handle_t* closed) { delete reinterpret_cast<uv_tcp_t*>(closed); });
}

void on_connection(uv_stream_t* listener, int status) {
  if (status < 0) return;
  auto* connection = new uv_tcp_t;
  check(uv_tcp_init(listener->loop, connection), "uv_tcp_init");
  auto* stream = reinterpret_cast<uv_stream_t*>(connection);
  check(uv_accept(listener, stream), "uv_accept");
  check(uv_read_start(stream, lend_piece, on_asked), "uv_read_start");
  ++connections;
  for (Run& run : runs) {
    if (run.open_handles == 0) start(run);
  }
}

}  // namespace

int main(int argc, char** argv) {
  check(argc == 2 ? 0 : UV_EINVAL, "how many bytes are to be held?");
  const cleave::bench::HeldMemory memory(argv[1]);
  std::signal(SIGPIPE, SIG_IGN);
  uv_loop_t* loop = uv_default_loop();
  uv_tcp_t listener;
  check(uv_tcp_init(loop, &listener), "uv_tcp_init");
  sockaddr_in address{};
  check(uv_ip4_addr("127.0.0.1", 0, &address), "uv_ip4_addr");
  check(uv_tcp_bind(&listener, reinterpret_cast<sockaddr*>(&address), 0), "uv_tcp_bind");
  check(uv_listen(reinterpret_cast<uv_stream_t*>(&listener), SOMAXCONN, on_connection),
        "uv_listen");
  int size = sizeof address;
  check(uv_tcp_getsockname(&listener, reinterpret_cast<sockaddr*>(&address), &size), "name");
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  uv_run(loop, UV_RUN_DEFAULT);
}
