// SPDX-License-Identifier: MIT
#pragma once
// What the tests of the store's commands have in common.

#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cleave/handlers/store_commands.h"
#include "cleave/testing/live_server.h"
#include "cleave/testing/plain_client.h"
#include "cleave/testing/scratch_directory.h"

namespace cleave::testing {

// Lets a test wait for the ends of requests that nobody answers.
class Outcomes final : public Observer {
 public:
  struct Outcome {
    std::string cmd;
    std::optional<Errc> code;
    bool one_way;
  };

  void on_served(const Served& served) override {
    const std::lock_guard hold(mutex_);
    outcomes_.push_back({std::string(served.cmd), served.code, served.one_way});
    changed_.notify_all();
  }
  // The first `count` of them.
  std::vector<Outcome> wait_for(std::size_t count) {
    std::unique_lock hold(mutex_);
    const bool came = changed_.wait_for(hold, std::chrono::seconds(30),
                                        [&] { return outcomes_.size() >= count; });
    REQUIRE(came);
    return outcomes_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Outcome> outcomes_;
};

struct StoreServer {
  FileStoreOptions options = {};
  ScratchDirectory root = {};
  Outcomes outcomes = {};
  LiveServer server{[this](Router& router, Loop& loop) {
                      add_store(router, loop, FileStore::open(root.string(), options).value());
                    },
                    ServerOptions{.observer = &outcomes}};
  PlainClient client{server.port()};

  Frame ask(std::string_view cmd, std::string_view filename) {
    return client.ask(Members().set("cmd", cmd).set("filename", filename));
  }
  Frame put(std::string_view filename, std::string_view body) {
    return client.ask(put_of(filename), body);
  }
  static Members put_of(std::string_view filename) {
    return Members().set("cmd", "put").set("filename", filename);
  }
  [[nodiscard]] bool no_temporaries() const {
    const std::filesystem::path directory = root / Upload::kDirectory;
    return !std::filesystem::exists(directory) || std::filesystem::is_empty(directory);
  }
};

// For what is done in the server's pool and said to nobody.
inline bool comes_true(const std::function<bool()>& condition) {
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > patience) return false;
    std::this_thread::yield();
  }
  return true;
}

inline std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 1;
  for (char& byte : bytes) {
    state = state * 1'664'525 + 1'013'904'223;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

}  // namespace cleave::testing
