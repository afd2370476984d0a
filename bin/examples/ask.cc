// SPDX-License-Identifier: MIT
// A tool without a loop: has a text put into capitals, and a file stored and fetched back. Each
// call returns when it is done. Usage: ask URL TEXT [FILE]
#include <cstdio>

#include "cleave/core/blocking_client.h"
#include "cleave/handlers/file_client.h"

using namespace cleave;

namespace {

int complain(const Error& error) {
  std::fprintf(stderr, "ask: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) return complain({Errc::invalid_argument, "usage: ask URL TEXT [FILE]"});
  const char* url = argv[1];
  const char* text = argv[2];

  auto client = BlockingClient::connect(url);
  if (!client) return complain(client.error());
  auto answer = client->call({.cmd = "upper",
                              .body = Buffer::copy_of(text),
                              .timeout = Millis(5'000),
                              .idempotent = true});
  if (!answer) return complain(answer.error());
  std::puts(answer->body.c_str());

  std::uint64_t bytes = 0;
  auto header = client->call({.cmd = "help"}, [&bytes](std::string_view piece) {
    bytes += piece.size();
    return true;  // false ends the call
  });
  if (!header) return complain(header.error());
  std::printf("its help has %llu bytes\n", static_cast<unsigned long long>(bytes));

  if (argc == 3) return 0;
  const std::string file = argv[3];
  auto put = put_file(*client, file, "copies/latest");
  if (!put) return complain(put.error());
  auto got = get_file(*client, "copies/latest", file + ".back");
  if (!got) return complain(got.error());
  std::printf("%llu bytes with xxh3 %s\n", static_cast<unsigned long long>(got->size),
              got->xxh3.c_str());
  return 0;
}
