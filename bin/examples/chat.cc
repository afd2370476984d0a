// SPDX-License-Identifier: MIT
// A chat room: what one says, all who listen get, each on a connection of their own. Listening is a
// request whose reply does not end: its body is a Source that waits, and is woken by what others
// say. Who reads too slowly loses the room, and not the others their pace.
//
//     $ build/bin/example_chat &
//     listening on tcp://127.0.0.1:8080?wire=frame
//     $ echo hello | cleave call say --header from=Ada --body -
//     {"heard_by":0}
//
// In another terminal `cleave call listen` prints what comes, until Ctrl-C.
#include <cstdio>
#include <deque>
#include <set>

#include "cleave/core/server.h"

using namespace cleave;

namespace {

constexpr std::size_t kWaiting = 100;  // words

class Listener;
using Room = std::set<Listener*>;

// One who listens, and what he has not been sent yet. In the room as long as his request runs.
class Listener final : public Source {
 public:
  explicit Listener(Room& room) : room_(room) { room_.insert(this); }
  ~Listener() override { room_.erase(this); }

  void hear(std::string_view from, std::string_view word) {
    if (waiting_.size() < kWaiting) {
      waiting_.push_back({Buffer::copy_of(word), Members().set("from", from)});
    } else {
      too_slow_ = true;
      waiting_.clear();
      room_.erase(this);
    }
    wake();
  }

  Pulled pull(std::size_t room) override {
    if (too_slow_) {
      return Done{{}, Error{Errc::overloaded, "more words waited than you may leave unread"}};
    }
    if (waiting_.empty()) return Later{};
    Piece& next = waiting_.front();
    if (next.bytes.size() > room) return Piece{next.bytes.take_front(room), next.members};
    Piece piece = std::move(next);
    waiting_.pop_front();
    return piece;
  }

 private:
  Room& room_;
  std::deque<Piece> waiting_;
  bool too_slow_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  auto loop = Loop::create().value();
  Room room;
  Router router;
  router.add("listen", {.summary = "gets what others say, a frame each", .takes_body = false},
             collected([&room](const Request& request, std::string_view) -> Result<Reply> {
               if (!request.has_id()) {
                 return fail(Errc::invalid_argument, "an id is needed: the reply has many frames");
               }
               return Reply{{}, std::shared_ptr<Source>(std::make_shared<Listener>(room)), {}};
             }));
  router.add(
      "say",
      {.summary = "says the body to all who listen",
       .arguments = {{.name = "from", .summary = "who says it", .required = true, .max = 64}},
       .body_bytes = 4'096},
      collected([&room](const Request& request, std::string_view word) -> Result<Reply> {
        if (word.empty()) return fail(Errc::invalid_argument, "nothing was said");
        for (auto at = room.begin(); at != room.end();) {
          (*at++)->hear(*request.string("from"), word);  // and may leave
        }
        return Reply{Members().set("heard_by", room.size()), {}, {}};
      }));
  Server server(*loop, router);
  Result<std::string> url = server.listen(argc > 1 ? argv[1] : "tcp://127.0.0.1:8080");
  if (!url) return std::fprintf(stderr, "chat: %s\n", url.error().message.c_str()), 1;
  std::printf("listening on %s\n", url->c_str());
  std::fflush(stdout);
  loop->run();
}
