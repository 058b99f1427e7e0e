#include "m2b/mqtt/receiver.hpp"

#include <fmt/format.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/thread.hpp"
#include "mqtt/ack_after_commit.hpp"
#include "mqtt/paho_client.hpp"
#include "mqtt/reason_codes.hpp"
#include "mqtt/subscription.hpp"
#include "mqtt/version_choice.hpp"

namespace m2b {
namespace {

constexpr const char* kClientIdNote = "mqtt.client_id";
constexpr const char* kSubscriptionNote = "mqtt.subscription";
/// A connection that held so long ends the backoff; shorter ones (a fight over the client id, a
/// broker that throws us out) let it grow.
constexpr std::chrono::seconds kStableConnection{10};

/// What Paho reported.
struct Event {
  enum class Kind {
    connected,
    connect_failed,
    connection_lost,
    subscribed,
    subscribe_failed,
    disconnected
  };
  Kind kind = Kind::connection_lost;
  bool session_present = false;  // connected
  bool dropped = false;          // connect_failed: the connection ended before an answer
  int code = 0;                  // connect_failed, subscribe_failed
  std::vector<int> codes = {};   // subscribed: one a filter
};

const char* name_of(MqttVersion version) noexcept {
  return version == MqttVersion::v5 ? "5" : "3.1.1";
}

}  // namespace

class Receiver::Session final : public paho::Events {
 public:
  Session(const MqttOptions& options, Spool& spool)
      : options_(options),
        spool_(spool),
        ack_(spool, stats_),
        version_(options.version),
        backoff_(options.backoff) {}

  void start() {
    thread_ = start_thread("mqtt-session", [this](const std::stop_token& stop) { run(stop); });
  }

