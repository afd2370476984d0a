// SPDX-License-Identifier: MIT
// Any request at all: what has no command of its own, and what servers of other people offer.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "cleave/bin/client/file_source.h"
#include "cleave/bin/client/invocation.h"
#include "cleave/bin/client/standard_input.h"
#include "cleave/bin/client/text.h"
#include "cleave/bin/client/writer.h"

namespace cleave::cli {
namespace {

class Printing final : public Sink {
 public:
  explicit Printing(Session& session)
      : session_(session),
        writer_(session.loop(), standard_descriptor(STDOUT_FILENO), "standard output",
                [&session] { session.cancel(); }) {}
  void on_body(Buffer bytes) override { writer_.write(std::move(bytes)); }
  std::optional<Error> finish() {
    session_.wait_until([this] { return writer_.idle(); });
    return writer_.error();
  }

 private:
  Session& session_;
  Writer writer_;
};

// True for text that is one JSON value by itself.
bool is_json(const std::string& text) {
  HeaderParser parser;
  const std::string object = R"({"value":)" + text + "}";
  if (object.size() > parser.limits().header_bytes) return false;
  const auto header = parser.parse(object);
  // One member, or the text has closed the object and begun another member.
  return header && (*header)->root().size() == 1;
}

// `name=value`: a value that is JSON is sent as it is, any other as a string.
Result<void> add_member(Members& members, const std::string& text, std::set<std::string>& seen) {
  constexpr std::array<std::string_view, 5> kReserved = {"cmd", "id", "data_size", "more",
                                                         "timeout_ms"};
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (equals == std::string::npos || name.empty() || !std::ranges::all_of(name, is_plain)) {
    return fail(Errc::invalid_argument, "--header takes NAME=VALUE, not '" + text + "'");
  }
  if (std::ranges::find(kReserved, name) != kReserved.end()) {
    return fail(Errc::invalid_argument, "the member '" + name + "' is set by cleave itself");
  }
  if (!seen.insert(name).second) {
    return fail(Errc::invalid_argument, "the member '" + name + "' is given twice");
  }
  const std::string value = text.substr(equals + 1);
  if (is_json(value)) {
    members.set_raw(name, value);
  } else {
    members.set(name, value);
  }
  return {};
}

}  // namespace

int run_call(Invocation& invocation) {
  std::string cmd;
  std::vector<std::string> headers;
  std::string path;
  auto& app = invocation.app();
  app.add_option("CMD", cmd, "The command")->required();
  app.add_option("--header", headers, "A member of the request; JSON, or else a string")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  auto* body = app.add_option("--body", path, "The body; - is standard input")->type_name("FILE");
  if (auto status = invocation.parse()) return *status;

  Session& session = invocation.session;
  Call call{.cmd = cmd};
  std::set<std::string> seen;
  for (const std::string& header : headers) {
    if (auto added = add_member(call.members, header, seen); !added) {
      return invocation.usage_error(added.error().message);
    }
  }
  if (path == "-" && invocation.settings.interactive) {
    return invocation.usage_error("standard input is the prompt's");
  }
  if (path == "-") {
    auto input = StandardInput::open(session.loop());
    if (!input) return report_status(input.error());
    call.body = std::shared_ptr<Source>(std::move(*input));
  } else if (!body->empty()) {
    auto file = FileSource::open(session.loop(), path);
    if (!file) return report_status(file.error());
    call.body = std::shared_ptr<Source>(std::move(*file));
  }
  Printing printing(session);
  const Outcome outcome = session.run(invocation.settings, std::move(call), printing);
  const std::optional<Error> not_written = printing.finish();
  if (!outcome.result) return report_status(outcome.result.error());
  if (not_written) return report_status(*not_written);
  // The body is the result; what stands beside it does not mix with it.
  if (!invocation.settings.quiet) {
    std::fprintf(stderr, "%s\n", results_json(*outcome.header).c_str());
  }
  return kOk;
}

}  // namespace cleave::cli
