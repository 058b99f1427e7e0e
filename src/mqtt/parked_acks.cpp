#include "mqtt/parked_acks.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <optional>
#include <span>
#include <utility>

#include "m2b/util/fail_point.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/thread.hpp"

namespace m2b {
namespace {

/// While the socket is full there is nothing to wait on: Paho's own thread empties it.
constexpr std::chrono::milliseconds kSocketRetry{2};
/// How often a callback that waits keeps the connection alive.
constexpr std::chrono::milliseconds kKeepAliveTick{250};
/// How often the spool is asked whether a large message has room by now.
constexpr std::chrono::seconds kRoomRecheck{1};
constexpr std::chrono::minutes kDiskRecheck{1};
/// No broker may have more messages unacknowledged (MQTT 5, section 2.2.1).
constexpr std::size_t kMostPacketIds = 65'535;

}  // namespace

/// What has come and is not done with, in order of arrival.
class ParkedAcks::Queue {
 public:
  explicit Queue(ParkedAcksOptions options) : options_(options) {}

  /// What can be acknowledged now, on the connection of that number.
  struct Ready {
    std::vector<paho::Ack> acks = {};
    std::vector<SpoolId> ids = {};  // of their records, for the log at debug alone
    std::uint64_t connection = 0;
    bool has_room_again = false;
    std::uint64_t room_wanted = 0;  // by a large message that was refused; 0: by none
    std::chrono::steady_clock::time_point room_wanted_since = {};
  };
  /// Where a message waits for its commit.
  struct Place {
    std::uint64_t number;
    MessageView message;
    std::stop_token withdraw;
  };

  std::uint64_t begin_connection() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    return ++connection_;
  }

