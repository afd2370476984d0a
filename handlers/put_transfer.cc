// SPDX-License-Identifier: MIT
#include <chrono>
#include <filesystem>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>

#include "cleave/handlers/file_source.h"
#include "cleave/handlers/file_transfer.h"
#include "cleave/handlers/remote_file.h"

namespace cleave {
inline namespace v0 {
namespace {

// Less than this is sent again sooner than it is asked for.
constexpr std::uint64_t kLargeFile = std::uint64_t{16} * 1024 * 1024;
// How often in a row a server may name another offset than the one it has just named.
constexpr int kCorrections = 3;

// The server's digest of what it has stored, against ours of what we have read.
Result<void> compare(const Header& reply, const std::string& ours) {
  const auto theirs = reply.string_or("xxh3", ours);
  if (!theirs || *theirs == ours) return {};
  return fail(Errc::checksum_mismatch, "the server stored bytes with xxh3 " + std::string(*theirs) +
                                           ", the file has " + ours);
}

std::optional<std::uint64_t> offset_in(const Header& reply) {
  const auto offset = reply.integer("offset", 0, std::numeric_limits<std::int64_t>::max());
  if (!offset) return std::nullopt;
  return static_cast<std::uint64_t>(*offset);
}

std::string name_for_once() {
  std::random_device random;
  std::string name = "once";
  for (int i = 0; i < 4; ++i) name += "-" + std::to_string(random());
  return name;
}

// One that may be gone on with by another process has the same name each time, made of what the
// file is.
Result<std::string> name_for_good(const LocalFile& from, const std::string& to,
                                  const FileSource& file) {
  std::error_code error;
  const std::string path = std::filesystem::canonical(from.path(), error).string();
  if (error) {
    return fail(Errc::io_error,
                "cannot tell the whole path of '" + from.path() + "': " + error.message());
  }
  auto digest = Digest::create(DigestKind::sha256);
  if (!digest) return fail(digest.error());
  for (const std::string& part :
       {to, path, std::to_string(file.file_size()), std::to_string(file.modified_ns())}) {
    digest->update(part);
    digest->update(std::string_view("\0", 1));
  }
  return digest->finish();
}

bool not_offered(Errc code) {
  return code == Errc::failed_precondition || code == Errc::invalid_argument ||
         code == Errc::unknown_command;
}

class PutTransfer final : public FileTransferCore {
 public:
  PutTransfer(ReconnectingClient& client, LocalFile from, std::string name,
              FileTransferOptions options, FileTransfer::Done done)
      : FileTransferCore(client, std::move(options), std::move(done)),
        from_(std::move(from)),
        name_(std::move(name)) {}

 private:
  struct Opened {
    std::shared_ptr<FileSource> file;
    std::string name_for_good;
  };

  void attempt() override {
    corrections_ = 0;
    open([this] {
      if (!options().resume || sent_) return find_offset();
      settle_stored([this] { find_offset(); });
    });
  }

  void let_go() override {
    if (file_) file_->on_progress({});
    file_.reset();
  }

  // An attempt has failed.
  void failed(const Error& error) {
    if (error.code == Errc::already_exists) return settle_existing(error);
    // What was there before may be other bytes than ours: then all of them are sent, once.
    if (error.code == Errc::checksum_mismatch && went_on_ && !std::exchange(begun_anew_, true)) {
      return ask_of_upload("delete", [this](const Outcome&) { attempt(); });
    }
    if (retries(error)) return;
    // What nobody will go on with should not take up the server's room. Without a connection that
    // is left to the server.
    if (upload_.empty() || options().resume || may_pass(error.code)) return end(fail(error));
    ask_of_upload("delete", [this, error](const Outcome&) { end(fail(error)); });
  }

  void open(UniqueFunction<void()> next) {
    work(
        [from = from_, to = name_, resume = options().resume,
         &loop = client().loop()]() -> Result<Opened> {
          auto file = FileSource::open(loop, from);
          if (!file) return fail(file.error());
          if (!resume) return Opened{*std::move(file), {}};
          auto name = name_for_good(from, to, **file);
          if (!name) return fail(name.error());
          return Opened{*std::move(file), *std::move(name)};
        },
        [this, next = std::move(next)](Result<Opened> opened) mutable {
          if (!opened) return failed(opened.error());
          let_go();
          file_ = std::move(opened->file);
          observer().on_size(file_->file_size());
          name_upload(std::move(opened->name_for_good));
          next();
        });
  }

  // The file may be another one than at the last attempt.
  void name_upload(std::string name_for_good) {
    const std::pair state(file_->file_size(), file_->modified_ns());
    if (std::exchange(named_for_, state) == state) return;
    sent_ = false;
    upload_ = std::move(name_for_good);
    if (!options().resume && state.first >= kLargeFile && options().retry.attempts > 1) {
      upload_ = name_for_once();
    }
  }

  void ask_of_upload(std::string cmd, UniqueFunction<void(const Outcome&)> next) {
    ask({.cmd = std::move(cmd), .members = Members().set("upload", upload_)}, std::move(next));
  }

  // From where the server wants to have the file.
  void find_offset() {
    if (upload_.empty()) return send_from(0);
    ask_of_upload("stat", [this](const Outcome& known) {
      if (known.result) return settle_complete(known.header);
      const Errc code = known.result.error().code;
      if (not_offered(code)) {
        upload_.clear();
      } else if (code != Errc::not_found) {
        return failed(known.result.error());
      }
      send_from(0);
    });
  }

  // What `stat` says of the upload. If we have completed it, nothing is left to be done; one that
  // an earlier process has completed, and whose file has gone, is begun anew.
  void settle_complete(const Ref<const Header>& known) {
    const std::uint64_t offset = offset_in(*known).value_or(0);
    if (!known->boolean_or("complete", false).value_or(false)) return send_from(offset);
    if (sent_) {
      return with_whole_digest([this, known](const std::string& ours) {
        if (auto same = compare(*known, ours); !same) return failed(same.error());
        stored(known, ours);
      });
    }
    ask_of_upload("delete", [this, offset](const Outcome& dropped) {
      if (!dropped.result && dropped.result.error().code != Errc::not_found) {
        return failed(dropped.result.error());
      }
      send_from(offset);
    });
  }

  // There is a file of the name already. After a break it may be the one that we have stored, whose
  // reply was lost.
  void settle_existing(const Error& error) {
    existing_ = error;
    if (failures() == 0) return end(fail(error));
    settle_stored([this] { end(fail(*existing_)); });
  }

  // Ends well if the server's file has the bytes of ours.
  void settle_stored(UniqueFunction<void()> otherwise) {
    ask({.cmd = "stat", .members = Members().set("filename", name_)},
        [this, otherwise = std::move(otherwise)](const Outcome& known) mutable {
          if (!known.result) {
            if (existing_ || known.result.error().code == Errc::not_found) return otherwise();
            return failed(known.result.error());
          }
          const auto there = RemoteFile::of(*known.header);
          if (!there || there->size != file_->file_size() || !there->xxh3) return otherwise();
          with_whole_digest([this, known = known.header, there = *there->xxh3,
                             otherwise = std::move(otherwise)](const std::string& ours) mutable {
            if (there != ours) return otherwise();
            stored(known, ours);
          });
        });
  }

  void with_whole_digest(UniqueFunction<void(const std::string&)> next) {
    digest(file_->fd(), file_->file_size(),
           [this, next = std::move(next)](Result<FileDigests> digests) mutable {
             if (!digests) return failed(digests.error());
             const std::string sha256 = digests->sha256 ? digests->sha256->finish() : "";
             if (sha256 != options().sha256) {
               return failed({Errc::checksum_mismatch, "sha256 is to be " + options().sha256 +
                                                           ", that of the file is " + sha256});
             }
             next(digests->xxh3.finish());
           });
  }

  void send_from(std::uint64_t offset) {
    corrected_.reset();
    const std::uint64_t size = file_->file_size();
    if (offset > size) {
      return failed({Errc::offset_mismatch, "the server says that it has " +
                                                std::to_string(offset) + " bytes of a file of " +
                                                std::to_string(size)});
    }
    if (offset == 0) return send_rest(0);
    digest(file_->fd(), offset, [this, offset](Result<FileDigests> digests) {
      if (!digests) return failed(digests.error());
      file_->begin_at(offset, std::move(digests->xxh3));
      went_on_ = true;
      send_rest(offset);
    });
  }

  void send_rest(std::uint64_t offset) {
    const std::uint64_t size = file_->file_size();
    observer().on_begin(offset);
    // Known beforehand only where nothing is left to be read.
    std::optional<std::string> digest = offset == size ? file_->digest() : std::nullopt;
    Call call{.cmd = "put",
              .members = Members().set("filename", name_).set("file_size", size),
              .body = std::shared_ptr<Source>(file_)};
    if (!options().overwrite) call.members.set("overwrite", false);
    const auto mtime_ms =
        std::chrono::duration_cast<Millis>(std::chrono::nanoseconds(file_->modified_ns())).count();
    if (mtime_ms >= 0) call.members.set("mtime_ms", mtime_ms);
    if (!upload_.empty()) call.members.set("upload", upload_).set("offset", offset);
    if (!options().sha256.empty()) call.members.set("sha256", options().sha256);
    if (digest) call.members.set("xxh3", *digest);
    sent_ = true;
    file_->on_progress([this](std::uint64_t done) { observer().on_progress(done); });
    ask(std::move(call), [this, digest](const Outcome& outcome) mutable {
      file_->on_progress({});
      if (file_->error()) return failed(*file_->error());
      if (!outcome.result) {
        if (outcome.header) corrected_ = offset_in(*outcome.header);
        return refused(outcome.result.error());
      }
      if (!digest) digest = file_->digest();
      if (digest) {
        if (auto same = compare(*outcome.header, *digest); !same) return failed(same.error());
      }
      stored(outcome.header, digest.value_or(""));
    });
  }

  void refused(const Error& error) {
    const bool corrected = error.code == Errc::offset_mismatch && corrected_;
    if (!corrected || corrections_++ == kCorrections) return failed(error);
    open([this, offset = *corrected_] { send_from(offset); });
  }

  void stored(const Ref<const Header>& header, const std::string& xxh3) {
    end(FileTransferred{.size = file_->file_size(), .xxh3 = xxh3, .header = header});
  }

  const LocalFile from_;
  const std::string name_;
  std::shared_ptr<FileSource> file_;
  std::string upload_;  // empty: none
  bool sent_ = false;   // something of it, by this transfer
  std::optional<std::pair<std::uint64_t, std::int64_t>> named_for_;  // size and time
  bool went_on_ = false;                                             // behind bytes that were there
  bool begun_anew_ = false;
  int corrections_ = 0;
  std::optional<std::uint64_t> corrected_;  // the offset that the server wants
  std::optional<Error> existing_;           // there was a file of the name
};

}  // namespace

FileTransfer put_file(ReconnectingClient& client, LocalFile from, std::string name,
                      FileTransferOptions options, FileTransfer::Done done) {
  return FileTransfers::start(make_ref<PutTransfer>(client, std::move(from), std::move(name),
                                                    std::move(options), std::move(done)));
}

}  // namespace v0
}  // namespace cleave
