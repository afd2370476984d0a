// SPDX-License-Identifier: MIT
#include "cleave/handlers/store_commands.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "cleave/handlers/open_files.h"
#include "cleave/handlers/put_command.h"
#include "cleave/handlers/store_arguments.h"
#include "cleave/handlers/system_error.h"

namespace cleave {
inline namespace v0 {
namespace {

using Store = std::shared_ptr<const FileStore>;

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kListed = 1'000;
constexpr std::int64_t kListedMax = 10'000;

const Argument kFilename{
    .name = "filename", .summary = "its name: a relative path", .required = true};

// Runs `work` in the pool and answers with what `reply` makes of its result. A Reply may hold a
// Buffer, which belongs to the loop's thread, so it is made there.
template <typename Work, typename MakeReply>
void answer(Loop& loop, ReplyToken token, Work work, MakeReply reply) {
  loop.offload(
      std::move(work),
      [token = std::move(token), reply = std::move(reply)](auto outcome) mutable {
        if (!outcome) return std::move(token).fail(std::move(outcome.error()));
        std::move(token).send(reply(*std::move(outcome)));
      },
      Lane::disk);
}

// For work that gives nothing: an empty result, as a pool's work has to give one.
struct Nothing {};
Result<Nothing> to_result(Result<void> result) {
  if (!result) return fail(std::move(result.error()));
  return Nothing{};
}
Reply no_results(Nothing /*nothing*/) {
  return {};
}

Members status_members(const FileStatus& status) {
  Members members;
  members.set("file_size", status.size).set("mtime_ms", status.mtime_ms);
  return members;
}

// ---- get

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t length = std::numeric_limits<std::uint64_t>::max();
};

// So much is read where the file is opened, and leaves with the reply's head in one call: for 4 KiB
// that costs half of what the detour by sendfile does, and from 16 KiB on it is no better.
constexpr std::uint64_t kReadAtOnce = 16 * 1024;

// The file, and how much of it is to be sent; `bytes` where that was read already.
struct Part {
  OpenedFile file;
  Range range;
  std::string bytes = {};
};

Result<std::string> read_range(const OpenedFile& file, const FileName& name, Range range) {
  std::string bytes(static_cast<std::size_t>(range.length), '\0');
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t count = ::pread(file.file->get(), bytes.data() + at, bytes.size() - at,
                                  static_cast<off_t>(range.offset + at));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(system_error(errno, "'" + name.text() + "'"));
    if (count == 0) {
      return fail(Errc::io_error, "'" + name.text() + "' became shorter while it was read");
    }
    at += static_cast<std::size_t>(count);
  }
  return bytes;
}

Result<Part> open_part(const FileStore& store, const FileName& name, Range range) {
  Result<OpenedFile> file = store.open_file(name);
  if (!file) return fail(std::move(file.error()));
  const std::uint64_t size = file->status.size;
  if (range.offset > size) {
    return fail(Errc::invalid_argument, "'offset' is " + std::to_string(range.offset) +
                                            ", and the file has " + std::to_string(size) +
                                            " bytes");
  }
  range.length = std::min(range.length, size - range.offset);
  Part part{*std::move(file), range};
  if (range.length > kReadAtOnce) return part;
  Result<std::string> bytes = read_range(part.file, name, range);
  if (!bytes) return fail(std::move(bytes.error()));
  part.bytes = *std::move(bytes);
  part.file.file.reset();
  return part;
}

// `place` is taken until the file was sent.
Reply part_reply(Part part, std::shared_ptr<void> place) {
  Reply reply{.members = status_members(part.file.status)};
  if (part.file.xxh3) reply.members.set("xxh3", *part.file.xxh3);
  if (!part.file.file) {
    reply.body = Buffer::own(std::move(part.bytes));
  } else {
    struct Placed {
      std::shared_ptr<void> place;
      SharedFd file;
    };
    const auto placed =
        std::make_shared<const Placed>(Placed{std::move(place), std::move(part.file.file)});
    reply.body =
        FileRange{SharedFd(placed, placed->file.get()), part.range.offset, part.range.length};
  }
  return reply;
}

void get(Loop& loop, const Store& store, OpenFiles& open_files, const Request& request,
         ReplyToken token) {
  Result<FileName> name = name_argument(request, "filename");
  if (!name) return std::move(token).fail(std::move(name.error()));
  Range range;
  range.offset = static_cast<std::uint64_t>(*request.integer_or("offset", 0, kNoLimit, 0));
  range.length = static_cast<std::uint64_t>(*request.integer_or("length", 0, kNoLimit, kNoLimit));
  Result<std::shared_ptr<void>> place = open_files.take(request.peer());
  if (!place) return std::move(token).fail(std::move(place.error()));
  answer(
      loop, std::move(token),
      [store, name = *std::move(name), range] { return open_part(*store, name, range); },
      [place = *std::move(place)](Part part) { return part_reply(std::move(part), place); });
}

// ---- list

// The page as lines of JSON.
// A page ends here, however many entries were asked for: it is held until it is sent, and a peer
// may ask for many pages at once and read none.
constexpr std::size_t kListedBytes = 256 * 1024;

Reply page_reply(const DirectoryPage& page) {
  Reply reply;
  std::string lines;
  std::string last;
  std::optional<std::string> next = page.next;
  for (const DirectoryPage::Entry& entry : page.entries) {
    if (lines.size() >= kListedBytes) {
      next = last;
      break;
    }
    last = entry.name;
    Members line;
    line.set("name", entry.name)
        .set("type", to_string(entry.status.type))
        .set("file_size", entry.status.size)
        .set("mtime_ms", entry.status.mtime_ms);
    lines += line.object();
    lines += '\n';
  }
  if (next) reply.members.set("next", *next);
  reply.body = Buffer::own(std::move(lines));
  return reply;
}

void list(Loop& loop, const Store& store, const Request& request, ReplyToken token) {
  std::optional<FileName> directory;
  if (request.has("filename")) {
    Result<FileName> name = name_argument(request, "filename");
    if (!name) return std::move(token).fail(std::move(name.error()));
    directory = *std::move(name);
  }
  const auto limit = static_cast<std::size_t>(*request.integer_or("limit", 1, kListedMax, kListed));
  answer(
      loop, std::move(token),
      [store, directory = std::move(directory),
       after = std::string(*request.string_or("after", "")),
       limit] { return store->list(directory, after, limit); },
      page_reply);
}

// ---- stat

struct FileFacts {
  FileStatus status;
  std::optional<std::string> xxh3;
};

Result<FileFacts> facts_of(const FileStore& store, const FileName& name) {
  Result<FileStatus> status = store.status(name);
  if (!status) return fail(std::move(status.error()));
  if (status->type != FileStatus::Type::file) return FileFacts{*status, {}};
  // The digest is read from the file itself, which may be one that may be seen, but not read.
  Result<OpenedFile> file = store.open_file(name);
  if (!file) return FileFacts{*status, {}};
  return FileFacts{file->status, std::move(file->xxh3)};
}

Reply facts_reply(const FileFacts& facts) {
  Reply reply{.members = status_members(facts.status)};
  reply.members.set("type", to_string(facts.status.type));
  if (facts.xxh3) reply.members.set("xxh3", *facts.xxh3);
  return reply;
}

Reply upload_reply(const UploadStatus& status) {
  const UploadRecord& record = status.record;
  Reply reply;
  reply.members.set("filename", record.name).set("file_size", record.size);
  if (!status.complete) {
    reply.members.set("offset", record.offset);
    return reply;
  }
  reply.members.set("complete", true);
  for (const DigestValue& digest : record.digests) {
    reply.members.set(to_string(digest.kind), digest.hex);
  }
  return reply;
}

// `stat` and `delete` name a file, or an upload.
using Subject = std::variant<FileName, UploadId>;

Result<Subject> file_or_upload(const Request& request) {
  if (!request.has("upload")) {
    Result<FileName> name = name_argument(request, "filename");
    if (!name) return fail(std::move(name.error()));
    return Subject(*std::move(name));
  }
  if (request.has("filename")) {
    return fail(Errc::invalid_argument, "expected 'filename' or 'upload', both came");
  }
  Result<UploadId> id = UploadId::parse(*request.string("upload"));
  if (!id) return fail(std::move(id.error()));
  return Subject(*std::move(id));
}

void stat(Loop& loop, const Store& store, const Request& request, ReplyToken token) {
  Result<Subject> subject = file_or_upload(request);
  if (!subject) return std::move(token).fail(std::move(subject.error()));
  if (auto* id = std::get_if<UploadId>(&*subject)) {
    return answer(
        loop, std::move(token), [store, id = std::move(*id)] { return store->status(id); },
        upload_reply);
  }
  answer(
      loop, std::move(token),
      [store, name = std::get<FileName>(*std::move(subject))] { return facts_of(*store, name); },
      facts_reply);
}

// ---- delete, move

void remove(Loop& loop, const Store& store, const Request& request, ReplyToken token) {
  Result<Subject> subject = file_or_upload(request);
  if (!subject) return std::move(token).fail(std::move(subject.error()));
  answer(
      loop, std::move(token),
      [store, subject = *std::move(subject)] {
        return to_result(
            std::visit([&store](const auto& named) { return store->remove(named); }, subject));
      },
      no_results);
}

void move(Loop& loop, const Store& store, const Request& request, ReplyToken token) {
  Result<FileName> from = name_argument(request, "filename");
  if (!from) return std::move(token).fail(std::move(from.error()));
  Result<FileName> to = name_argument(request, "to");
  if (!to) return std::move(token).fail(std::move(to.error()));
  answer(
      loop, std::move(token),
      [store, from = *std::move(from), to = *std::move(to),
       overwrite = *request.boolean_or("overwrite", true)] {
        return to_result(store->move(from, to, overwrite));
      },
      no_results);
}

// ---- verify

// One step after another, each a job of its own. Keeps itself alive while it runs.
class Verify final : public std::enable_shared_from_this<Verify> {
 public:
  Verify(Loop& loop, Store store, std::shared_ptr<void> place, FileName name, ReplyToken token)
      : loop_(loop),
        store_(std::move(store)),
        place_(std::move(place)),
        name_(std::move(name)),
        token_(std::move(token)) {}

