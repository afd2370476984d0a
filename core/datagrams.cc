// SPDX-License-Identifier: MIT
#include "cleave/core/datagrams.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <string>

namespace cleave {
inline namespace v0 {
namespace {

#ifdef __linux__
using Message = mmsghdr;
#else
struct Message {
  msghdr msg_hdr;
  unsigned int msg_len;
};
#endif

// What both directions have: the number of messages that were moved, or -1 with errno where not
// even the first one was.
using Move = int (*)(int fd, Message* messages, unsigned int count);

template <typename One>
int one_by_one(Message* messages, unsigned int count, One one) {
  for (unsigned int i = 0; i < count; ++i) {
    const ssize_t size = one(messages[i].msg_hdr);
    if (size < 0) return i == 0 ? -1 : static_cast<int>(i);
    messages[i].msg_len = static_cast<unsigned int>(size);
  }
  return static_cast<int>(count);
}

int receive_one_by_one(int fd, Message* messages, unsigned int count) {
  return one_by_one(messages, count, [fd](msghdr& header) { return ::recvmsg(fd, &header, 0); });
}
int send_one_by_one(int fd, Message* messages, unsigned int count) {
  return one_by_one(messages, count,
                    [fd](const msghdr& header) { return ::sendmsg(fd, &header, 0); });
}

#ifdef __linux__
int receive_together(int fd, Message* messages, unsigned int count) {
  return ::recvmmsg(fd, messages, count, 0, nullptr);
}
int send_together(int fd, Message* messages, unsigned int count) {
  return ::sendmmsg(fd, messages, count, 0);
}
#else
constexpr Move receive_together = receive_one_by_one;
constexpr Move send_together = send_one_by_one;
#endif

// ---- Which of our addresses was asked -----------------------------------------------------------

struct alignas(cmsghdr) Control {
  std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> bytes;
};

bool is_any(const SocketAddress& address) {
  if (address.family() == AF_INET) return address.storage.v4.sin_addr.s_addr == htonl(INADDR_ANY);
  return address.family() == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address.storage.v6.sin6_addr);
}

// A socket that is bound to every address is asked to tell which one a datagram came to: the answer
// has to leave from it, or a peer that is connected to it does not see it. False where the system
// cannot tell.
bool tell_destination([[maybe_unused]] int fd, const SocketAddress& bound) {
  [[maybe_unused]] const int on = 1;
#ifdef IPV6_RECVPKTINFO
  if (bound.family() == AF_INET6) {
    return ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) == 0;
  }
#endif
#ifdef IP_PKTINFO
  if (bound.family() == AF_INET) {
    return ::setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0;
  }
#endif
  return false;
}

// Leaves `to` as it is where nothing is told, or a group of hosts was asked.
void read_destination(msghdr& header, SocketAddress& to) {
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
#ifdef IPV6_RECVPKTINFO
    if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      if (!IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) to.storage.v6.sin6_addr = info.ipi6_addr;
    }
#endif
#ifdef IP_PKTINFO
    if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      to.storage.v4.sin_addr = info.ipi_spec_dst;
    }
#endif
  }
}

template <typename Info>
void put_control(msghdr& header, Control& control, int level, int type, const Info& info) {
  header.msg_control = control.bytes.data();
  header.msg_controllen = CMSG_SPACE(sizeof info);
  cmsghdr* const only = CMSG_FIRSTHDR(&header);
  only->cmsg_level = level;
  only->cmsg_type = type;
  only->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(only), &info, sizeof info);
}

// Which interface the answer takes is left to the system's routes.
void write_source(msghdr& header, [[maybe_unused]] Control& control, const SocketAddress& from) {
  header.msg_control = nullptr;
  header.msg_controllen = 0;
  if (is_any(from)) return;
#ifdef IPV6_RECVPKTINFO
  if (from.family() == AF_INET6) {
    in6_pktinfo info{};
    info.ipi6_addr = from.storage.v6.sin6_addr;
    return put_control(header, control, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
#endif
#ifdef IP_PKTINFO
  if (from.family() == AF_INET) {
    in_pktinfo info{};
    info.ipi_spec_dst = from.storage.v4.sin_addr;
    put_control(header, control, IPPROTO_IP, IP_PKTINFO, info);
  }
#endif
}

// The memory of one datagram; the system gives a page of it when one is long enough to reach it.
constexpr std::size_t kSlotBytes = 65'536;
static_assert(Datagrams::kBytes <= kSlotBytes);

}  // namespace

struct Datagrams::Batch {
  explicit Batch(const SocketAddress& bound) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      incoming[i].to = bound;
      in_pieces[i] = {memory.get() + i * kSlotBytes, kBytes};
      in[i].msg_hdr.msg_iov = &in_pieces[i];
      in[i].msg_hdr.msg_iovlen = 1;
      in[i].msg_hdr.msg_name = incoming[i].from.any();
      out[i].msg_hdr.msg_iov = &out_pieces[i];
      out[i].msg_hdr.msg_iovlen = 1;
    }
  }

  std::unique_ptr<char[]> memory = std::make_unique_for_overwrite<char[]>(kBatch * kSlotBytes);
  std::array<Incoming, kBatch> incoming{};
  std::array<Message, kBatch> in{};
  std::array<iovec, kBatch> in_pieces{};
  std::array<Control, kBatch> in_controls{};

  std::size_t answers = 0;
  std::string bytes;                           // of all answers, one behind the other
  std::array<std::size_t, kBatch> answered{};  // the index of what each of them answers
  std::array<Message, kBatch> out{};
  std::array<iovec, kBatch> out_pieces{};  // until they are sent, only their sizes are right
  std::array<Control, kBatch> out_controls{};
  std::array<std::size_t, kBatch> unsent{};
};

