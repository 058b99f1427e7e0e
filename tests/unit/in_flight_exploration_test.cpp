#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "m2b/object/object.hpp"
#include "m2b/upload/put_outcome.hpp"
#include "pipeline/in_flight.hpp"

// Explores all interleavings of a few deliveries. A World is InFlight and a model of everything
// around it: spool, store, dispatcher, decoders, uploaders, budgets, and which of them sleep. In
// each state of the world each event that may come next is tried, until no new state appears. There
// are no pauses: a pause is over when somebody waits for its end.

namespace {

TEST_SUITE("in_flight_exploration") {
  using namespace m2b;
  using Time = InFlight::Time;

  // Of a scenario, with a sanitizer. No threads take part in it.
#if defined(__SANITIZE_THREAD__)
  constexpr std::size_t kMostIfSlow = 2;
  constexpr bool kIsSlow = true;
#elif defined(__SANITIZE_ADDRESS__)
  constexpr std::size_t kMostIfSlow = 3;
  constexpr bool kIsSlow = true;
#else
  constexpr std::size_t kMostIfSlow = 0;
  constexpr bool kIsSlow = false;
#endif
  constexpr std::size_t kMostRecords = 4;
  constexpr std::size_t kFairRunEvery = 307;  // states

  struct Violation : std::runtime_error {
    using std::runtime_error::runtime_error;
  };

  void require(bool holds, const std::string& what) {
    if (!holds) {
      throw Violation(what);
    }
  }

  struct RecordPlan {
    std::string name;  // its key is NAME.jpg
    std::optional<PutResult> refusal = {};
    std::size_t bytes = 0;
    bool is_refused_once = false;
  };

  /// What may happen in a world; a crash and the end of the refusal may at any time.
  struct Scenario {
    std::string name;
    std::vector<RecordPlan> records;  // their ids are 1, 2, ...
    bool is_steady = true;            // a refused one is refused each time, not just sometimes
    bool goes_live = false;
    bool has_batches = false;
    bool loses_answers = false;    // of any request, whether the store has the object or not
    bool asks = false;             // for the bucket, at the start; refused as the first record is
    bool has_dead_letter = false;  // to be uploaded, once; is refused as the first record is
    bool loses_worker = false;     // an uploader may give up its slot after a request
    std::size_t damaged = 0;       // the id of a record that may become unreadable
    unsigned hiccups = 0;          // so often that record is no object, nor can be a dead letter
    std::size_t budget = kMostRecords;
    std::size_t live_budget = 2;
    std::size_t workers = 2;
    Time::duration step = std::chrono::microseconds(1);  // between two events
  };

  enum class Kind : std::uint8_t {
    requeue,
    admit,
    admit_live,
    decode,
    reject,
    fail_to_decode,
    begin,
    begin_batch,
    begin_live,
    reach_store,
    store,
    refuse,
    lose_answer,
    remove,
    remove_live,
    move_to_dead_letters,
    fail_to_move,
    commit,
    offer_dead_letter,
    ask,
    answer,
    damage,
    end_refusal,
    crash
  };
  constexpr std::array kKindNames = {"requeue",
                                     "admit",
                                     "admit live",
                                     "decode",
                                     "reject",
                                     "fail to decode",
                                     "begin",
                                     "begin batch",
                                     "begin live",
                                     "reach store",
                                     "store",
                                     "refuse",
                                     "lose answer",
                                     "remove",
                                     "remove live",
                                     "move to dead letters",
                                     "fail to move",
                                     "commit",
                                     "offer dead letter",
                                     "ask",
                                     "answer",
                                     "damage",
                                     "end refusal",
                                     "crash"};

  struct Event {
    Kind kind{};
    std::uint8_t which = 0;
    std::uint8_t part = 0;
  };

  std::string to_text(const Event& event) {
    return std::string(kKindNames.at(static_cast<std::size_t>(event.kind))) + " " +
           std::to_string(event.which) + (event.part > 0 ? "/" + std::to_string(event.part) : "");
  }

  /// The byte budget of Flow, one byte a record.
  struct Budget {
    std::size_t total = 0;
    std::size_t used = 0;
    bool somebody_waits = false;

    bool try_acquire(std::size_t bytes) {
      if (used + bytes > total) {
        somebody_waits = true;
        return false;
      }
      used += bytes;
      return true;
    }
    bool release(std::size_t bytes) {
      require(bytes <= used, "more budget is freed than was taken");
      used -= bytes;
      return std::exchange(somebody_waits, false);
    }
  };

  /// A request to the store, and the work of its uploader after it.
  struct Request {
    enum class Phase : std::uint8_t { running, answered, removing, moving };
    std::vector<Delivery> deliveries;  // more than one: a batch
    std::uint8_t reached = 0;          // bits: has come to the store
    Phase phase = Phase::running;
    bool is_of_live_worker = false;
    bool is_probe = false;  // began while the circuit breaker for everything was open
  };

  /// Of the uploaders, those that wait to be woken up. An uploader that finds nothing sleeps at
  /// once, which is the worst case.
  struct Workers {
    std::size_t count = 0;
    std::size_t asleep = 0;
    void wake(std::size_t most) { asleep -= std::min(asleep, most); }
  };

  template <class Part>
  Part take(std::vector<Part> & from, std::size_t index) {
    Part part = std::move(from[index]);
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(index));
    return part;
  }

  constexpr std::uint8_t bit(std::size_t index) { return static_cast<std::uint8_t>(1U << index); }
  std::size_t index_of(const Delivery& delivery) { return to_number(delivery.id) - 1; }

  /// A scenario with its objects.
  struct Setting {
    explicit Setting(Scenario from) : scenario(std::move(from)) {
      for (const RecordPlan& record : scenario.records) {
        const auto known = std::find(names.begin(), names.end(), record.name);
        keys.push_back(static_cast<std::size_t>(known - names.begin()));
        if (known == names.end()) {
          names.push_back(record.name);
        }
        objects.push_back(make(record.name, record.bytes));
      }
      dead_letter = make("b/dead", 0);
      reaches_early = size() < 3 || scenario.goes_live || scenario.loses_answers ||
                      std::none_of(scenario.records.begin(), scenario.records.end(),
                                   [](const RecordPlan& record) { return record.refusal; });
    }

    static std::shared_ptr<const Object> make(const std::string& name, std::size_t bytes) {
      auto key = std::get<ObjectKey>(ObjectKey::from_image_id(name));
      return std::make_shared<const Object>(
          Object{std::move(key), std::string(bytes, 'x'), "image/jpeg", {}});
    }

