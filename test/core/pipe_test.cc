// SPDX-License-Identifier: MIT
#include "cleave/core/pipe.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <string>

using namespace cleave;

namespace {

std::unique_ptr<Loop> make_loop() {
  auto loop = Loop::create();
  REQUIRE(loop.has_value());
  return std::move(*loop);
}

struct Ends {
  Fd read;
  Fd write;
};

Ends open_pipe(int flags) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC | flags) == 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

Ends open_socket() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) == 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

Ends open_terminal() {
  Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  REQUIRE(::grantpt(master.get()) == 0);
  REQUIRE(::unlockpt(master.get()) == 0);
  std::array<char, 64> name{};
  REQUIRE(::ptsname_r(master.get(), name.data(), name.size()) == 0);
  Fd slave(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  REQUIRE(slave);
  return {std::move(slave), std::move(master)};
}

// Reads to the end, by turns of the loop.
std::string read_all(Loop& loop, Fd fd) {
  std::string result;
  std::optional<PipeReader> reader;
  std::array<char, 5'000> space;
  const auto read_on = [&] {
    for (;;) {
      const std::optional<std::size_t> count = reader->read(space);
      if (!count.has_value()) return;
      if (*count == 0) return reader.reset();
      result.append(space.data(), *count);
    }
  };
  auto made = PipeReader::create(loop, std::move(fd), read_on);
  REQUIRE(made.has_value());
  reader = std::move(*made);
  read_on();
  loop.run();
  return result;
}

// Writes everything and closes, by turns of the loop. To be kept until then.
class WholeWriter {
 public:
  WholeWriter(Loop& loop, Fd fd, std::string bytes) : bytes_(std::move(bytes)) {
    auto made = PipeWriter::create(loop, std::move(fd), [this] { go_on(); });
    REQUIRE(made.has_value());
    writer_ = std::move(*made);
    go_on();
  }
  PipeWriter::Outcome outcome() const { return outcome_; }
  int would_blocks() const { return would_blocks_; }

 private:
  void go_on() {
    const PipeWriter::Written written = writer_->write(bytes_);
    bytes_.erase(0, written.bytes);
    outcome_ = written.outcome;
    if (outcome_ == PipeWriter::Outcome::would_block) {
      ++would_blocks_;
    } else {
      writer_.reset();
    }
  }

  std::string bytes_;
  std::optional<PipeWriter> writer_;
  PipeWriter::Outcome outcome_{};
  int would_blocks_ = 0;
};

std::string many_bytes() {
  std::string bytes(1'000'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 / 7);
  return bytes;
}

}  // namespace

TEST_CASE("more than a pipe holds is written and read whole, by turns") {
  auto loop = make_loop();
  Ends ends;
  SUBCASE("a non-blocking pipe") {
    ends = open_pipe(O_NONBLOCK);
  }
  SUBCASE("a blocking pipe") {
    ends = open_pipe(0);
  }
  SUBCASE("a socket") {
    ends = open_socket();
  }
  const std::string bytes = many_bytes();
  const WholeWriter writer(*loop, std::move(ends.write), bytes);
  CHECK(writer.outcome() == PipeWriter::Outcome::would_block);
  const std::string read = read_all(*loop, std::move(ends.read));
  CHECK((read == bytes));
  CHECK(writer.outcome() == PipeWriter::Outcome::done);
  CHECK(writer.would_blocks() >= 1);
}

TEST_CASE("a terminal is read line by line, and stays as it was found") {
  auto loop = make_loop();
  const Ends ends = open_terminal();
  const Fd other_user(::fcntl(ends.read.get(), F_DUPFD_CLOEXEC, 0));
  std::array<char, 100> space{};
  int calls = 0;
  auto reader =
      PipeReader::create(*loop, Fd(::fcntl(ends.read.get(), F_DUPFD_CLOEXEC, 0)), [&] { ++calls; });
  REQUIRE(reader.has_value());
  CHECK((::fcntl(other_user.get(), F_GETFL) & O_NONBLOCK) == 0);
  CHECK_FALSE(reader->read(space).has_value());
  REQUIRE(::write(ends.write.get(), "upper\n", 6) == 6);
  CHECK(loop->step_waiting() == false);
  CHECK(calls == 1);
  CHECK(reader->read(space) == 6);
  CHECK_FALSE(reader->read(space).has_value());
  CHECK(loop->step());
  CHECK(calls == 1);
}

TEST_CASE("what epoll does not know is read plainly to its end") {
  auto loop = make_loop();
  CHECK(read_all(*loop, Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))).empty());
  const Fd file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  REQUIRE(file);
  REQUIRE(::write(file.get(), "kept in a file", 14) == 14);
  REQUIRE(::lseek(file.get(), 0, SEEK_SET) == 0);
  CHECK(read_all(*loop, Fd(::dup(file.get()))) == "kept in a file");
}

TEST_CASE("what epoll does not know is written plainly") {
  auto loop = make_loop();
  const WholeWriter writer(*loop, Fd(::open("/dev/null", O_WRONLY | O_CLOEXEC)), many_bytes());
  CHECK(writer.outcome() == PipeWriter::Outcome::done);
}

TEST_CASE("a pipe without writers has ended") {
  auto loop = make_loop();
  Ends ends = open_pipe(O_NONBLOCK);
  SUBCASE("before it is read") {
    ends.write.reset();
  }
  SUBCASE("while it is waited for") {
    loop->post([&] { ends.write.reset(); });
  }
  CHECK(read_all(*loop, std::move(ends.read)).empty());
}

TEST_CASE("a reader that has gone is told by the write, and by no signal") {
  auto loop = make_loop();
  int flags = 0;
  SUBCASE("a non-blocking pipe") {
    flags = O_NONBLOCK;
  }
  SUBCASE("a blocking pipe") {}
  Ends ends = open_pipe(flags);
  ends.read.reset();
  const WholeWriter writer(*loop, std::move(ends.write), "x");
  CHECK(writer.outcome() == PipeWriter::Outcome::gone);
}

TEST_CASE("a reader that goes while a writer waits for it wakes the writer") {
  auto loop = make_loop();
  Ends ends = open_pipe(O_NONBLOCK);
  const WholeWriter writer(*loop, std::move(ends.write), many_bytes());
  CHECK(writer.outcome() == PipeWriter::Outcome::would_block);
  ends.read.reset();
  loop->run();
  CHECK(writer.outcome() == PipeWriter::Outcome::gone);
}

TEST_CASE("a descriptor that is none is refused") {
  auto loop = make_loop();
  const auto reader = PipeReader::create(*loop, Fd(), [] {});
  REQUIRE_FALSE(reader.has_value());
  CHECK(reader.error().code == Errc::io_error);
}
