// SPDX-License-Identifier: MIT
// A key-value store in memory, whose values may end by themselves. Each value that has a time has a
// Timer with it, and is gone with it; what all of them take has a limit.
//
//     $ build/bin/example_kv &
//     listening on tcp://127.0.0.1:8080?wire=frame
//     $ printf 'measure twice' | cleave call set --header key=motto --header ttl_ms=60000 --body -
//     {}
//     $ cleave call get --header key=motto
//     measure twice{}
//     $ cleave call unset --header key=motto
//     {"removed":true}
#include <cstdio>
#include <map>

#include "cleave/core/server.h"

using namespace cleave;

namespace {

constexpr std::uint64_t kBytes = 64 * 1024 * 1024;  // of all keys and values together
constexpr std::int64_t kLongestTtl = std::int64_t{365} * 24 * 3'600'000;

class Store {
 public:
  explicit Store(Loop& loop) : loop_(loop) {}

  Result<Reply> set(const std::string& key, std::string_view value, std::optional<Millis> ttl) {
    const auto old = values_.find(key);
    const std::uint64_t freed = old == values_.end() ? 0 : key.size() + old->second.text.size();
    if (bytes_ - freed + key.size() + value.size() > kBytes) {
      return fail(Errc::quota_exceeded, "the store has " + std::to_string(bytes_) +
                                            " bytes, and may have " + std::to_string(kBytes));
    }
    (void)unset(key);
    Value& made = values_[key];
    made.text = value;
    bytes_ += key.size() + value.size();
    if (ttl) {
      made.end.emplace(loop_, [this, key] { (void)unset(std::string(key)); });
      made.end->start(*ttl);
    }
    return Reply{};
  }
  Result<Reply> get(const std::string& key) const {
    const auto at = values_.find(key);
    if (at == values_.end()) return fail(Errc::not_found, "there is no value under '" + key + "'");
    return Reply::text(at->second.text);
  }
  bool unset(const std::string& key) {
    const auto at = values_.find(key);
    if (at == values_.end()) return false;
    bytes_ -= key.size() + at->second.text.size();
    values_.erase(at);
    return true;
  }

 private:
  struct Value {
    std::string text;
    std::optional<Timer> end;
  };
  Loop& loop_;
  std::map<std::string, Value> values_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  auto loop = Loop::create().value();
  Store store(*loop);
  Router router;
  Argument key{.name = "key", .summary = "its name", .required = true, .min = 1, .max = 250};
  Argument ttl{.name = "ttl_ms", .type = Argument::Type::integer, .min = 1, .max = kLongestTtl};
  ttl.summary = "how long it lasts";
  const auto key_of = [](const Request& request) { return std::string(*request.string("key")); };
  router.add("set", {.summary = "keeps the body as a value", .arguments = {key, ttl}},
             collected([&](const Request& request, std::string_view body) -> Result<Reply> {
               const auto lasts = request.integer_or("ttl_ms", 1, kLongestTtl, 0).value();
               return store.set(key_of(request), body,
                                lasts > 0 ? std::optional(Millis(lasts)) : std::nullopt);
             }));
  router.add("get", {.summary = "gives a value", .arguments = {key}},
             collected([&](const Request& request, std::string_view) -> Result<Reply> {
               return store.get(key_of(request));
             }));
  router.add("unset", {.summary = "forgets a value", .arguments = {key}},
             collected([&](const Request& request, std::string_view) -> Result<Reply> {
               return Reply{Members().set("removed", store.unset(key_of(request))), {}, {}};
             }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 1 ? argv[1] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "kv: %s\n", url.error().message.c_str()), 1;
  std::printf("listening on %s\n", url->c_str());
  std::fflush(stdout);
  loop->run();
}
