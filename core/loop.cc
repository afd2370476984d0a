// SPDX-License-Identifier: MIT
#include "cleave/core/loop.h"

#include <uv.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cleave/core/loop_internals.h"
#include "cleave/core/pool_work.h"
#include "cleave/core/sigpipe.h"
#include "cleave/core/timer_heap.h"
#include "cleave/core/uv_handle.h"

// The callbacks that libuv calls are noexcept: an exception in a task ends the process with its
// message rather than leaving libuv in the middle of something.

namespace cleave {
inline namespace v0 {

struct Timer::Node : TimerNode {
  Node(LoopInternals::State& of, UniqueFunction<void()> does) noexcept
      : loop(of), task(std::move(does)) {}
  ~Node();

  LoopInternals::State& loop;
  UniqueFunction<void()> task;
  bool owned_by_loop = false;  // made by after(), deleted when it has run
};

struct Loop::State {
  using Node = LoopInternals::TimerState;

  uv_loop_t own{};
  uv_loop_t* uv = nullptr;
  const Clock* clock = nullptr;
  std::atomic<std::thread::id> thread = std::this_thread::get_id();
  bool in_turn = false;
  bool waiting_once = false;  // in a turn that is over when something has happened
  bool stopping = false;

  UvHandle<UvBox<uv_async_t>> wake_up;
  UvHandle<UvBox<uv_timer_t>> alarm;
  UvHandle<UvBox<uv_idle_t>> before_waiting;
  UvHandle<UvBox<uv_check_t>> after_waiting;

  std::mutex mutex;  // for the next two
  std::vector<UniqueFunction<void()>> posted;
  bool closing = false;
  std::vector<UniqueFunction<void()>> running_posts;  // kept for its memory

  TimerHeap timers;
  Node* running_timer = nullptr;  // null too when it was destroyed by its own call
  bool timers_running = false;
  Time alarm_at{};

  RingLink deferred;

  std::optional<PoolWork> pool_work;  // made with uv

  struct Kept {
    const void* key;
    std::unique_ptr<void, void (*)(void*)> object;
  };
  std::vector<Kept> kept;

  [[nodiscard]] Result<> open(const LoopOptions& options);
  void close();

  bool turn(uv_run_mode mode);
  [[nodiscard]] bool alive();
  [[nodiscard]] bool has_posts();
  bool run_posts();
  void drop_tasks();

  [[nodiscard]] Time now() const noexcept;
  void start(Node& timer, Millis delay);
  void stop(Node& timer) noexcept;
  [[nodiscard]] bool timer_due() const;
  bool run_timers();
  void fire(Node& timer);
  void set_alarm(Millis at_least);

  void arm(RingLink& task);
  void run_deferred();

  // Makes a handle whose callbacks find this state.
  template <typename Raw, typename Init>
  [[nodiscard]] Result<> open_handle(UvHandle<UvBox<Raw>>& handle, Init init);
};

// ---- opening and closing ------------------------------------------------------------------------

template <typename Raw, typename Init>
Result<> Loop::State::open_handle(UvHandle<UvBox<Raw>>& handle, Init init) {
  int status = 0;
  handle = open_uv_handle(std::make_unique<UvBox<Raw>>(), init, status);
  if (handle == nullptr) {
    return fail(Errc::io_error,
                std::string("the event loop cannot be opened: ") + uv_strerror(status));
  }
  handle->data = this;
  return {};
}

Result<> Loop::State::open(const LoopOptions& options) {
  clock = options.clock;
  uv = options.uv;
  if (uv == nullptr) {
    if (const int status = uv_loop_init(&own); status < 0) {
      return fail(Errc::io_error,
                  std::string("the event loop cannot be opened: ") + uv_strerror(status));
    }
    uv = &own;
  }
  pool_work.emplace(*uv);
  auto opened = open_handle(wake_up, [this](uv_async_t& handle) {
    return uv_async_init(uv, &handle, [](uv_async_t* raw) noexcept {
      if (raw->data != nullptr) static_cast<State*>(raw->data)->run_posts();
    });
  });
  if (!opened) return opened;
  // It is always there, so it must not keep the loop running; posts do, see alive().
  uv_unref(reinterpret_cast<uv_handle_t*>(wake_up.get()));
  opened = open_handle(alarm, [this](uv_timer_t& handle) { return uv_timer_init(uv, &handle); });
  if (!opened) return opened;
  opened =
      open_handle(before_waiting, [this](uv_idle_t& handle) { return uv_idle_init(uv, &handle); });
  if (!opened) return opened;
  return open_handle(after_waiting,
                     [this](uv_check_t& handle) { return uv_check_init(uv, &handle); });
}

void Loop::State::close() {
  if (uv == nullptr) return;
  {
    const std::lock_guard lock(mutex);
    closing = true;  // from here on a task is destroyed by whoever posts it
  }
  pool_work->abandon();
  drop_tasks();
  while (!kept.empty()) {
    const Kept last = std::move(kept.back());
    kept.pop_back();
  }
  wake_up.reset();
  alarm.reset();
  before_waiting.reset();
  after_waiting.reset();
  if (uv != &own) return;  // the boxes are freed by the embedder's next turn

  while (!pool_work->given_back()) uv_run(uv, UV_RUN_ONCE);
  uv_run(uv, UV_RUN_NOWAIT);  // runs the close callbacks
  [[maybe_unused]] const int status = uv_loop_close(uv);
  assert(status == 0 && "something made with the loop, or with its uv(), has outlived it");
}

// Destroys the tasks that have not run. A task's destructor may make new ones, which post() and
// after() destroy at once by now, and may destroy timers.
void Loop::State::drop_tasks() {
  std::vector<UniqueFunction<void()>> dropped;
  {
    const std::lock_guard lock(mutex);
    dropped.swap(posted);
  }
  dropped.clear();
  while (!timers.empty()) {
    Node& timer = static_cast<Node&>(timers.top());
    timers.take(timer);
    if (timer.owned_by_loop) delete &timer;
  }
}

// ---- turns --------------------------------------------------------------------------------------

bool Loop::State::turn(uv_run_mode mode) {
  assert(!in_turn && "a loop cannot be run from inside one of its own callbacks");
  const SigpipeBlock block;
  thread = std::this_thread::get_id();
  in_turn = true;
  uv_update_time(uv);
  bool ran = clock != nullptr && run_timers();
  // libuv does not look at its handles, so not at the one that announces posts, when none of them
  // is alive.
  if (uv_loop_alive(uv) == 0 && run_posts()) ran = true;
  waiting_once = mode == UV_RUN_ONCE && !ran;
  uv_run(uv, ran && mode == UV_RUN_ONCE ? UV_RUN_NOWAIT : mode);
  waiting_once = in_turn = false;
  return alive();
}

bool Loop::State::alive() {
  return uv_loop_alive(uv) != 0 || !timers.empty() || has_posts();
}

bool Loop::State::has_posts() {
  const std::lock_guard lock(mutex);
  return !posted.empty();
}

bool Loop::State::run_posts() {
  {
    const std::lock_guard lock(mutex);
    running_posts.swap(posted);
  }
  const bool any = !running_posts.empty();
  for (UniqueFunction<void()>& task : running_posts) {
    task();
    task.reset();
  }
  running_posts.clear();
  return any;
}

// ---- timers -------------------------------------------------------------------------------------

Time Loop::State::now() const noexcept {
  if (clock != nullptr) return clock->now();
  // Between turns libuv's time stands still: a timer that were started by it after a long pause
  // would be due at once. An embedder's loop does not tell us when it is in a turn.
  if (!in_turn) uv_update_time(uv);
  return Time(Millis(static_cast<Millis::rep>(uv_now(uv))));
}

void Loop::State::start(Node& timer, Millis delay) {
  stop(timer);
  const Time from = now();
  timers.put(timer, from + std::clamp(delay, Millis(0), Millis(Time::max() - from)));
  set_alarm(Millis(0));
}

void Loop::State::stop(Node& timer) noexcept {
  if (timer.place == TimerNode::kOut) return;
  timers.take(timer);
  // Otherwise the alarm may come too early and is then set anew, which is cheaper than setting it
  // at each stop. An idle one must not keep the loop running.
  if (timers.empty()) uv_timer_stop(alarm.get());
}

// Sets libuv's timer for the earliest of ours.
void Loop::State::set_alarm(Millis at_least) {
  if (clock != nullptr || timers_running || timers.empty()) return;
  const Time due = timers.top().due;
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(alarm.get())) != 0 && alarm_at <= due) return;
  alarm_at = due;
  const Millis delay = std::max(at_least, due - now());
  uv_timer_start(
      alarm.get(),
      [](uv_timer_t* raw) noexcept {
        State* state = static_cast<State*>(raw->data);
        if (state == nullptr) return;
        // libuv runs timers before it waits, and would wait for something else all the same.
        if (state->run_timers() && state->waiting_once) uv_stop(state->uv);
        // Never 0 from here: libuv would come back in the same turn, and a timer that starts
        // itself anew with 0 would stop everything else.
        state->set_alarm(Millis(1));
      },
      static_cast<std::uint64_t>(delay.count()), 0);
}

