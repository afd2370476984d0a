// SPDX-License-Identifier: MIT
#include "cleave/handlers/put_command.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "cleave/handlers/store_arguments.h"

namespace cleave {
inline namespace v0 {
namespace {

constexpr std::int64_t kMaxSize = std::numeric_limits<std::int64_t>::max();

// The body of a one-way put: its size stands in `filesize`, or in `file_size` beside `file_name`,
// as in the headers of older clients, which do not read replies.
Result<BodyRule> one_way_rule(const Header& header) {
  std::string_view member;
  if (header.find("file_name") && header.find("file_size")) member = "file_size";
  if (header.find("filesize")) member = "filesize";
  if (header.frame().data_size || member.empty()) return BodyRule{};
  if (header.frame().more || header.find("upload")) {
    return fail(Errc::invalid_argument, "'data_size' is needed beside 'more' or 'upload'");
  }
  Result<std::int64_t> size = header.integer(member, 0, kMaxSize);
  if (!size) return fail(std::move(size.error()));
  return BodyRule{.size = static_cast<std::uint64_t>(*size), .one_way = true};
}

// What a put with `upload` has besides.
Result<void> read_upload(const Request& request, UploadRequest& upload) {
  if (!request.has("upload")) {
    if (request.has("offset") && *request.integer("offset", 0, kMaxSize) != 0) {
      return fail(Errc::invalid_argument, "'offset' goes with 'upload'");
    }
    return {};
  }
  Result<UploadId> id = UploadId::parse(*request.string("upload"));
  if (!id) return fail(std::move(id.error()));
  upload.id = *std::move(id);
  upload.offset = static_cast<std::uint64_t>(*request.integer_or("offset", 0, kMaxSize, 0));
  if (!upload.size) {
    return fail(Errc::invalid_argument, "'file_size', the size of the whole, goes with 'upload'");
  }
  const std::uint64_t body = request.body_size().value_or(0);
  if (upload.offset > *upload.size || body > *upload.size - upload.offset) {
    return fail(Errc::invalid_argument, "'offset' is " + std::to_string(upload.offset) +
                                            " and the body has " + std::to_string(body) +
                                            " bytes, together more than 'file_size', " +
                                            std::to_string(*upload.size));
  }
  return {};
}

// The types of the declared arguments have been checked; here is what else they have to be.
Result<UploadRequest> upload_request(const Request& request) {
  const bool older = request.has("file_name") && !request.has("filename");
  Result<FileName> name = name_argument(request, older ? "file_name" : "filename");
  if (!name) return fail(std::move(name.error()));
  UploadRequest upload{.name = *std::move(name),
                       .overwrite = *request.boolean_or("overwrite", true)};
  if (!request.has("upload")) upload.size = request.body_size();
  if (request.has("mtime_ms")) upload.mtime_ms = *request.integer("mtime_ms", 0, kMaxTime);
  if (request.has("file_size")) {
    const auto size = static_cast<std::uint64_t>(*request.integer("file_size", 0, kMaxSize));
    if (!request.has("upload") && upload.size.value_or(size) != size) {
      return fail(Errc::invalid_argument, "'file_size' is " + std::to_string(size) +
                                              ", and the body has " + std::to_string(*upload.size) +
                                              " bytes");
    }
    upload.size = size;
  }
  for (const DigestKind kind : {DigestKind::md5, DigestKind::sha256, DigestKind::xxh3}) {
    if (!request.has(to_string(kind))) continue;
    Result<std::string> hex = parse_digest(kind, *request.string(to_string(kind)));
    if (!hex) return fail(std::move(hex.error()));
    upload.expected.push_back({kind, *std::move(hex)});
  }
  if (Result<void> read = read_upload(request, upload); !read) return fail(std::move(read.error()));
  return upload;
}

}  // namespace

void add_put(Router& router, PutParts parts, std::shared_ptr<OpenFiles> open_files) {
  using Type = Argument::Type;
  router.add(
      "put",
      {.summary = "stores the body as a file",
       .arguments = {{.name = "filename", .summary = "its name: a relative path"},
                     {.name = "file_name", .summary = "the same, where 'filename' is absent"},
                     {.name = "file_size",
                      .type = Type::integer,
                      .summary = "all its bytes, checked",
                      .max = kMaxSize},
                     {.name = "md5", .summary = "its digest in hex, checked"},
                     {.name = "sha256", .summary = "its digest in hex, checked"},
                     {.name = "xxh3", .summary = "its digest in hex, checked"},
                     {.name = "overwrite",
                      .type = Type::boolean,
                      .summary = "false: refuse to replace a file"},
                     {.name = "mtime_ms",
                      .type = Type::integer,
                      .summary = "the time of its last change, in ms since 1970",
                      .max = kMaxTime},
                     {.name = "upload",
                      .summary = "keep what came under this name when the connection breaks"},
                     {.name = "offset",
                      .type = Type::integer,
                      .summary = "of an upload: where the body begins in the file",
                      .max = kMaxSize}},
       .body_rule = one_way_rule},
      streaming([parts = std::move(parts), open_files = std::move(open_files)](
                    const Request& request, ReplyToken token) -> std::shared_ptr<Handler> {
        Result<UploadRequest> upload = upload_request(request);
        if (!upload) {
          std::move(token).fail(std::move(upload.error()));
          return nullptr;
        }
        Result<std::shared_ptr<void>> place = open_files->take(request.peer());
        if (!place) {
          std::move(token).fail(std::move(place.error()));
          return nullptr;
        }
        return make_put(parts, *std::move(upload), *std::move(place), std::move(token));
      }));
}

}  // namespace v0
}  // namespace cleave
