// SPDX-License-Identifier: MIT
#include "cleave/bin/commands.h"

#include <utility>

#include "cleave/handlers/echo.h"
#include "cleave/handlers/exec.h"
#include "cleave/handlers/file_store.h"
#include "cleave/handlers/introspection.h"
#include "cleave/handlers/store_commands.h"
#include "cleave/handlers/upper.h"

namespace cleave {
inline namespace v0 {

Result<void> add_commands(Router& router, Loop& loop, const Config& config, const Metrics& metrics,
                          std::function<Limits()> limits) {
  Result<std::shared_ptr<const FileStore>> store = FileStore::open(config.root);
  if (!store) return fail(store.error());
  add_echo(router);
  add_upper(router);
  add_exec(router, loop, config.exec);
  add_store(router, loop, *std::move(store));
  add_introspection(router, loop, metrics,
                    [limits = std::move(limits), exec = config.exec](Members& into) {
                      write_limits(into, limit_table(), limits());
                      write_limits(into, exec_limit_table(), exec);
                    });
  return {};
}

}  // namespace v0
}  // namespace cleave
