// SPDX-License-Identifier: MIT
// Sends back what comes, on libuv and nothing else: the yardstick of the report, and as good as
// libuv allows. All connections read into one buffer of 256 KiB; uv_try_write sends from it at
// once; what is not taken is copied into a block that is used again, and goes by one uv_write,
// during which nothing more is read. It knows no frames, so whoever has them is compared with less
// work than he must do. It stays as it is while Cleave is tuned.
//
//     bench_libuv_echo        prints its port on 127.0.0.1 and serves until it is killed
#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;

void check(int status, const char* what) {
  if (status >= 0) return;
  std::fprintf(stderr, "bench_libuv_echo: %s: %s\n", what, uv_strerror(status));
  std::exit(1);
}

std::array<char, kBufferBytes> buffer;

// What a connection did not take at once.
struct Rest {
  uv_write_t request;
  std::array<char, kBufferBytes> bytes;
};
// Those that wait to be used again: as many as were ever needed at once.
std::vector<std::unique_ptr<Rest>> idle_rests;

std::unique_ptr<Rest> take_rest() {
  if (idle_rests.empty()) return std::make_unique_for_overwrite<Rest>();
  std::unique_ptr<Rest> rest = std::move(idle_rests.back());
  idle_rests.pop_back();
  return rest;
}

void close(uv_stream_t* connection) {
  auto* handle = reinterpret_cast<uv_handle_t*>(connection);
  if (uv_is_closing(handle) != 0) return;
  uv_close(handle, [](uv_handle_t* closed) { delete reinterpret_cast<uv_tcp_t*>(closed); });
}

void lend_buffer(uv_handle_t*, std::size_t, uv_buf_t* lent) {
  *lent = uv_buf_init(buffer.data(), buffer.size());
}

void on_read(uv_stream_t* connection, ssize_t came, const uv_buf_t*);

void on_rest_written(uv_write_t* request, int status) {
  uv_stream_t* connection = request->handle;
  idle_rests.emplace_back(static_cast<Rest*>(request->data));
  if (status < 0) {
    close(connection);
  } else if (uv_is_closing(reinterpret_cast<uv_handle_t*>(connection)) == 0) {
    uv_read_start(connection, lend_buffer, on_read);
  }
}

void on_read(uv_stream_t* connection, ssize_t came, const uv_buf_t*) {
  if (came == 0) return;
  if (came < 0) {
    close(connection);
    return;
  }
  const uv_buf_t all = uv_buf_init(buffer.data(), static_cast<unsigned>(came));
  int sent = uv_try_write(connection, &all, 1);
  if (sent == came) return;
  if (sent == UV_EAGAIN) sent = 0;
  if (sent < 0) {
    close(connection);
    return;
  }
  uv_read_stop(connection);
  Rest* rest = take_rest().release();  // comes back in on_rest_written
  rest->request.data = rest;
  const uv_buf_t left = uv_buf_init(rest->bytes.data(), static_cast<unsigned>(came - sent));
  std::memcpy(left.base, buffer.data() + sent, left.len);
  check(uv_write(&rest->request, connection, &left, 1, on_rest_written), "uv_write");
}

void on_connection(uv_stream_t* listener, int status) {
  if (status < 0) return;
  auto* connection = new uv_tcp_t;
  check(uv_tcp_init(listener->loop, connection), "uv_tcp_init");
  auto* stream = reinterpret_cast<uv_stream_t*>(connection);
  if (uv_accept(listener, stream) < 0) {
    close(stream);
    return;
  }
  uv_tcp_nodelay(connection, 1);
  uv_read_start(stream, lend_buffer, on_read);
}

}  // namespace

int main() {
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