    [[nodiscard]] std::size_t size() const { return scenario.records.size(); }
    /// Whether it gets through while others are refused: neither refused itself nor behind one.
    [[nodiscard]] bool is_good(std::size_t index) const {
      for (std::size_t i = 0; i < size(); ++i) {
        const auto& refusal = scenario.records[i].refusal;
        const bool is_before = keys[i] == keys[index] && i <= index;
        const bool is_steady = scenario.is_steady && !scenario.records[i].is_refused_once;
        if (is_steady && refusal && refusal->scope != Scope::object &&
            (is_before || refusal->is_unsent)) {
          return false;
        }
      }
      return true;
    }

    Scenario scenario;
    std::vector<std::string> names;
    std::vector<std::size_t> keys;  // of each record, index into names
    std::vector<std::shared_ptr<const Object>> objects;
    std::shared_ptr<const Object> dead_letter;
    /// Whether an object may come to the store before the end of its request. Only where that
    /// makes a difference or costs little time.
    bool reaches_early = false;
  };

  constexpr SpoolId kDeadLetterId{9};

  class World {
   public:
    explicit World(const Setting& setting)
        : setting_(&setting),
          now_(std::chrono::hours(1)),
          in_flight_(options(), 1),
          in_spool_(static_cast<std::uint8_t>((1U << setting.size()) - 1)),
          hiccups_left_(setting.scenario.hiccups),
          may_offer_(setting.scenario.has_dead_letter),
          asking_(setting.scenario.asks ? Asking::to_begin : Asking::done) {
      start();
    }

    /// The world after the event. Nothing if it does not come to it.
    [[nodiscard]] std::unique_ptr<World> after(const Event& event) const;
    [[nodiscard]] std::vector<Event> events() const;
    /// Nothing but a crash, for which see after(). False if it does not come to it; then nothing
    /// has changed.
    bool apply(const Event& event);
    /// Whether it happens in the end if nothing else goes wrong.
    [[nodiscard]] bool is_fair(const Event& event) const;

    [[nodiscard]] bool refusal_is_over() const { return refusal_is_over_; }
    /// All that can get through at the moment have got through.
    [[nodiscard]] bool is_done() const;
    /// Nothing is left, and all is as it should be.
    void check_end() const;
    [[nodiscard]] std::string text() const;
    /// What a crash leaves of it.
    [[nodiscard]] std::string durable_text() const;

   private:
    [[nodiscard]] const Scenario& scenario() const { return setting_->scenario; }
    [[nodiscard]] static InFlight::Options options() {
      using std::chrono::milliseconds;
      using std::chrono::seconds;
      const BackoffPolicy none{.base = milliseconds(0), .cap = milliseconds(0)};
      return {.probes = none, .retry = {.postponement = none, .dead_letter_after = seconds(0)}};
    }

    /// What is left of it after the process was killed, or the power failed.
    [[nodiscard]] std::unique_ptr<World> restarted() const;
    void start();
    /// Pauses are over at once.
    void pass(std::optional<Time> until) { now_ = std::max(now_, until.value_or(now_)); }
    void settle();
    void carry_out(InFlight::Steps steps);
    [[nodiscard]] bool can_begin(bool only_live) const;
    [[nodiscard]] bool can_begin_batch() const;
    [[nodiscard]] std::size_t busy(bool live_workers) const;
    Workers& workers_of(bool live) { return live ? live_workers_ : workers_; }
    [[nodiscard]] std::optional<std::size_t> next_to_admit() const;
    [[nodiscard]] const PutResult* refusal_of(const Delivery& delivery) const;
    [[nodiscard]] const PutResult* refusal_of(const Request& request) const;
    void requeue();
    bool admit();
    bool admit_live(std::size_t index);
    bool begin(bool only_live, bool as_batch);
    void check_begin(const Delivery& delivery) const;
    void store_object(const Delivery& delivery);
    void end(std::size_t index, const PutResult& result);
    void next_of(std::size_t index);
    void ask_to_remove(const Delivery& delivery);
    void move_to_dead_letters(const Delivery& delivery);
    void undecoded(const Delivery& delivery);
    void check_safety() const;
    /// One of its key was no object when its turn came, and may be put after later ones.
    [[nodiscard]] bool is_disordered(std::size_t index) const {
      return (disordered_ & bit(setting_->keys[index])) != 0;
    }
    [[nodiscard]] std::size_t key_of(const Delivery& delivery) const {
      return setting_->keys[index_of(delivery)];
    }

    const Setting* setting_;
    Time now_;
    InFlight in_flight_;

    // What outlives a crash.
    std::uint8_t in_spool_;
    std::uint8_t dead_ = 0;
    std::array<std::uint8_t, kMostRecords> store_{};  // by key: the id whose object is there
    std::uint8_t disordered_ = 0;                     // by key, see is_disordered()
    std::uint8_t refused_ = 0;                        // that are refused once
    bool is_damaged_ = false;
    bool refusal_is_over_ = false;
    unsigned hiccups_left_;
    bool may_offer_;

    enum class Asking : std::uint8_t { to_begin, running, done };
    Asking asking_;

    // The dispatcher.
    enum class Dispatcher : std::uint8_t { requeues, admits, sleeps };
    Dispatcher dispatcher_ = Dispatcher::requeues;
    bool news_ = false;
    bool timer_ = false;  // wakes it as well
    std::size_t cursor_ = 0;
    std::size_t live_cursor_ = 0;

    Budget budget_;
    Budget live_budget_;
    std::vector<Delivery> to_decode_;
    Workers workers_;
    Workers live_workers_;
    std::vector<Request> requests_;
    std::optional<Delivery> stored_live_;
    std::vector<std::uint8_t> removals_;  // asked for, not committed
  };

  void World::start() {
    budget_.total = scenario().budget;
    live_budget_.total = scenario().live_budget;
    workers_.count = scenario().workers;
    live_workers_.count = scenario().goes_live ? 1 : 0;
    settle();
  }

  std::unique_ptr<World> World::restarted() const {
    auto world = std::make_unique<World>(*setting_);
    world->now_ = now_;
    world->in_spool_ = in_spool_;
    world->dead_ = dead_;
    world->store_ = store_;
    world->disordered_ = disordered_;
    world->refused_ = refused_;
    world->is_damaged_ = is_damaged_;
    world->refusal_is_over_ = refusal_is_over_;
    world->hiccups_left_ = hiccups_left_;
    world->may_offer_ = may_offer_;
    return world;
  }

  // What may happen next.