  void start() {
    token_.on_cancel([self = weak_from_this()](CancelReason) {
      if (const std::shared_ptr<Verify> verify = self.lock()) verify->cancelled_ = true;
    });
    step();
  }

 private:
  void step() {
    loop_.offload([this] { return work(); },
                  [self = shared_from_this()](Result<bool> finished) {
                    self->step_done(std::move(finished));
                  },
                  Lane::disk);
  }

  Result<bool> work() {
    if (!verification_) {
      Result<Verification> opened = store_->verify(name_);
      if (!opened) return fail(std::move(opened.error()));
      verification_ = *std::move(opened);
    }
    return verification_->step();
  }

  void step_done(Result<bool> finished) {
    if (!finished) return std::move(token_).fail(std::move(finished.error()));
    if (*finished) {
      return std::move(token_).ok(
          Members().set("file_size", verification_->size()).set("xxh3", verification_->xxh3()));
    }
    // If it was cancelled, the token answers so as it goes, with this object.
    if (!cancelled_) step();
  }

  Loop& loop_;
  Store store_;
  std::shared_ptr<void> place_;  // of OpenFiles
  FileName name_;
  ReplyToken token_;
  std::optional<Verification> verification_;
  bool cancelled_ = false;
};

void verify(Loop& loop, const Store& store, OpenFiles& open_files, const Request& request,
            ReplyToken token) {
  Result<FileName> name = name_argument(request, "filename");
  if (!name) return std::move(token).fail(std::move(name.error()));
  Result<std::shared_ptr<void>> place = open_files.take(request.peer());
  if (!place) return std::move(token).fail(std::move(place.error()));
  std::make_shared<Verify>(loop, store, *std::move(place), *std::move(name), std::move(token))
      ->start();
}

// For those that have a file open for as long as their reader or their disk takes.
template <typename Function>
auto holding(std::shared_ptr<OpenFiles> open_files, Function function) {
  return [open_files = std::move(open_files), function](Loop& loop, const Store& store,
                                                        const Request& request, ReplyToken token) {
    function(loop, store, *open_files, request, std::move(token));
  };
}

}  // namespace