  /// Whether messages of it are left that are in the spool's hands.
  [[nodiscard]] bool end_connection() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    taking_ = Taking::all;
    room_wanted_ = 0;
    first_of_connection_ = next_number();
    static_cast<void>(withdrawal_.request_stop());
    withdrawal_ = std::stop_source();
    room_.notify_all();
    return bytes_ > 0;
  }

  /// Only the session's thread.
  void keep_memory(bool keep) {
    if (keep && !library_) {
      library_.emplace();
    } else if (!keep) {
      library_.reset();
    }
  }

  /// Waits for room. Nothing when the message is not taken: it stays unacknowledged.
  [[nodiscard]] std::optional<Place> park(paho::Message message) {
    const MessageView view = message.view();
    const std::size_t bytes = message.bytes();
    const bool needs_ack = view.qos > 0;
    std::unique_lock lock(mutex_);
    if (needs_ack && taking_ != Taking::all) {
      return std::nullopt;
    }
    const auto has_room = [&] {
      return !open_ || bytes_ == 0 || bytes_ + bytes <= options_.max_bytes;
    };
    const auto give_up_at = std::chrono::steady_clock::now() + options_.patience;
    while (!room_.wait_for(lock, kKeepAliveTick, has_room)) {
      if (std::chrono::steady_clock::now() >= give_up_at) {
        refuse(needs_ack, bytes);
        return std::nullopt;
      }
      lock.unlock();
      message.keep_alive();
      lock.lock();
    }
    if (!open_) {
      return std::nullopt;
    }
    const paho::Ack ack = message.ack();
    parked_.push_back({std::move(message), ack, bytes, std::nullopt, SpoolId{}});
    bytes_ += bytes;
    return Place{next_number() - 1, view, needs_ack ? withdrawal_.get_token() : std::stop_token()};
  }

  /// Takes a place for the acknowledgement of a message that needs no commit.
  void park_finished(paho::Ack ack) {
    const std::lock_guard lock(mutex_);
    if (!open_ || taking_ != Taking::all || parked_.size() >= kMostPacketIds) {
      return;
    }
    parked_.push_back({std::nullopt, ack, 0, Durability::durable, SpoolId{}});
    ready_.notify_one();
  }

  /// Takes a place for a borrowed message, which fills none of the memory that is bounded here.
  [[nodiscard]] std::optional<Place> take_place(const paho::LargeMessage& message) {
    const bool needs_ack = message.ack().qos > 0;
    const std::lock_guard lock(mutex_);
    if (!open_ || (needs_ack && taking_ != Taking::all)) {
      return std::nullopt;
    }
    large_withdrawal_ = std::stop_source();
    parked_.push_back({std::nullopt, message.ack(), 0, std::nullopt, SpoolId{}});
    return Place{next_number() - 1, message.view(), large_withdrawal_.get_token()};
  }

  /// Waits until the spool is done with the borrowed message of that number, which it gives up when
  /// the connection ends, or when the spool makes no progress for the patience.
  void wait_until_finished(std::uint64_t number, const paho::LargeMessage& message, Spool& spool) {
    using Clock = std::chrono::steady_clock;
    std::uint64_t progress = spool.progress();
    auto give_up_at = Clock::now() + options_.patience;
    bool gave_up = false;
    std::unique_lock lock(mutex_);
    const auto is_finished = [&] {
      return number < first_ || parked_[number - first_].outcome.has_value();
    };
    while (!room_.wait_for(lock, kKeepAliveTick, is_finished)) {
      const bool withdraws = !open_ || Clock::now() >= give_up_at;
      if (withdraws) {
        gave_up = open_;
        static_cast<void>(large_withdrawal_.request_stop());
      }
      lock.unlock();
      if (withdraws) {
        spool.poke();  // it looks for what is withdrawn when it goes round
      }
      message.keep_alive();
      if (const std::uint64_t now = spool.progress(); now != progress) {
        progress = now;
        give_up_at = Clock::now() + options_.patience;
      }
      lock.lock();
    }
    if (gave_up && open_ && large_outcome_ == Durability::withdrawn) {
      const bool needs_ack = message.ack().qos > 0;
      refuse(needs_ack, message.view().payload.size());
      room_wanted_ = needs_ack ? message.view().payload.size() : 0;
      room_wanted_since_ = Clock::now();
      ready_.notify_one();
    }
  }

  /// The room that a large message wanted is there.
  void end_want() {
    const std::lock_guard lock(mutex_);
    room_wanted_ = 0;
  }

  /// The spool is done with the message of that number.
  void finish(std::uint64_t number, Durability durability, SpoolId id) {
    std::optional<paho::Message> finished;  // given back outside the lock
    const std::lock_guard lock(mutex_);
    Parked& parked = parked_[number - first_];
    finished.swap(parked.message);
    parked.outcome = durability;
    parked.id = id;
    large_outcome_ = finished ? large_outcome_ : durability;
    bytes_ -= parked.bytes;
    room_.notify_all();
    if (number == first_) {
      ready_.notify_one();
    }
  }

  /// Waits until something can be acknowledged, or there is room again after messages were refused.
  [[nodiscard]] Ready wait(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    Ready ready;
    const auto has_room_again = [this] {
      return taking_ == Taking::none && bytes_ <= options_.max_bytes / 2 && room_wanted_ == 0;
    };
    const auto is_ready = [&] { return is_front_done() || has_room_again(); };
    if (!ready_.wait(lock, stop, [&] { return is_ready() || room_wanted_ > 0; })) {
      return ready;
    }
    if (room_wanted_ > 0 && !is_ready()) {
      ready_.wait_for(lock, stop, kRoomRecheck, is_ready);
      ready.room_wanted = room_wanted_;
      ready.room_wanted_since = room_wanted_since_;
    }
    ready.connection = connection_;
    if (has_room_again()) {
      ready.has_room_again = true;
      taking_ = Taking::none_but_told;
    }
    while (is_front_done()) {
      const Parked& parked = parked_.front();
      if (first_ >= first_of_connection_ && parked.ack.qos > 0 &&
          parked.outcome == Durability::durable) {
        ready.acks.push_back(parked.ack);
        if (traces_) {
          ready.ids.push_back(parked.id);
        }
      }
      parked_.pop_front();
      ++first_;
    }
    return ready;
  }

  /// Waits a moment; false when stopped.
  [[nodiscard]] bool pause(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    ready_.wait_for(lock, stop, kSocketRetry, [] { return false; });
    return !stop.stop_requested();
  }

 private:
  /// What is taken of this connection's messages that need an acknowledgement.
  enum class Taking {
    all,
    none,           // one was refused
    none_but_told,  // and since then somebody was told that there is room
  };
  struct Parked {
    std::optional<paho::Message> message;  // until its outcome is known; of a borrowed one none
    paho::Ack ack;
    std::size_t bytes;
    std::optional<Durability> outcome;
    SpoolId id;  // of its record, once it is durable
  };

  [[nodiscard]] std::uint64_t next_number() const { return first_ + parked_.size(); }
  [[nodiscard]] bool is_front_done() const {
    return !parked_.empty() && parked_.front().outcome.has_value();
  }

  void refuse(bool needs_ack, std::size_t bytes) {
    if (!needs_ack) {
      if (const auto held_back = refusals_.admit("QoS 0")) {
        log::warn("mqtt", "a message of QoS 0 is lost: the spool has no room",
                  {{"repeated", *held_back}});
      }
      return;
    }
    taking_ = Taking::none;
    if (const auto held_back = refusals_.admit("no room")) {
      log::warn(
          "mqtt",
          "the spool takes nothing: messages stay unacknowledged with the broker until it does",
          {{"bytes", bytes},
           {"parked", parked_.size()},
           {"parked_bytes", bytes_},
           {"repeated", *held_back}});
    }
  }

  const ParkedAcksOptions options_;
  const bool traces_ = log::enabled(log::Level::debug);
  Repetition refusals_;
  /// Only while messages may outlive their handle: Paho takes a second longer to connect as long as
  /// there is another one. Touched by the session's thread alone.
  std::optional<paho::Library> library_;
  std::mutex mutex_;  // guards the fields below
  std::condition_variable room_;
  std::condition_variable_any ready_;
  std::deque<Parked> parked_;
  std::uint64_t first_ = 0;  // number of the front of parked_; they go on over all connections
  std::size_t bytes_ = 0;    // of messages without an outcome
  bool open_ = false;        // a connection is there
  std::uint64_t connection_ = 0;
  std::uint64_t first_of_connection_ = 0;
  Taking taking_ = Taking::all;
  std::stop_source withdrawal_;
  // Of the borrowed message, of which there is one at a time.
  std::stop_source large_withdrawal_;
  Durability large_outcome_ = Durability::closed;
  std::uint64_t room_wanted_ = 0;  // by one that was refused; 0: by none
  std::chrono::steady_clock::time_point room_wanted_since_;
};

