// SPDX-License-Identifier: MIT
#include "cleave/bin/client/put_file.h"

#include <chrono>
#include <filesystem>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "cleave/bin/client/exit_status.h"
#include "cleave/bin/client/file_bytes.h"
#include "cleave/bin/client/file_source.h"
#include "cleave/bin/client/remote_file.h"
#include "cleave/bin/client/retries.h"

namespace cleave::cli {
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

std::string random_name() {
  std::random_device random;
  std::string name = "once";
  for (int i = 0; i < 4; ++i) name += "-" + std::to_string(random());
  return name;
}

class Put {
 public:
  explicit Put(const Transfer& transfer) : transfer_(transfer), session_(transfer.session) {}

  Result<Transferred> run() {
    Retries retries(transfer_);
    while (true) {
      Result<Transferred> done = attempt();
      if (done) return done;
      const Errc code = done.error().code;
      if (code == Errc::already_exists) return settle_existing(done, retries.count() > 0);
      // What was there before may be other bytes than ours: then all of them are sent, once.
      if (code == Errc::checksum_mismatch && went_on_ && !std::exchange(begun_anew_, true)) {
        (void)ask_of_upload("delete");
        continue;
      }
      if (retries.again(done.error())) continue;
      // What nobody will go on with should not take up the server's room. Without a connection that
      // is left to the server.
      if (!upload_.empty() && !transfer_.options.resume && exit_status(code) != kNetwork) {
        (void)ask_of_upload("delete");
      }
      return done;
    }
  }

 private:
  Result<Transferred> attempt() {
    if (auto opened = open(); !opened) return fail(opened.error());
    if (auto named = name_upload(); !named) return fail(named.error());
    if (transfer_.options.resume && !sent_) {
      auto there = stored();
      if (!there) return fail(there.error());
      if (*there) return Transferred{.header = *there};
    }
    std::uint64_t offset = 0;
    if (!upload_.empty()) {
      const Outcome known = ask_of_upload("stat");
      if (known.result) {
        auto settled = settle_complete(known.header);
        if (!settled) return fail(settled.error());
        if (*settled) return Transferred{.header = known.header};
        offset = offset_in(*known.header).value_or(0);
      } else if (not_offered(known.result.error().code)) {
        upload_.clear();
      } else if (known.result.error().code != Errc::not_found) {
        return fail(known.result.error());
      }
    }
    for (int corrections = 0;; ++corrections) {
      Result<Transferred> sent = send_from(offset);
      const bool corrected = !sent && sent.error().code == Errc::offset_mismatch && corrected_;
      if (!corrected || corrections == kCorrections) return sent;
      offset = *corrected_;
      if (auto opened = open(); !opened) return fail(opened.error());
    }
  }

  Result<void> open() {
    auto opened = FileSource::open(session_.loop(), transfer_.local);
    if (!opened) return fail(opened.error());
    file_ = *std::move(opened);
    transfer_.share.expect(file_->file_size());
    return {};
  }

  // The file may be another one than at the last attempt.
  Result<void> name_upload() {
    const std::pair state(file_->file_size(), file_->modified_ns());
    if (std::exchange(named_for_, state) == state) return {};
    upload_.clear();
    sent_ = false;
    if (!transfer_.options.resume) {
      if (state.first >= kLargeFile && transfer_.options.retries > 0) upload_ = random_name();
      return {};
    }
    std::error_code error;
    const std::string path = std::filesystem::canonical(transfer_.local.path(), error).string();
    if (error) {
      return fail(Errc::io_error, "cannot tell the whole path of '" + transfer_.local.path() +
                                      "': " + error.message());
    }
    auto digest = Digest::create(DigestKind::sha256);
    if (!digest) return fail(digest.error());
    for (const std::string& part : {transfer_.remote, path, std::to_string(file_->file_size()),
                                    std::to_string(file_->modified_ns())}) {
      digest->update(part);
      digest->update(std::string_view("\0", 1));
    }
    upload_ = digest->finish();
    return {};
  }

  static bool not_offered(Errc code) {
    return code == Errc::failed_precondition || code == Errc::invalid_argument ||
           code == Errc::unknown_command;
  }

  Outcome ask_of_upload(std::string cmd) {
    std::string ignored;
    return session_.run(transfer_.settings,
                        {.cmd = std::move(cmd), .members = Members().set("upload", upload_)},
                        ignored);
  }