  [[nodiscard]] bool stop(std::chrono::milliseconds patience) {
    thread_.request_stop();
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [this] { return finished_; })) {
      return false;
    }
    lock.unlock();
    thread_.join();
    return true;
  }

  [[nodiscard]] const ReceiverStats& stats() const noexcept { return stats_; }

  // Paho's threads.
  void on_connected(bool session_present) noexcept override {
    post({.kind = Event::Kind::connected, .session_present = session_present});
  }
  void on_connect_failed(int code, bool dropped) noexcept override {
    post({.kind = Event::Kind::connect_failed, .dropped = dropped, .code = code});
  }
  void on_connection_lost() noexcept override { post({.kind = Event::Kind::connection_lost}); }
  void on_server_disconnect(int reason_code) noexcept override {
    log::warn("mqtt", "broker ended the connection",
              {{"code", reason_code}, {"meaning", describe_reason_code(reason_code)}});
  }
  void on_subscribed(std::vector<int> codes) noexcept override {
    post({.kind = Event::Kind::subscribed, .codes = std::move(codes)});
  }
  void on_subscribe_failed(int code) noexcept override {
    post({.kind = Event::Kind::subscribe_failed, .code = code});
  }
  void on_disconnected() noexcept override { post({.kind = Event::Kind::disconnected}); }
  void on_message(const MessageView& message) noexcept override { ack_.hand_over(message); }

 private:
  using Clock = std::chrono::steady_clock;

  void post(Event event) noexcept {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }

  /// The next event; nothing when stop was requested or the time is over.
  [[nodiscard]] std::optional<Event> next_event(const std::stop_token& stop,
                                                Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, stop, deadline, [this] { return !events_.empty(); })) {
      return std::nullopt;
    }
    std::optional<Event> event(std::move(events_.front()));
    events_.pop_front();
    return event;
  }

  void run(const std::stop_token& stop) {
    const bool knows_its_id = find_client_id();
    while (knows_its_id && !stop.stop_requested()) {
      const auto started = Clock::now();
      try {
        if (connect(stop)) {
          serve(stop);
        }
      } catch (const paho::Error& error) {
        log::error("mqtt", "connection given up", {{"cause", error.what()}});
        client_.reset();
      }
      if (stop.stop_requested()) {
        break;
      }
      stats_.connected = false;
      stats_.subscribed = false;
      if (Clock::now() - started >= kStableConnection) {
        backoff_.reset();
      }
      static_cast<void>(sleep_for(backoff_.next(), stop));
    }
    say_goodbye();
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  }

  /// The id by which the broker knows us over restarts: made once for each spool, so that two
  /// bridges never throw each other out. It is on disk before the broker hears it: killed in
  /// between, we would come back as somebody else, and what the broker keeps for the first one
  /// would wait for ever. False when the spool was closed first.
  [[nodiscard]] bool find_client_id() {
    client_id_ = options_.client_id;
    if (!client_id_.empty()) {
      return true;
    }
    if (auto kept = spool_.read_note(kClientIdNote)) {
      client_id_ = *std::move(kept);
      return true;
    }
    client_id_ = fmt::format("mqtt-to-blob-{:08x}", std::random_device{}());
    return spool_.write_note(kClientIdNote, client_id_).get() == Durability::durable;
  }

  /// One attempt; true when the broker has accepted us.
  [[nodiscard]] bool connect(const std::stop_token& stop) {
    if (!client_ || client_->version() != version_.current()) {
      client_.reset();
      client_.emplace(options_, client_id_, version_.current(), *this);
    }
    drop_old_events();
    client_->connect();
    // Paho gives up by itself after connect_timeout; the name look-up comes on top of it.
    const auto deadline = Clock::now() + 2 * options_.connect_timeout + std::chrono::seconds(30);
    while (const auto event = next_event(stop, deadline)) {
      if (event->kind == Event::Kind::connected) {
        on_accepted(event->session_present);
        return true;
      }
      if (event->kind == Event::Kind::connect_failed) {
        on_refused(event->code, event->dropped);
        return false;
      }
    }
    if (!stop.stop_requested()) {
      on_refused(-1, false);
    }
    client_.reset();
    return false;
  }

  void on_accepted(bool session_present) {
    version_.connected();
    failures_.reset();
    stats_.connects.fetch_add(1, std::memory_order_relaxed);
    stats_.connected = true;
    session_present_ = session_present;
    log::info("mqtt", "connected",
              {{"broker", broker()},
               {"version", name_of(client_->version())},
               {"client_id", client_id_},
               {"session_present", session_present}});
  }

  void on_refused(int code, bool dropped) {
    stats_.connect_failures.fetch_add(1, std::memory_order_relaxed);
    const MqttVersion tried = version_.current();
    version_.failed(is_unsupported_version(code) || dropped);
    const std::string_view meaning =
        dropped ? "connection closed before an answer" : describe_reason_code(code);
    const auto held_back = failures_.admit(meaning);
    if (!held_back) {
      return;
    }
    const bool falls_back = tried != version_.current();
    const auto level =
        needs_a_person(code) && !falls_back ? log::Level::error : log::Level::warning;
    log::write(level, "mqtt", "connection refused",
               {{"broker", broker()},
                {"code", code},
                {"meaning", meaning},
                {"version", name_of(tried)},
                {"next_version", name_of(version_.current())},
                {"username", options_.username},
                {"repeated", *held_back}});
  }

  /// Subscribes where the broker does not have it, then waits for the end of the connection.
  void serve(const std::stop_token& stop) {
    const Subscription wanted{client_id_, broker(), subscribe_qos(options_.qos, client_->version()),
                              options_.filters};
    if (!still_subscribed(wanted)) {
      client_->subscribe(wanted.filters, wanted.qos);
    } else {
      stats_.subscribed = true;
    }
    while (const auto event = next_event(stop, Clock::time_point::max())) {
      if (event->kind == Event::Kind::connection_lost) {
        stats_.connections_lost.fetch_add(1, std::memory_order_relaxed);
        log::warn("mqtt", "connection lost", {{"broker", broker()}});
        return;
      }
      if (event->kind == Event::Kind::subscribe_failed) {
        on_subscribe_refused(event->code);
        return hang_up(stop);
      }
      if (event->kind == Event::Kind::subscribed && !on_subscribe_answer(wanted, event->codes)) {
        return hang_up(stop);
      }
    }
  }

  /// Whether the broker still has this very subscription of ours. Says so when it should have had.
  [[nodiscard]] bool still_subscribed(const Subscription& wanted) {
    const auto text = spool_.read_note(kSubscriptionNote);
    const auto before = text ? decode_subscription(*text) : std::nullopt;
    if (!before || !before->same_session(wanted)) {
      return false;
    }
    if (!session_present_) {
      stats_.sessions_lost.fetch_add(1, std::memory_order_relaxed);
      log::warn("mqtt",
                "the broker has no session for us any more; what it held for us while we were away "
                "is lost there",
                {{"broker", broker()}, {"client_id", client_id_}});
      return false;
    }
    if (*before == wanted) {
      return true;
    }
    const std::vector<std::string> old = no_longer_wanted(*before, wanted);
    if (!old.empty()) {
      log::info("mqtt", "unsubscribes filters of an earlier configuration",
                {{"first", old.front()}, {"count", old.size()}});
      client_->unsubscribe(old);
    }
    return false;
  }

  /// True when every filter was granted.
  [[nodiscard]] bool on_subscribe_answer(const Subscription& wanted,
                                         const std::vector<int>& codes) {
    constexpr int kFirstRefusal = 0x80;
    bool granted = true;
    for (std::size_t i = 0; i < wanted.filters.size(); ++i) {
      const int code = i < codes.size() ? codes[i] : kFirstRefusal;
      if (code >= kFirstRefusal) {
        granted = false;
        log::error("mqtt", "subscription refused, trying again",
                   {{"filter", wanted.filters[i]},
                    {"code", code},
                    {"meaning", describe_reason_code(code)}});
      } else {
        log_granted(wanted.filters[i], code);
      }
    }
    if (granted) {
      stats_.subscribed = true;
      // Not waited for: without the note a restart only subscribes once more.
      static_cast<void>(spool_.write_note(kSubscriptionNote, encode(wanted)));
    }
    return granted;
  }

  void log_granted(const std::string& filter, int qos) {
    if (qos == options_.qos) {
      log::info("mqtt", "subscribed", {{"filter", filter}, {"qos", qos}});
      return;
    }
    log::warn(
        "mqtt",
        client_->version() == MqttVersion::v5
            ? "subscribed with another QoS than configured: the broker granted no more"
            : "subscribed with another QoS than configured: on MQTT 3.1.1 no more than 1 is safe",
        {{"filter", filter}, {"qos", qos}, {"configured", options_.qos}});
  }

  void on_subscribe_refused(int code) {
    log::error("mqtt", "subscription refused, trying again",
               {{"filter", options_.filters.front()},
                {"count", options_.filters.size()},
                {"code", code},
                {"meaning", describe_reason_code(code)}});
  }

  /// Ends the connection so that the next attempt starts afresh.
  void hang_up(const std::stop_token& stop,
               std::chrono::milliseconds patience = std::chrono::seconds(5)) {
    client_->disconnect();
    const auto deadline = Clock::now() + patience;
    while (const auto event = next_event(stop, deadline)) {
      if (event->kind == Event::Kind::disconnected || event->kind == Event::Kind::connection_lost) {
        return;
      }
    }
  }

  void say_goodbye() {
    if (stats_.connected) {
      try {
        hang_up(std::stop_token(), std::chrono::milliseconds(500));
      } catch (const paho::Error& error) {
        log::debug("mqtt", "disconnect failed", {{"cause", error.what()}});
      }
    }
    stats_.connected = false;
    stats_.subscribed = false;
    client_.reset();
  }

  void drop_old_events() {
    const std::lock_guard lock(mutex_);
    events_.clear();
  }

  [[nodiscard]] std::string broker() const {
    return fmt::format("{}:{}", options_.host, options_.port);
  }

  const MqttOptions& options_;
  Spool& spool_;
  ReceiverStats stats_;
  AckAfterCommit ack_;

  // Only the mqtt-session thread touches these.
  std::string client_id_;
  VersionChoice version_;
  Backoff backoff_;
  Repetition failures_;
  bool session_present_ = false;
  std::optional<paho::Client> client_;

  std::mutex mutex_;  // guards the fields below
  std::condition_variable_any changed_;
  std::deque<Event> events_;
  bool finished_ = false;

  std::jthread thread_;
};

Receiver::Receiver(const MqttOptions& options, Spool& spool)
    : session_(std::make_unique<Session>(options, spool)) {}

Receiver::~Receiver() = default;

void Receiver::start() { session_->start(); }

bool Receiver::stop(std::chrono::milliseconds patience) { return session_->stop(patience); }

const ReceiverStats& Receiver::stats() const noexcept { return session_->stats(); }

}  // namespace m2b