ParkedAcks::ParkedAcks(Spool& spool, ReceiverStats& stats, ParkedAcksOptions options,
                       std::function<void()> on_room)
    : spool_(spool),
      stats_(stats),
      on_room_(std::move(on_room)),
      queue_(std::make_shared<Queue>(options)) {
  thread_ = start_thread("mqtt-acks", [this](const std::stop_token& stop) { run(stop); });
}

ParkedAcks::~ParkedAcks() { end_connection(); }

void ParkedAcks::begin_connection(paho::Client& client) {
  const std::lock_guard lock(client_mutex_);
  client_ = &client;
  connection_ = queue_->begin_connection();
}

void ParkedAcks::end_connection() noexcept {
  // First the queue: a callback that waits there holds Paho's lock, for which send() may wait with
  // the client's mutex.
  queue_->keep_memory(queue_->end_connection());
  const std::lock_guard lock(client_mutex_);
  client_ = nullptr;
}

void ParkedAcks::hand_over(paho::Message message) noexcept {
  fail_point("mqtt.arrived");
  stats_.count_received(message.view());
  if (message.view().payload.empty()) {
    if (message.ack().qos > 0) {
      queue_->park_finished(message.ack());
    }
    return;
  }
  if (auto place = queue_->park(std::move(message))) {
    spool_.append(
        place->message,
        [queue = queue_, number = place->number](Durability durability, SpoolId id) {
          queue->finish(number, durability, id);
        },
        std::move(place->withdraw));
  }
}

void ParkedAcks::hand_over_large(const paho::LargeMessage& message) noexcept {
  fail_point("mqtt.arrived");
  stats_.count_received(message.view());
  if (auto place = queue_->take_place(message)) {
    spool_.append(
        place->message,
        [queue = queue_, number = place->number](Durability durability, SpoolId id) {
          queue->finish(number, durability, id);
        },
        std::move(place->withdraw));
    queue_->wait_until_finished(place->number, message, spool_);
  }
}

/// Whether a disk that failed is well again only the message itself can show, so it comes at
/// intervals.
bool ParkedAcks::may_come_again(std::uint64_t bytes,
                                std::chrono::steady_clock::time_point refused_at) const {
  const Intake intake = spool_.intake();
  const bool disk_failed = intake == Intake::disk_full || intake == Intake::disk_error;
  const bool waited = std::chrono::steady_clock::now() - refused_at >= kDiskRecheck;
  return spool_.has_room_for(bytes) && (!disk_failed || waited);
}

void ParkedAcks::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const Queue::Ready ready = queue_->wait(stop);
    send(ready.acks, ready.ids, ready.connection, stop);
    if (ready.room_wanted > 0 && may_come_again(ready.room_wanted, ready.room_wanted_since)) {
      queue_->end_want();
    }
    if (ready.has_room_again) {
      on_room_();
    }
  }
}

void ParkedAcks::trace(std::span<const paho::Ack> acks, std::span<const SpoolId> ids) {
  for (std::size_t i = 0; i < acks.size(); ++i) {
    log::debug("mqtt", "acknowledged",
               {{"id", to_number(ids[i])}, {"qos", acks[i].qos}, {"packet_id", acks[i].packet_id}});
  }
}

/// What is left when the connection ends is delivered again by the broker.
void ParkedAcks::send(std::span<const paho::Ack> acks, std::span<const SpoolId> ids,
                      std::uint64_t connection, const std::stop_token& stop) {
  while (!acks.empty()) {
    std::size_t done = 0;
    {
      const std::lock_guard lock(client_mutex_);
      if (client_ == nullptr || connection_ != connection) {
        return;
      }
      done = client_->acknowledge(acks);
    }
    stats_.acknowledged.fetch_add(done, std::memory_order_relaxed);
    if (!ids.empty()) {
      trace(acks.first(done), ids);
      ids = ids.subspan(done);
    }
    acks = acks.subspan(done);
    if (!acks.empty() && !queue_->pause(stop)) {
      return;
    }
  }
}

}  // namespace m2b
