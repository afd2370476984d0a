// SPDX-License-Identifier: MIT
// The limits that file transfers are compared with: what the system's calls alone cost, with
// nothing around them. One request after another, each in blocking calls; a file is received under
// another name and takes its own at the end, as a server's must.
//
//     bench_file_limits DIR     prints its port on 127.0.0.1 and serves until it is killed
//
//   put           recv and write by 1 MiB
//   synced put    the same, and fsync of the file, rename, fsync of the directory
//   get           one pread and one send for a small file, sendfile by 1 MiB for another
//   md5           OpenSSL's digest of 1 MiB over and over: no file, and nothing is received
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "cleave/bench/raw_request.h"

namespace {

using cleave::bench::kRawFailed;
using cleave::bench::RawRequest;

constexpr std::size_t kPieceBytes = 1024 * 1024;
// Up to here one copy is cheaper than a second call.
constexpr std::size_t kSmallBytes = 32 * 1024;

alignas(4096) std::array<char, kPieceBytes> piece;

void check(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

// The functions below say false when the connection is over.

bool receive_all(int socket, void* to, std::size_t size) {
  return ::recv(socket, to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
}
bool send_all(int socket, const void* from, std::size_t size, int flags = 0) {
  return ::send(socket, from, size, flags | MSG_NOSIGNAL) == static_cast<ssize_t>(size);
}

std::string name_of(const RawRequest& request) {
  return "f" + std::to_string(request.number);
}

bool put(int socket, const RawRequest& request, int directory) {
  const std::string name = name_of(request);
  const std::string temporary = "." + name;
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  check(file >= 0, "open");
  for (std::uint64_t left = request.size; left > 0;) {
    const ssize_t came =
        ::recv(socket, piece.data(), std::min<std::uint64_t>(left, piece.size()), 0);
    if (came <= 0) return false;
    check(::write(file, piece.data(), static_cast<std::size_t>(came)) == came, "write");
    left -= static_cast<std::uint64_t>(came);
  }
  const bool synced = request.work == RawRequest::Work::synced_put;
  if (synced) check(::fsync(file) == 0, "fsync");
  ::close(file);
  check(::rename(temporary.c_str(), name.c_str()) == 0, "rename");
  if (synced) check(::fsync(directory) == 0, "fsync of the directory");
  const std::uint64_t reply = 0;
  return send_all(socket, &reply, sizeof reply);
}

bool get(int socket, const RawRequest& request) {
  const int file = ::open(name_of(request).c_str(), O_RDONLY | O_CLOEXEC);
  const std::uint64_t size = file < 0 ? kRawFailed : request.size;
  if (file < 0) return send_all(socket, &size, sizeof size);
  bool good = true;
  if (size <= kSmallBytes) {
    std::memcpy(piece.data(), &size, sizeof size);
    check(::pread(file, piece.data() + sizeof size, size, 0) == static_cast<ssize_t>(size), "read");
    good = send_all(socket, piece.data(), sizeof size + size);
  } else {
    good = send_all(socket, &size, sizeof size, MSG_MORE);
    for (std::uint64_t left = size; good && left > 0;) {
      const ssize_t sent =
          ::sendfile(socket, file, nullptr, std::min<std::uint64_t>(left, kPieceBytes));
      good = sent > 0;
      left -= good ? static_cast<std::uint64_t>(sent) : 0;
    }
  }
  ::close(file);
  return good;
}

bool md5(int socket, const RawRequest& request) {
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  EVP_DigestInit_ex(digest, EVP_md5(), nullptr);
  for (std::uint64_t left = request.size; left > 0;) {
    const auto part = std::min<std::uint64_t>(left, piece.size());
    EVP_DigestUpdate(digest, piece.data(), part);
    left -= part;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  EVP_DigestFinal_ex(digest, value.data(), nullptr);
  EVP_MD_CTX_free(digest);
  const std::uint64_t reply = 0;
  return send_all(socket, &reply, sizeof reply);
}

bool serve(int socket, int directory) {
  RawRequest request{};
  if (!receive_all(socket, &request, sizeof request)) return false;
  switch (request.work) {
    case RawRequest::Work::put:
    case RawRequest::Work::synced_put:
      return put(socket, request, directory);
    case RawRequest::Work::get:
      return get(socket, request);
    case RawRequest::Work::md5:
      return md5(socket, request);
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  check(argc == 2 && ::chdir(argv[1]) == 0, "a directory is needed");
  const int directory = ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check(directory >= 0, "the directory");
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  check(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  check(::listen(listener, SOMAXCONN) == 0, "listen");
  check(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0, "name");
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);

  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const auto watch = [epoll](int socket) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = socket}};
    check(::epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event) == 0, "epoll_ctl");
  };
  watch(listener);
  std::array<epoll_event, 64> events{};
  for (;;) {
    const int ready = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < ready; ++i) {
      const int socket = events[static_cast<std::size_t>(i)].data.fd;
      if (socket != listener) {
        if (!serve(socket, directory)) ::close(socket);
        continue;
      }
      const int accepted = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (accepted < 0) continue;
      const int on = 1;
      check(::setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
      watch(accepted);
    }
  }
}