  // What `stat` says of the upload: true if we have completed it, so that nothing is left to be
  // done. One that an earlier command has completed, and whose file has gone, is begun anew.
  Result<bool> settle_complete(const Ref<const Header>& known) {
    if (!known->boolean_or("complete", false).value_or(false)) return false;
    if (sent_) {
      auto ours = whole_digest();
      if (!ours) return fail(ours.error());
      if (auto same = compare(*known, *ours); !same) return fail(same.error());
      return true;
    }
    const Outcome dropped = ask_of_upload("delete");
    if (!dropped.result && dropped.result.error().code != Errc::not_found) {
      return fail(dropped.result.error());
    }
    return false;
  }

  // There is a file of the name already. After a break it may be the one that we have stored, whose
  // reply was lost.
  Result<Transferred> settle_existing(const Result<Transferred>& refused, bool again) {
    if (again) {
      if (auto there = stored(); there && *there) return Transferred{.header = *there};
    }
    if (!transfer_.options.no_clobber) return refused;
    return Transferred{.header = {}, .skipped = true};
  }

  // What is known of the server's file, if it has the bytes of ours; null if not.
  Result<Ref<const Header>> stored() {
    const Outcome known = status_of(session_, transfer_.settings, transfer_.remote);
    if (!known.result) {
      if (known.result.error().code != Errc::not_found) return fail(known.result.error());
      return Ref<const Header>();
    }
    const auto there = RemoteFile::of(*known.header);
    if (!there || there->size != file_->file_size() || !there->xxh3) return Ref<const Header>();
    auto ours = whole_digest();
    if (!ours) return fail(ours.error());
    return *there->xxh3 == *ours ? known.header : Ref<const Header>();
  }

  Result<std::string> whole_digest() {
    auto digest = digest_of_prefix(session_, file_->fd(), file_->file_size());
    if (!digest) return fail(digest.error());
    return digest->finish();
  }

  Result<Transferred> send_from(std::uint64_t offset) {
    corrected_.reset();
    const std::uint64_t size = file_->file_size();
    if (offset > size) {
      return fail(Errc::offset_mismatch, "the server says that it has " + std::to_string(offset) +
                                             " bytes of a file of " + std::to_string(size));
    }
    if (offset > 0) {
      auto hash = digest_of_prefix(session_, file_->fd(), offset);
      if (!hash) return fail(hash.error());
      file_->begin_at(offset, *std::move(hash));
      went_on_ = true;
    }
    transfer_.share.begin_at(offset);
    // Known beforehand only where nothing is left to be read.
    std::optional<std::string> digest = offset == size ? file_->digest() : std::nullopt;
    Call call{.cmd = "put",
              .members = Members().set("filename", transfer_.remote).set("file_size", size),
              .body = std::shared_ptr<Source>(file_)};
    if (transfer_.options.no_clobber || transfer_.options.no_overwrite) {
      call.members.set("overwrite", false);
    }
    const auto mtime_ms =
        std::chrono::duration_cast<Millis>(std::chrono::nanoseconds(file_->modified_ns())).count();
    if (mtime_ms >= 0) call.members.set("mtime_ms", mtime_ms);
    if (!upload_.empty()) call.members.set("upload", upload_).set("offset", offset);
    sent_ = true;
    if (digest) call.members.set("xxh3", *digest);

    file_->on_progress([this](std::uint64_t done) { transfer_.share.reach(done); });
    std::string ignored;
    const Outcome outcome = session_.run(transfer_.settings, std::move(call), ignored);
    file_->on_progress({});
    if (file_->error()) return fail(*file_->error());
    if (!outcome.result) {
      if (outcome.header) corrected_ = offset_in(*outcome.header);
      return fail(outcome.result.error());
    }
    if (!digest) digest = file_->digest();
    if (digest) {
      if (auto same = compare(*outcome.header, *digest); !same) return fail(same.error());
    }
    return Transferred{.header = outcome.header};
  }

  const Transfer& transfer_;
  Session& session_;
  std::shared_ptr<FileSource> file_;
  std::string upload_;  // empty: none
  bool sent_ = false;   // something of it, by this command
  std::optional<std::pair<std::uint64_t, std::int64_t>> named_for_;  // size and time
  bool went_on_ = false;                                             // behind bytes that were there
  bool begun_anew_ = false;
  std::optional<std::uint64_t> corrected_;  // the offset that the server wants
};

}  // namespace

Result<Transferred> put_file(const Transfer& transfer) {
  return Put(transfer).run();
}

}  // namespace cleave::cli
