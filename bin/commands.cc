// SPDX-License-Identifier: MIT
#include "cleave/bin/commands.h"

#include <utility>

#include "cleave/core/server.h"
#include "cleave/handlers/echo.h"
#include "cleave/handlers/exec.h"
#include "cleave/handlers/file_store.h"
#include "cleave/handlers/introspection.h"
#include "cleave/handlers/store_commands.h"
#include "cleave/handlers/upper.h"

namespace cleave {
inline namespace v0 {

namespace {

void add_all(Router& router, Loop& loop, const Config& config, const Metrics& metrics,
             std::function<Limits()> limits, std::shared_ptr<const FileStore> store) {
  add_echo(router);
  add_upper(router);
  add_exec(router, loop, config.exec);
  add_store(router, loop, std::move(store));
  add_introspection(
      router, loop, metrics,
      [limits = std::move(limits), exec = config.exec, files = config.store.limits](Members& into) {
        write_limits(into, limit_table(), limits());
        write_limits(into, exec_limit_table(), exec);
        write_limits(into, store_limit_table(), files);
      });
}

}  // namespace

Result<std::shared_ptr<const FileStore>> add_commands(Router& router, Loop& loop,
                                                      const Config& config, const Metrics& metrics,
                                                      std::function<Limits()> limits) {
  Result<std::shared_ptr<const FileStore>> store = FileStore::open(config.root, config.store);
  if (!store) return fail(store.error());
  add_all(router, loop, config, metrics, std::move(limits), *store);
  return store;
}

Result<void> check_offers(const Config& config) {
  Result<std::unique_ptr<Loop>> loop = Loop::create();
  if (!loop) return fail(loop.error());
  const Metrics metrics;
  Router router;
  add_all(
      router, **loop, config, metrics, [] { return Limits(); }, nullptr);
  const Server server(**loop, router);
  for (const std::string& url : config.listen) {
    Result<void> checked = Endpoint::parse(url).and_then(
        [&server](const Endpoint& endpoint) { return server.check(endpoint); });
    if (!checked) return checked;
  }
  return {};
}

}  // namespace v0
}  // namespace cleave