Datagrams::Datagrams(int fd, const SocketAddress& bound, bool portable)
    : fd_(fd),
      bound_(bound),
      portable_(portable),
      tells_destination_(is_any(bound) && tell_destination(fd, bound)),
      batch_(std::make_unique<Batch>(bound)) {}

Datagrams::~Datagrams() = default;

Result<std::span<const Datagrams::Incoming>> Datagrams::receive(std::size_t most) {
  assert(most <= kBatch);
  Batch& batch = *batch_;
  batch.answers = 0;
  batch.bytes.clear();
  for (std::size_t i = 0; i < most; ++i) {
    msghdr& header = batch.in[i].msg_hdr;
    header.msg_namelen = sizeof batch.incoming[i].from.storage;
    if (!tells_destination_) continue;
    header.msg_control = batch.in_controls[i].bytes.data();
    header.msg_controllen = sizeof batch.in_controls[i].bytes;
  }
  const Move receive_them = portable_ ? receive_one_by_one : receive_together;
  int count = -1;
  do {
    count = receive_them(fd_, batch.in.data(), static_cast<unsigned int>(most));
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::span<const Incoming>();
    return fail(Errc::io_error, std::string("cannot receive: ") + std::strerror(errno));
  }
  const auto received = static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < received; ++i) {
    Incoming& incoming = batch.incoming[i];
    msghdr& header = batch.in[i].msg_hdr;
    incoming.bytes = {static_cast<const char*>(batch.in_pieces[i].iov_base), batch.in[i].msg_len};
    incoming.truncated = (header.msg_flags & MSG_TRUNC) != 0;
    if (!tells_destination_) continue;
    incoming.to = bound_;
    read_destination(header, incoming.to);
  }
  return std::span<const Incoming>(batch.incoming).first(received);
}

void Datagrams::answer(std::size_t index, std::string_view head, std::string_view body) {
  Batch& batch = *batch_;
  assert(batch.answers < kBatch);
  batch.answered[batch.answers] = index;
  batch.out_pieces[batch.answers].iov_len = head.size() + body.size();
  batch.bytes.append(head).append(body);
  ++batch.answers;
}

std::span<const std::size_t> Datagrams::send() {
  Batch& batch = *batch_;
  std::size_t offset = 0;
  for (std::size_t i = 0; i < batch.answers; ++i) {
    const std::size_t asked = batch.answered[i];
    msghdr& header = batch.out[i].msg_hdr;
    header.msg_name = batch.in[asked].msg_hdr.msg_name;
    header.msg_namelen = batch.in[asked].msg_hdr.msg_namelen;
    batch.out_pieces[i].iov_base = batch.bytes.data() + offset;
    offset += batch.out_pieces[i].iov_len;
    if (tells_destination_) {
      write_source(header, batch.out_controls[i], batch.incoming[asked].to);
    }
  }
  const Move send_them = portable_ ? send_one_by_one : send_together;
  std::size_t unsent = 0;
  bool again = false;
  for (std::size_t at = 0; at < batch.answers;) {
    const int sent = send_them(fd_, &batch.out[at], static_cast<unsigned int>(batch.answers - at));
    if (sent > 0) {
      at += static_cast<std::size_t>(sent);
      again = false;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      while (at < batch.answers) batch.unsent[unsent++] = batch.answered[at++];
    } else if (!again) {
      again = true;  // the error may be that of an earlier answer
    } else {
      batch.unsent[unsent++] = batch.answered[at++];
      again = false;
    }
  }
  batch.answers = 0;
  batch.bytes.clear();
  return std::span<const std::size_t>(batch.unsent).first(unsent);
}

void Datagrams::forget_errors() noexcept {
  int error = 0;
  socklen_t size = sizeof error;
  (void)::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
#ifdef MSG_ERRQUEUE
  msghdr nothing{};
  while (::recvmsg(fd_, &nothing, MSG_ERRQUEUE) >= 0) nothing = {};
#endif
}

}  // namespace v0
}  // namespace cleave