// Runs what is due and was started before now; what is started meanwhile waits for a later turn.
bool Loop::State::run_timers() {
  const Time until = now();
  const std::uint64_t end = timers.next_order();
  bool ran = false;
  timers_running = true;
  while (!timers.empty() && timers.top().due <= until && timers.top().order < end) {
    Node& timer = static_cast<Node&>(timers.top());
    timers.take(timer);
    fire(timer);
    ran = true;
  }
  timers_running = false;
  return ran;
}

void Loop::State::fire(Node& timer) {
  const std::unique_ptr<Node> owned(timer.owned_by_loop ? &timer : nullptr);
  // Held here, so that the call may destroy its timer.
  UniqueFunction<void()> task = std::move(timer.task);
  running_timer = &timer;
  task();
  if (running_timer == &timer) timer.task = std::move(task);
  running_timer = nullptr;
}

bool Loop::State::timer_due() const {
  return clock != nullptr && !timers.empty() && timers.top().due <= clock->now();
}

// ---- the end of a turn --------------------------------------------------------------------------
// What is armed by an event runs in the check phase, behind the events. What is armed elsewhere (by
// a timer, or between turns) runs in the idle phase, before the loop waits; and while there is an
// idle handle the loop does not wait at all, which is right for what is armed in between.

void Loop::State::arm(RingLink& task) {
  if (deferred.alone() && before_waiting != nullptr) {
    uv_idle_start(before_waiting.get(), [](uv_idle_t* raw) noexcept {
      if (raw->data != nullptr) static_cast<State*>(raw->data)->run_deferred();
    });
    uv_check_start(after_waiting.get(), [](uv_check_t* raw) noexcept {
      if (raw->data != nullptr) static_cast<State*>(raw->data)->run_deferred();
    });
  }
  task.join_before(deferred);
}