  std::vector<Event> World::events() const {
    std::vector<Event> found;
    const auto add = [&found](Kind kind, std::size_t which = 0, std::size_t part = 0) {
      found.push_back({kind, static_cast<std::uint8_t>(which), static_cast<std::uint8_t>(part)});
    };
    if (dispatcher_ == Dispatcher::requeues || (dispatcher_ == Dispatcher::sleeps && timer_)) {
      add(Kind::requeue);
    }
    if (dispatcher_ == Dispatcher::admits) {
      add(Kind::admit);
    }
    if (scenario().goes_live && in_flight_.may_admit_live()) {
      for (std::size_t i = std::max(cursor_, live_cursor_); i < setting_->size(); ++i) {
        add(Kind::admit_live, i);
      }
    }
    for (std::size_t i = 0; i < to_decode_.size(); ++i) {
      const bool is_special = index_of(to_decode_[i]) + 1 == scenario().damaged;
      add(is_special && is_damaged_ ? Kind::reject : Kind::decode, i);
      if (is_special && hiccups_left_ > 0 && to_decode_[i].lane == Lane::in_turn) {
        add(Kind::fail_to_decode, i);
      }
    }
    if (busy(false) + workers_.asleep < workers_.count) {
      add(Kind::begin);
      if (scenario().has_batches) {
        add(Kind::begin_batch);
      }
    }
    if (busy(true) + live_workers_.asleep < live_workers_.count) {
      add(Kind::begin_live);
    }
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      const Request& request = requests_[i];
      const bool may_lose_worker =
          scenario().loses_worker && workers_.count > 1 && !request.is_of_live_worker;
      switch (request.phase) {
        case Request::Phase::running: {
          const PutResult* const refusal = refusal_of(request);
          if (refusal != nullptr && request.reached == 0) {
            add(Kind::refuse, i);
            if (may_lose_worker) {
              add(Kind::refuse, i, 1);
            }
          }
          if (refusal == nullptr || !scenario().is_steady) {
            for (std::size_t j = 0; j < request.deliveries.size(); ++j) {
              if ((request.reached & bit(j)) == 0 && setting_->reaches_early) {
                add(Kind::reach_store, i, j);
              }
            }
            add(Kind::store, i);
            if (scenario().loses_answers) {
              add(Kind::lose_answer, i);
            }
          }
          break;
        }
        case Request::Phase::answered:
          add(Kind::store, i);
          break;
        case Request::Phase::removing:
          add(Kind::remove, i);
          if (may_lose_worker) {
            add(Kind::remove, i, 1);
          }
          break;
        case Request::Phase::moving:
          add(Kind::move_to_dead_letters, i);
          if (hiccups_left_ > 0) {
            add(Kind::fail_to_move, i);
          }
          break;
      }
    }
    if (stored_live_) {
      add(Kind::remove_live);
    }
    if (!removals_.empty()) {
      add(Kind::commit);
    }
    if (may_offer_) {
      add(Kind::offer_dead_letter);
    }
    if (asking_ == Asking::to_begin) {
      add(Kind::ask);
    }
    if (asking_ == Asking::running) {
      add(Kind::answer);
    }
    if (scenario().damaged != 0 && scenario().hiccups == 0 && !is_damaged_) {
      add(Kind::damage);
    }
    if (!refusal_is_over_) {
      add(Kind::end_refusal);
    }
    add(Kind::crash);
    return found;
  }

  bool World::is_fair(const Event& event) const {
    switch (event.kind) {
      case Kind::fail_to_decode:
      case Kind::lose_answer:
      case Kind::fail_to_move:
      case Kind::damage:
      case Kind::end_refusal:
      case Kind::crash:
        return false;
      case Kind::refuse:
        return scenario().is_steady && event.part == 0;
      case Kind::remove:
        return event.part == 0;
      case Kind::begin:
        return !scenario().has_batches || !can_begin_batch();
      default:
        return true;
    }
  }

  const PutResult* World::refusal_of(const Delivery& delivery) const {
    const std::size_t index = delivery.lane == Lane::dead_letter ? 0 : index_of(delivery);
    const RecordPlan& record = scenario().records[index];
    const bool is_over =
        refusal_is_over_ || (record.is_refused_once && (refused_ & bit(index)) != 0);
    return record.refusal && !is_over ? &*record.refusal : nullptr;
  }

  const PutResult* World::refusal_of(const Request& request) const {
    for (const Delivery& delivery : request.deliveries) {
      if (const PutResult* const refusal = refusal_of(delivery)) {
        return refusal;
      }
    }
    return nullptr;
  }

  std::size_t World::busy(bool live_workers) const {
    return static_cast<std::size_t>(
        std::count_if(requests_.begin(), requests_.end(), [live_workers](const Request& request) {
          return request.is_of_live_worker == live_workers;
        }));
  }

  bool World::can_begin(bool only_live) const {
    const UploadLanes& lanes = in_flight_.lanes();
    if (!in_flight_.breakers().all_open() && (only_live ? lanes.live_may_go() : lanes.size() > 0)) {
      return true;
    }
    InFlight trial(in_flight_);  // there may be a probe
    return trial.next_upload_at() || trial.next_upload(only_live, now_);
  }

  /// UploadWorker::fits_batch(), for the next two.
  bool World::can_begin_batch() const {
    const auto fits = [](const Delivery& delivery) {
      return !delivery.goes_alone && !delivery.is_probe && delivery.history.refusals == 0 &&
             delivery.lane != Lane::dead_letter;
    };
    InFlight trial(in_flight_);
    const auto first = trial.next_upload(/*only_live=*/false, now_);
    const auto second = first ? trial.next_of_batch(first->lane) : std::nullopt;
    return second && fits(*first) && fits(*second);
  }

  std::optional<std::size_t> World::next_to_admit() const {
    for (std::size_t i = cursor_; i < setting_->size(); ++i) {
      if ((in_spool_ & bit(i)) != 0) {
        return i;
      }
    }
    return std::nullopt;
  }

  // What happens.

  std::unique_ptr<World> World::after(const Event& event) const {
    if (event.kind == Kind::crash) {
      return restarted();
    }
    auto world = std::make_unique<World>(*this);
    return world->apply(event) ? std::move(world) : nullptr;
  }

  bool World::apply(const Event& event) {
    now_ += scenario().step;
    const std::size_t requests_before = requests_.size();
    InFlight::Steps steps;
    switch (event.kind) {
      case Kind::requeue:
        requeue();
        break;
      case Kind::admit:
        if (!admit()) {
          dispatcher_ = Dispatcher::sleeps;
        }
        break;
      case Kind::admit_live:
        if (!admit_live(event.which)) {
          return false;
        }
        break;
      case Kind::decode: {
        Delivery delivery = take(to_decode_, event.which);
        delivery.set_object(setting_->objects[index_of(delivery)]);
        in_flight_.decoded(std::move(delivery), steps);
        break;
      }
      case Kind::reject: {
        const Delivery delivery = take(to_decode_, event.which);
        if (delivery.lane == Lane::live) {
          in_flight_.gone(delivery, now_, steps);
        } else {
          move_to_dead_letters(delivery);
        }
        break;
      }
      case Kind::fail_to_decode:
        undecoded(take(to_decode_, event.which));
        break;
      case Kind::begin:
      case Kind::begin_batch:
      case Kind::begin_live:
        if (!begin(event.kind == Kind::begin_live, event.kind == Kind::begin_batch)) {
          return false;
        }
        break;
      case Kind::reach_store:
        requests_[event.which].reached |= bit(event.part);
        store_object(requests_[event.which].deliveries[event.part]);
        break;
      case Kind::store:
        end(event.which, stored_result());
        break;
      case Kind::refuse: {
        const PutResult& refusal = *refusal_of(requests_[event.which]);
        for (const Delivery& delivery : requests_[event.which].deliveries) {
          const bool is_once = delivery.lane != Lane::dead_letter &&
                               scenario().records[index_of(delivery)].is_refused_once;
          refused_ |= is_once ? bit(index_of(delivery)) : std::uint8_t{0};
        }
        end(event.which, refusal);
        break;
      }
      case Kind::lose_answer: {
        PutResult lost;
        lost.code = "connection_reset";
        end(event.which, lost);
        break;
      }
      case Kind::remove: {
        const Delivery delivery = requests_[event.which].deliveries.front();
        ask_to_remove(delivery);
        in_flight_.removed(delivery, now_, steps);
        next_of(event.which);
        break;
      }
      case Kind::remove_live: {
        const Delivery delivery = *std::exchange(stored_live_, std::nullopt);
        ask_to_remove(delivery);
        in_flight_.removed_live(delivery, steps);
        break;
      }
      case Kind::move_to_dead_letters:
        move_to_dead_letters(take(requests_, event.which).deliveries.front());
        break;
      case Kind::fail_to_move:
        undecoded(take(requests_, event.which).deliveries.front());
        break;
      case Kind::commit:
        in_spool_ &= static_cast<std::uint8_t>(~bit(removals_.front()));
        removals_.erase(removals_.begin());
        break;
      case Kind::offer_dead_letter: {
        may_offer_ = false;
        Delivery delivery{.id = kDeadLetterId, .lane = Lane::dead_letter};
        delivery.set_object(setting_->dead_letter);
        in_flight_.add_dead_letter(std::move(delivery), steps);
        steps = {};
        workers_.wake(1);
        break;
      }
      case Kind::ask:
        pass(in_flight_.breakers().probe_at(CircuitBreakers::kEverything));
        if (!in_flight_.begin_ask(now_)) {
          return false;
        }
        asking_ = Asking::running;
        break;
      case Kind::answer: {
        asking_ = Asking::done;
        const auto& refusal = scenario().records.front().refusal;
        in_flight_.asked(refusal && !refusal_is_over_ ? *refusal : stored_result(), now_, steps);
        break;
      }
      case Kind::damage:
        is_damaged_ = true;
        break;
      case Kind::end_refusal:
        refusal_is_over_ = true;
        break;
      case Kind::crash:
        break;
    }
    carry_out(std::move(steps));
    if ((event.kind == Kind::refuse || event.kind == Kind::remove) && event.part == 1 &&
        requests_.size() < requests_before) {
      --workers_.count;  // its uploader gave up its slot
    }
    settle();
    check_safety();
    return true;
  }

  /// Flow::carry_out() and Flow::tell().
  void World::carry_out(InFlight::Steps steps) {
    for (Delivery& delivery : steps.to_decode) {
      to_decode_.push_back(std::move(delivery));
    }
    if (steps.stored_live) {
      require(!stored_live_, "two at the front of the order");
      stored_live_ = std::move(steps.stored_live);
    }
    bool has_changed = steps.has_probed || !steps.opened.empty() || !steps.closed.empty();
    if (has_changed) {
      workers_.asleep = live_workers_.asleep = 0;
    } else if (steps.ready > 0) {
      workers_.wake(steps.ready);
      live_workers_.wake(steps.has_ready_live ? 1 : 0);
    }
    if (steps.freed_bytes > 0) {
      has_changed = budget_.release(steps.freed_bytes) || has_changed;
    }
    if (steps.freed_live_bytes > 0) {
      has_changed = live_budget_.release(steps.freed_live_bytes) || has_changed;
    }
    news_ = news_ || has_changed || steps.has_postponed;
  }

  /// Whoever finds nothing to do sleeps, and the dispatcher wakes up if there is something.
  void World::settle() {
    for (const bool live : {false, true}) {
      Workers& workers = workers_of(live);
      const std::size_t idle = workers.count - busy(live);
      if (workers.asleep < idle && !can_begin(live)) {
        workers.asleep = idle;
      }
    }
    if (dispatcher_ == Dispatcher::sleeps && news_) {
      dispatcher_ = Dispatcher::requeues;
    }
    if (dispatcher_ == Dispatcher::requeues) {
      news_ = timer_ = false;  // it is going to look at everything anyway
    }
  }

  /// Flow::requeue(), and whether the dispatcher has something to do after it.
  void World::requeue() {
    pass(in_flight_.next_solo_at());
    while (const Delivery* const first = in_flight_.first_released()) {
      if (!budget_.try_acquire(first->record_bytes)) {
        break;
      }
      Delivery delivery = *in_flight_.take_released();
      require(delivery.object == nullptr && delivery.budget_bytes == 0,
              "a postponed one holds memory");
      delivery.budget_bytes = delivery.record_bytes;
      to_decode_.push_back(std::move(delivery));
    }
    if (auto solo = in_flight_.take_solo(now_)) {
      require(solo->object == nullptr && solo->budget_bytes == 0, "a postponed one holds memory");
      to_decode_.push_back(*std::move(solo));
    }
    timer_ = in_flight_.next_solo_at().has_value();
    dispatcher_ = Dispatcher::admits;
    if (!next_to_admit() || !in_flight_.may_admit()) {
      dispatcher_ = Dispatcher::sleeps;
    } else if (budget_.used + 1 > budget_.total) {
      budget_.somebody_waits = true;
      dispatcher_ = Dispatcher::sleeps;
    }
  }

  bool World::admit() {
    const auto next = next_to_admit();
    if (!next || !in_flight_.may_admit() || !budget_.try_acquire(1)) {
      return false;
    }
    InFlight::Steps steps;
    in_flight_.admit({.id = SpoolId{*next + 1}, .record_bytes = 1, .budget_bytes = 1}, steps);
    cursor_ = *next + 1;
    dispatcher_ = Dispatcher::requeues;
    carry_out(std::move(steps));
    return true;
  }

  bool World::admit_live(std::size_t index) {
    if ((in_spool_ & bit(index)) == 0 || !live_budget_.try_acquire(1)) {
      return false;
    }
    const Delivery delivery{
        .id = SpoolId{index + 1}, .record_bytes = 1, .budget_bytes = 1, .lane = Lane::live};
    in_flight_.admit_live(delivery.id);
    live_cursor_ = index + 1;
    to_decode_.push_back(delivery);
    return true;
  }

  void World::undecoded(const Delivery& delivery) {
    --hiccups_left_;
    if (!delivery.has_turn) {
      disordered_ |= bit(key_of(delivery));
    }
    InFlight::Steps steps;
    in_flight_.undecoded(delivery, now_, steps);
    carry_out(std::move(steps));
  }

  bool World::begin(bool only_live, bool as_batch) {
    if (as_batch && !can_begin_batch()) {
      return false;
    }
    pass(in_flight_.next_upload_at());
    const bool is_probe = in_flight_.breakers().all_open();
    const auto is_running_probe = [](const Request& request) {
      return request.is_probe && request.phase == Request::Phase::running;
    };
    require(!is_probe || std::none_of(requests_.begin(), requests_.end(), is_running_probe),
            "two probes of everything at a time");
    auto first = in_flight_.next_upload(only_live, now_);
    if (!first) {
      return false;
    }
    Request request;
    request.is_of_live_worker = only_live;
    request.is_probe = is_probe;
    check_begin(*first);
    const Lane lane = first->lane;
    request.deliveries.push_back(*std::move(first));
    if (as_batch) {
      request.deliveries.push_back(*in_flight_.next_of_batch(lane));
      check_begin(request.deliveries.back());
    }
    requests_.push_back(std::move(request));
    if (lane != Lane::live && in_flight_.lanes().live_may_go()) {
      live_workers_.wake(1);
    }
    return true;
  }

  void World::check_begin(const Delivery& delivery) const {
    if (delivery.lane == Lane::dead_letter) {
      return;
    }
    for (const Request& request : requests_) {
      for (const Delivery& other : request.deliveries) {
        if (other.lane == Lane::dead_letter || other.key_hash != delivery.key_hash) {
          continue;
        }
        require(
            other.lane == Lane::live && delivery.lane == Lane::in_turn && other.id != delivery.id,
            "two requests of a key at a time");
      }
    }
    if (delivery.lane == Lane::live) {
      return;
    }
    const auto is_left = [this](std::size_t index) {
      return (in_spool_ & bit(index)) != 0 &&
             std::find(removals_.begin(), removals_.end(), index) == removals_.end();
    };
    require(is_left(index_of(delivery)), "a removed one is uploaded");
    for (std::size_t i = 0; i < index_of(delivery); ++i) {
      require(!is_left(i) || setting_->keys[i] != key_of(delivery) || is_disordered(i),
              "an earlier one of its key waits");
    }
  }

  void World::store_object(const Delivery& delivery) {
    if (delivery.lane != Lane::dead_letter) {
      store_.at(key_of(delivery)) = static_cast<std::uint8_t>(to_number(delivery.id));
    }
  }

  void World::end(std::size_t index, const PutResult& result) {
    Request& request = requests_[index];
    const bool is_stored = result.outcome == PutOutcome::stored;
    if (is_stored && request.phase == Request::Phase::running) {
      for (std::size_t j = 0; j < request.deliveries.size(); ++j) {
        if ((request.reached & bit(j)) == 0) {
          store_object(request.deliveries[j]);
        }
      }
    }
    InFlight::Steps steps;
    if (!is_stored && request.deliveries.size() > 1) {
      in_flight_.batch_failed(take(requests_, index).deliveries, result, now_, steps);
      carry_out(std::move(steps));
      return;
    }
    Delivery& delivery = request.deliveries.front();
    const RetryAction action = in_flight_.ended(delivery, result, now_, steps);
    request.reached = 0;
    require(!is_stored || !in_flight_.breakers().all_open(),
            "everything is blocked after a success");
    if (delivery.lane == Lane::in_turn && action == RetryAction::remove) {
      request.phase = Request::Phase::removing;
    } else if (delivery.lane == Lane::in_turn && action == RetryAction::dead_letter) {
      require(result.scope == Scope::object, "a dead letter that is no fault of the object");
      request.phase = Request::Phase::moving;
    } else {
      require(!is_stored || delivery.lane != Lane::in_turn, "one that is stored is not removed");
      next_of(index);
    }
    carry_out(std::move(steps));
  }

  /// The first one of a request is done with; the others of a batch follow.
  void World::next_of(std::size_t index) {
    Request& request = requests_[index];
    request.deliveries.erase(request.deliveries.begin());
    request.phase = Request::Phase::answered;
    if (request.deliveries.empty()) {
      requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(index));
    }
  }

  void World::ask_to_remove(const Delivery& delivery) {
    const std::size_t index = index_of(delivery);
    require(store_.at(key_of(delivery)) > index || is_disordered(index),
            "removed, and the store does not have it");
    removals_.push_back(static_cast<std::uint8_t>(index));
  }

  void World::move_to_dead_letters(const Delivery& delivery) {
    dead_ |= bit(index_of(delivery));
    in_spool_ &= static_cast<std::uint8_t>(~bit(index_of(delivery)));
    InFlight::Steps steps;
    in_flight_.removed(delivery, now_, steps);
    carry_out(std::move(steps));
  }

  // What must be.

  void World::check_safety() const {
    for (std::size_t i = 0; i < setting_->size(); ++i) {
      if (((in_spool_ | dead_) & bit(i)) != 0) {
        continue;
      }
      const std::size_t key = setting_->keys[i];
      require(store_.at(key) > 0, "a message is lost");
      if (is_disordered(i)) {
        continue;
      }
      require(store_.at(key) > i, "an earlier message of the key stands");
      for (std::size_t j = 0; j < i; ++j) {
        require(setting_->keys[j] != key || (in_spool_ & bit(j)) == 0,
                "removed before the earlier one of its key");
      }
    }
  }

  bool World::is_done() const {
    for (std::size_t i = 0; i < setting_->size(); ++i) {
      if ((in_spool_ & bit(i)) != 0 && (refusal_is_over_ || setting_->is_good(i))) {
        return false;
      }
    }
    const bool is_idle = to_decode_.empty() && requests_.empty() &&
                         in_flight_.lanes().size() == 0 && asking_ != Asking::running;
    return is_idle || !refusal_is_over_;
  }

  void World::check_end() const {
    require(in_spool_ == 0, "it stands still with messages in the spool");
    require(to_decode_.empty() && requests_.empty() && !stored_live_, "something is under way");
    require(budget_.used == 0, "budget is left taken");
    require(live_budget_.used == 0, "budget of the live lane is left taken");
    require(in_flight_.lanes().size() == 0, "a delivery is left in the lanes");
    require(in_flight_.postponed().size() == 0, "a delivery is left postponed");
    require(in_flight_.may_admit() && in_flight_.may_admit_live(), "nothing more is admitted");
    const auto own = [](const InFlight& in_flight) {
      const std::string text = in_flight.state();
      return text.substr(0, text.find("postponed:"));
    };
    require(own(in_flight_) == own(InFlight(options(), 1)), "something is left");
    require(in_flight_.state().find("probed by") == std::string::npos, "a probe is left");
    for (std::size_t key = 0; key < setting_->names.size(); ++key) {
      std::size_t last = 0;
      for (std::size_t i = 0; i < setting_->size(); ++i) {
        last = setting_->keys[i] == key && (dead_ & bit(i)) == 0 ? i + 1 : last;
      }
      // A dead letter may have been stored before, by an upload whose end was not seen.
      const std::size_t stands = store_.at(key);
      const bool is_dead_letter = stands > last && (dead_ & bit(stands - 1)) != 0;
      require(stands == last || is_dead_letter || (disordered_ & bit(key)) != 0,
              "the last message of a key does not stand");
    }
  }

  std::string World::durable_text() const {
    std::string text;
    const auto add = [&text](std::string_view name, std::uint64_t number) {
      text += name;
      text += std::to_string(number);
    };
    const auto add_if = [&text](bool holds, std::string_view name) { text += holds ? name : ""; };
    add("spool ", in_spool_);
    add(" dead ", dead_);
    for (const std::uint8_t id : store_) {
      add(" has ", id);
    }
    add(" disordered ", disordered_);
    add(" refused ", refused_);
    add(" hiccups ", hiccups_left_);
    add_if(is_damaged_, " damaged");
    add_if(refusal_is_over_, " no refusal");
    add_if(may_offer_, " may offer");
    return text;
  }

  std::string World::text() const {
    const std::uint64_t stored_count = in_flight_.breakers().stored_count();
    std::string text = in_flight_.state();
    text.reserve(1024);
    const auto add = [&text](std::string_view name, std::uint64_t number) {
      text += name;
      text += std::to_string(number);
    };
    const auto add_if = [&text](bool holds, std::string_view name) { text += holds ? name : ""; };
    text += "\nworld: ";
    text += durable_text();
    for (const std::uint8_t index : removals_) {
      add(" removes ", index + 1U);
    }
    add(" asking ", static_cast<std::uint64_t>(asking_));
    add(" dispatcher ", static_cast<std::uint64_t>(dispatcher_));
    add(" at ", cursor_);
    add(" live at ", live_cursor_);
    add_if(news_, " news");
    add_if(timer_, " timer");
    add(" budget ", budget_.used);
    add(" live budget ", live_budget_.used);
    add_if(budget_.somebody_waits, " waits");
    add_if(live_budget_.somebody_waits, " live waits");
    add(" workers ", workers_.count);
    add(" asleep ", workers_.asleep);
    add(" live asleep ", live_workers_.asleep);
    // In any order they are the same.
    std::vector<std::string> parts;
    for (const Delivery& delivery : to_decode_) {
      parts.push_back("\ndecode " + delivery.state(stored_count));
    }
    for (const Request& request : requests_) {
      std::string& part = parts.emplace_back("\nrequest " + std::to_string(request.reached) + "/" +
                                             std::to_string(static_cast<int>(request.phase)) +
                                             (request.is_of_live_worker ? "L" : "") +
                                             (request.is_probe ? "p" : ""));
      for (const Delivery& delivery : request.deliveries) {
        part += " " + delivery.state(stored_count);
        if (!refusal_is_over_ || scenario().loses_answers) {
          part += "~" + std::to_string(stored_count - delivery.begun_mark);
        }
      }
    }
    if (stored_live_) {
      parts.push_back("\nstored live " + stored_live_->state(stored_count));
    }
    std::sort(parts.begin(), parts.end());
    for (const std::string& part : parts) {
      text += part;
    }
    return text;
  }

  // The search.

  class Exploration {
   public:
    explicit Exploration(const Scenario& scenario) : setting_(scenario) {}

    void run() {
      add(std::make_unique<World>(setting_), 0, {});
      while (!frontier_.empty()) {
        const auto world = std::move(frontier_.front());
        frontier_.pop_front();
        expand(*world);
      }
      check_progress();
    }

    [[nodiscard]] std::size_t states() const { return nodes_.size(); }
    [[nodiscard]] std::size_t transitions() const { return transitions_; }
    [[nodiscard]] std::size_t fair_runs() const { return runs_; }

   private:
    using Index = std::uint32_t;
    struct Node {
      Index parent = 0;
      Event event;
      bool is_done = false;
    };

    Index add(std::unique_ptr<World> world, Index parent, const Event& event) {
      const std::size_t print = std::hash<std::string>{}(world->text());
      const auto [known, is_new] = index_.try_emplace(print, static_cast<Index>(nodes_.size()));
      if (is_new) {
        nodes_.push_back({parent, event, world->is_done()});
        frontier_.push_back(std::move(world));
      }
      return known->second;
    }

    void expand(const World& world) {
      const Index from = expanded_++;
      bool goes_on = false;
      for (const Event& event : world.events()) {
        if (event.kind == Kind::crash && !restarted_.insert(world.durable_text()).second) {
          continue;  // another crash left the same
        }
        try {
          auto next = world.after(event);
          if (!next) {
            continue;
          }
          ++transitions_;
          const Index to = add(std::move(next), from, event);
          if (to != from && world.is_fair(event)) {
            edges_.emplace_back(to, from);
            goes_on = true;
          }
        } catch (const std::exception& e) {
          fail(e.what(), from, event);
        }
      }
      if (!goes_on) {
        try {
          world.check_end();
        } catch (const Violation& violation) {
          fail(violation.what(), from, std::nullopt);
        }
      }
      if (from % kFairRunEvery == 0) {
        run_fairly(world, from);
      }
    }

    /// From every state there is a way, without another crash or the end of the refusal, on which
    /// all that can get through get through.
    void check_progress() {
      std::sort(edges_.begin(), edges_.end());
      std::vector<bool> gets_there(nodes_.size());
      std::vector<Index> open;
      for (Index i = 0; i < nodes_.size(); ++i) {
        if (nodes_[i].is_done) {
          gets_there[i] = true;
          open.push_back(i);
        }
      }
      while (!open.empty()) {
        const Index to = open.back();
        open.pop_back();
        for (auto edge = std::lower_bound(edges_.begin(), edges_.end(), std::pair{to, Index{0}});
             edge != edges_.end() && edge->first == to; ++edge) {
          if (!gets_there[edge->second]) {
            gets_there[edge->second] = true;
            open.push_back(edge->second);
          }
        }
      }
      const auto stuck = std::find(gets_there.begin(), gets_there.end(), false);
      if (stuck != gets_there.end()) {
        fail("no way on which all that can get through do",
             static_cast<Index>(stuck - gets_there.begin()), std::nullopt);
      }
    }

    /// Everybody by turns: all that can get through do, the refused ones as well after the end of
    /// the refusal, and then nothing is left.
    void run_fairly(const World& from, Index index) {
      ++runs_;
      World world(from);
      try {
        run_until_done(world);
        if (!world.refusal_is_over()) {
          world.apply({Kind::end_refusal});
          run_until_done(world);
        }
        world.check_end();
      } catch (const std::exception& e) {
        fail(std::string("in a fair run: ") + e.what() + "\n" + world.text(), index, std::nullopt);
      }
    }

    void run_until_done(World& world) {
      constexpr std::size_t kRounds = 400;
      constexpr std::size_t kTurns = 2;  // as there are several uploaders
      constexpr auto kKinds = static_cast<std::size_t>(Kind::crash);
      for (std::size_t round = 0; round < kRounds; ++round) {
        for (std::size_t turn = 0; turn < kKinds * kTurns; ++turn) {
          // To and fro, so that nobody is always the first.
          const std::size_t place = turn / kTurns;
          const auto kind = static_cast<Kind>(round % 2 == 0 ? place : kKinds - 1 - place);
          std::vector<Event> events = world.events();
          std::erase_if(events, [&world, kind](const Event& event) {
            return event.kind != kind || !world.is_fair(event);
          });
          if (!events.empty()) {
            static_cast<void>(world.apply(events[round % events.size()]));
          }
        }
        if (world.is_done()) {
          return;
        }
      }
      throw Violation("it does not come to an end");
    }

    void fail(const std::string& what, Index at, const std::optional<Event>& last) {
      std::vector<Event> events;
      for (Index i = at; i != 0; i = nodes_[i].parent) {
        events.push_back(nodes_[i].event);
      }
      std::reverse(events.begin(), events.end());
      std::string trace;
      auto world = std::make_unique<World>(setting_);
      for (const Event& event : events) {
        world = world->after(event);
        trace += to_text(event) + "; ";
      }
      if (last) {
        trace += "then " + to_text(*last);
      }
      FAIL(setting_.scenario.name << ": " << what << "\nafter: " << trace << "\n" << world->text());
    }

    Setting setting_;
    std::deque<std::unique_ptr<World>> frontier_;
    std::unordered_map<std::size_t, Index> index_;  // by fingerprint
    std::vector<Node> nodes_;
    std::vector<std::pair<Index, Index>> edges_;  // to, from
    std::unordered_set<std::string> restarted_;   // as World::durable_text()
    Index expanded_ = 0;
    std::size_t transitions_ = 0;
    std::size_t runs_ = 0;
  };

  /// Explores the scenarios of a test case, and tells at its end how much that was.
  class Report {
   public:
    Report() = default;
    Report(const Report&) = delete;
    Report& operator=(const Report&) = delete;
    ~Report() { MESSAGE(states_ << " states, " << transitions_ << " transitions" << text_); }

    void explore(Scenario scenario) {
      if (kIsSlow) {
        const bool is_rich = scenario.goes_live || scenario.loses_answers || scenario.asks ||
                             scenario.has_dead_letter || scenario.damaged != 0;
        const std::size_t most = is_rich ? 2 : kMostIfSlow;
        scenario.records.resize(std::min(scenario.records.size(), most));
        scenario.workers = 1;
      }
      const auto started = std::chrono::steady_clock::now();
      Exploration exploration(scenario);
      exploration.run();
      const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now() - started);
      states_ += exploration.states();
      transitions_ += exploration.transitions();
      text_ += "\n  " + scenario.name + ": " + std::to_string(exploration.states()) + " states, " +
               std::to_string(exploration.transitions()) + " transitions, " +
               std::to_string(exploration.fair_runs()) + " fair runs, " +
               std::to_string(took.count()) + " ms";
    }

   private:
    std::size_t states_ = 0;
    std::size_t transitions_ = 0;
    std::string text_;
  };

  PutResult refused(Scope scope, std::string code) {
    PutResult result;
    result.http_status = 400;
    result.code = std::move(code);
    result.scope = scope;
    return result;
  }

  PutResult asking_to_wait() {
    PutResult result = refused(Scope::store, "SlowDown");
    result.retry_after = std::chrono::seconds(3);
    return result;
  }

  PutResult unsent() {
    PutResult result = refused(Scope::path, "could_not_connect");
    result.is_unsent = true;
    return result;
  }

  PutResult maybe_own_fault() {
    PutResult result = refused(Scope::ambiguous, "InvalidArgument");
    result.may_be_object_fault = true;
    return result;
  }

  constexpr std::size_t kLarge = 70'000;     // of another class of sizes
  constexpr std::chrono::seconds kLong{10};  // longer than what counts as lately
  const PutResult kDenied = refused(Scope::ambiguous, "AccessDenied");
  const PutResult kBusy = refused(Scope::store, "SlowDown");
  const PutResult kInvalid = refused(Scope::object, "KeyTooLongError");

  TEST_CASE("in any interleaving of uploads that succeed, the last message of each key stands") {
    Report report;
    report.explore({.name = "in turn", .records = {{"a/x"}, {"b/x"}, {"a/x"}, {"b/x"}}});
    report.explore({.name = "live", .records = {{"a/x"}, {"b/x"}, {"a/x"}}, .goes_live = true});
    report.explore({.name = "live, one uploader",
                    .records = {{"a/x"}, {"a/x"}, {"b/x"}, {"a/x"}},
                    .goes_live = true,
                    .live_budget = 1,
                    .workers = 1});
    report.explore(
        {.name = "batches", .records = {{"a/x"}, {"b/x"}, {"a/x"}, {"a/y"}}, .has_batches = true});
    report.explore({.name = "live, little room",
                    .records = {{"a/x"}, {"b/x"}, {"a/x"}},
                    .goes_live = true,
                    .has_batches = true,
                    .budget = 1,
                    .live_budget = 1});
  }

  TEST_CASE("in any interleaving in which answers are lost as well") {
    Report report;
    report.explore({.name = "in turn",
                    .records = {{"a/x"}, {"b/x"}, {"a/x"}},
                    .loses_answers = true,
                    .workers = 1});
    report.explore({.name = "two uploaders, batches",
                    .records = {{"a/x"}, {"a/y"}},
                    .has_batches = true,
                    .loses_answers = true});
    report.explore(
        {.name = "live", .records = {{"a/x"}, {"a/x"}}, .goes_live = true, .loses_answers = true});
  }

  TEST_CASE("refusals of each scope stop no other, and end") {
    Report report;
    for (const PutResult& refusal :
         {kInvalid, kDenied, maybe_own_fault(), refused(Scope::credentials, "InvalidAccessKeyId"),
          refused(Scope::bucket, "QuotaExceeded"), kBusy, asking_to_wait(),
          refused(Scope::path, "http_504"), unsent()}) {
      report.explore({.name = refusal.code + " of one",
                      .records = {{"b/x", refusal}, {"a/x"}, {"b/x"}},
                      .step = kLong});
      report.explore({.name = refusal.code + " of all",
                      .records = {{"b/x", refusal}, {"a/x", refusal}, {"b/x", refusal}},
                      .workers = 1});
      report.explore({.name = refusal.code + " sometimes",
                      .records = {{"b/x", refusal}, {"a/x", refusal}},
                      .is_steady = refusal.scope == Scope::object});
    }
  }

  TEST_CASE("refusals of each scope stop no live upload") {
    Report report;
    for (const PutResult& refusal : {kInvalid, kDenied, kBusy, unsent()}) {
      report.explore(
          {.name = refusal.code, .records = {{"b/x", refusal}, {"a/x"}}, .goes_live = true});
    }
    report.explore({.name = "little room",
                    .records = {{"b/x", kDenied}, {"a/x"}, {"b/x"}},
                    .goes_live = true,
                    .budget = 1,
                    .live_budget = 1,
                    .workers = 1});
  }

  TEST_CASE("a group that is refused stops no other") {
    Report report;
    report.explore({.name = "prefix",
                    .records = {{"b/x", kDenied}, {"b/y", kDenied}, {"b/z", kDenied}, {"a/x"}},
                    .workers = 1});
    report.explore({.name = "prefix, wide",
                    .records = {{"b/x", kBusy}, {"a/x"}, {"b/y", kBusy}, {"b/z", kBusy}},
                    .workers = 1});
    report.explore({.name = "all but one of the prefix",
                    .records = {{"b/x", kDenied}, {"b/y", kDenied}, {"b/z", kDenied}, {"b/w"}},
                    .budget = 2,
                    .workers = 1});
    report.explore(
        {.name = "sizes",
         .records = {
             {"b/x", kDenied, kLarge}, {"a/x"}, {"a/y", kDenied, kLarge}, {"b/x", {}, kLarge}}});
    report.explore({.name = "one of the prefix, once",
                    .records = {{"b/x", kDenied},
                                {"b/y", kDenied},
                                {"b/w", kDenied, 0, /*is_refused_once=*/true},
                                {"b/z", kDenied}},
                    .budget = 2,
                    .workers = 1});
    report.explore({.name = "another one, once",
                    .records = {{"b/x", kDenied, kLarge},
                                {"b/y", kDenied, kLarge},
                                {"a/x", kDenied, 0, /*is_refused_once=*/true},
                                {"b/z", kDenied, kLarge}},
                    .budget = 2,
                    .workers = 1});
    report.explore({.name = "batches",
                    .records = {{"b/x", kDenied}, {"a/x"}, {"b/x"}, {"a/y"}},
                    .has_batches = true,
                    .workers = 1});
    report.explore({.name = "several scopes",
                    .records = {{"b/x", kDenied}, {"b/y", kBusy}, {"a/x", kInvalid}, {"a/x"}},
                    .workers = 1});
    for (const PutResult& refusal : {kDenied, kBusy}) {
      report.explore({.name = refusal.code + " of the first of its key, room for two",
                      .records = {{"b/x", refusal}, {"b/x"}, {"b/x"}, {"a/x"}},
                      .budget = 2});
      report.explore({.name = refusal.code + " of two, room for two",
                      .records = {{"b/x", refusal}, {"b/y", refusal}, {"a/x"}, {"b/x"}},
                      .budget = 2,
                      .workers = 1});
      report.explore({.name = refusal.code + " of two, room for one",
                      .records = {{"b/x", refusal}, {"a/x"}, {"b/x"}, {"b/y", refusal}},
                      .budget = 1});
    }
  }

  TEST_CASE("what becomes unreadable, dead letters, questions and lost uploaders stop no other") {
    Report report;
    report.explore({.name = "unreadable",
                    .records = {{"a/x"}, {"b/x"}, {"a/x"}},
                    .goes_live = true,
                    .damaged = 1,
                    .live_budget = 1,
                    .workers = 1});
    for (const PutResult& refusal : {kInvalid, kDenied, kBusy}) {
      report.explore({.name = refusal.code + ", unreadable",
                      .records = {{"a/x", refusal}, {"b/x"}, {"a/x"}},
                      .damaged = 1});
      report.explore({.name = refusal.code + ", unreadable for a while",
                      .records = {{"a/x", refusal}, {"b/x", refusal}, {"a/x"}},
                      .damaged = 1,
                      .hiccups = 1,
                      .workers = 1});
      report.explore({.name = refusal.code + ", dead letter",
                      .records = {{"a/x", refusal}, {"b/x", refusal}, {"a/x"}},
                      .has_dead_letter = true,
                      .workers = 1});
      report.explore({.name = refusal.code + ", question",
                      .records = {{"a/x", refusal}, {"b/x", refusal}, {"a/x"}},
                      .asks = true,
                      .workers = 1});
      report.explore({.name = refusal.code + ", lost uploader",
                      .records = {{"a/x", refusal}, {"b/x", refusal}, {"a/x"}},
                      .loses_worker = true});
    }
  }
}

}  // namespace