void add_store(Router& router, Loop& loop, Store store) {
  using Type = Argument::Type;
  const StoreLimits limits = store ? store->options().limits : StoreLimits();
  const auto open_files = std::make_shared<OpenFiles>(limits.store_max_open);
  const auto add = [&](const char* name, CommandSpec spec, auto function) {
    spec.takes_body = false;
    router.add(name, std::move(spec),
               later([&loop, store, function](const Request& request, Buffer, ReplyToken token) {
                 function(loop, store, request, std::move(token));
               }));
  };
  add("get",
      {.summary = "replies with a file, or a part of it",
       .arguments = {kFilename,
                     {.name = "offset", .type = Type::integer, .summary = "where to begin"},
                     {.name = "length", .type = Type::integer, .summary = "bytes at most"}}},
      holding(open_files, get));
  add("list",
      {.summary = "lists a directory, sorted by name, as lines of JSON",
       .arguments = {{.name = "filename", .summary = "the directory; the root where absent"},
                     {.name = "after", .summary = "begin behind this name"},
                     {.name = "limit",
                      .type = Type::integer,
                      .summary = "entries at most; 1,000 where absent",
                      .min = 1,
                      .max = kListedMax}}},
      list);
  add("stat",
      {.summary = "tells what a file is, or how far an upload is",
       .arguments = {{.name = "filename", .summary = "its name: a relative path"},
                     {.name = "upload", .summary = "or an upload, by its name"}}},
      stat);
  add("delete",
      {.summary = "deletes a file or an empty directory",
       .arguments = {{.name = "filename", .summary = "its name: a relative path"},
                     {.name = "upload", .summary = "or an upload, by its name"}}},
      remove);
  add("move",
      {.summary = "gives a file or a directory another name",
       .arguments = {kFilename,
                     {.name = "to", .summary = "the new name", .required = true},
                     {.name = "overwrite",
                      .type = Type::boolean,
                      .summary = "false: refuse to replace a file"}}},
      move);
  add("verify",
      {.summary = "compares a file with the digest that was stored with it",
       .arguments = {kFilename}},
      holding(open_files, verify));
  add_put(router,
          {.loop = loop,
           .store = std::move(store),
           .commits = std::make_shared<CommitQueue>(loop),
           .claims = std::make_shared<UploadClaims>()},
          open_files);
}

}  // namespace v0
}  // namespace cleave