void Loop::State::run_deferred() {
  RingLink now_due;  // what is armed from here on waits for the next time
  now_due.replace(deferred);
  while (!now_due.alone()) LoopInternals::run_first_after(now_due);
  if (deferred.alone()) {
    uv_idle_stop(before_waiting.get());
    uv_check_stop(after_waiting.get());
  }
}

// ---- the public face ----------------------------------------------------------------------------

Result<std::unique_ptr<Loop>> Loop::create(const LoopOptions& options) {
  auto state = std::make_unique<State>();
  auto opened = state->open(options);
  std::unique_ptr<Loop> loop(new Loop(std::move(state)));
  if (!opened) return fail(std::move(opened.error()));
  return loop;
}

Loop::Loop(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Loop::~Loop() {
  state_->close();
}

void Loop::run() {
  // With a clock of one's own the timers that it has not reached keep nothing running: the clock
  // would have to be moved by something else that is left.
  const uv_run_mode mode = state_->clock == nullptr ? UV_RUN_DEFAULT : UV_RUN_ONCE;
  do {
    state_->turn(mode);
  } while (!state_->stopping &&
           (uv_loop_alive(state_->uv) != 0 || state_->has_posts() || state_->timer_due()));
  state_->stopping = false;
}

bool Loop::step() {
  return state_->turn(UV_RUN_NOWAIT);
}
bool Loop::step_waiting() {
  return state_->turn(UV_RUN_ONCE);
}

void Loop::stop() {
  state_->stopping = true;
  uv_stop(state_->uv);
}

Time Loop::now() const noexcept {
  return state_->now();
}
bool Loop::on_thread() const noexcept {
  return state_->thread == std::this_thread::get_id();
}
uv_loop_s* Loop::uv() const noexcept {
  return state_->uv;
}

void Loop::post(UniqueFunction<void()> task) {
  const std::lock_guard lock(state_->mutex);
  if (state_->closing) return;
  state_->posted.push_back(std::move(task));
  // Under the lock: once a task has run, its loop may be destroyed, and whoever posted it must be
  // done with the loop by then.
  if (state_->posted.size() == 1) uv_async_send(state_->wake_up.get());
}

void Loop::after(Millis delay, UniqueFunction<void()> task) {
  assert(on_thread() && "a loop was used from another thread; only post() may be");
  if (state_->closing) return;
  auto* timer = new LoopInternals::TimerState(*state_, std::move(task));
  timer->owned_by_loop = true;
  state_->start(*timer, delay);
}

void Loop::offload(UniqueFunction<void()> work, UniqueFunction<void()> done, Lane lane) {
  assert(on_thread() && "a loop was used from another thread; only post() may be");
  if (!state_->closing) state_->pool_work->add(lane, std::move(work), std::move(done));
}

Timer::Node::~Node() {
  loop.stop(*this);
  if (loop.running_timer == this) loop.running_timer = nullptr;
}

Timer::Timer(Loop& loop, UniqueFunction<void()> task)
    : node_(std::make_unique<Node>(LoopInternals::state(loop), std::move(task))) {}
Timer::~Timer() = default;
Timer::Timer(Timer&&) noexcept = default;
Timer& Timer::operator=(Timer&&) noexcept = default;
void Timer::start(Millis delay) {
  node_->loop.start(*node_, delay);
}
void Timer::stop() noexcept {
  node_->loop.stop(*node_);
}
bool Timer::running() const noexcept {
  return node_->place != TimerNode::kOut;
}

void Deferred::arm() {
  if (!armed()) LoopInternals::state(loop_).arm(*this);
}

LoopInternals::State& LoopInternals::state(Loop& loop) noexcept {
  return *loop.state_;
}

void LoopInternals::run_first_after(RingLink& ring) {
  Deferred& first = static_cast<Deferred&>(*ring.next());
  first.leave();
  first.run_deferred();  // which may destroy it
}

void* LoopInternals::find(Loop& loop, const void* key) noexcept {
  for (const State::Kept& kept : loop.state_->kept) {
    if (kept.key == key) return kept.object.get();
  }
  return nullptr;
}

void LoopInternals::keep(Loop& loop, const void* key, Shared shared) {
  loop.state_->kept.push_back({key, std::move(shared)});
}

}  // namespace v0
}  // namespace cleave
