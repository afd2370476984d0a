// SPDX-License-Identifier: MIT
// Serves one request of its own client, and ends with 0 if the reply is right.
#include <cstdio>

#include "cleave/core/client.h"
#include "cleave/core/server.h"
#include "cleave/handlers/echo.h"

int main() {
  auto loop = cleave::Loop::create().value();
  cleave::Router router;
  cleave::add_echo(router);
  cleave::Server server(*loop, router);
  const std::string url = server.listen("tcp://127.0.0.1:0").value();

  std::unique_ptr<cleave::Client> client;
  std::string reply;
  const auto connected = [&](cleave::Result<std::unique_ptr<cleave::Client>> made) {
    client = std::move(made).value();
    client->call({.cmd = "echo", .body = cleave::Buffer::copy_of("embedded")},
                 [&](cleave::Result<cleave::Answer> answer) {
                   reply = std::move(answer).value().body;
                   loop->stop();
                 });
  };
  cleave::Client::connect(*loop, url, {}, connected);
  loop->run();
  std::printf("%s\n", reply.c_str());
  return reply == "embedded" ? 0 : 1;
}
