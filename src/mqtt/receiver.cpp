#include "m2b/mqtt/receiver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "m2b/tls/connect_probe.hpp"
#include "m2b/util/fail_point.hpp"
#include "m2b/util/host.hpp"
#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "m2b/util/secret_source.hpp"
#include "m2b/util/thread.hpp"
#include "mqtt/ack_after_commit.hpp"
#include "mqtt/acknowledger.hpp"
#include "mqtt/broker_addresses.hpp"
#include "mqtt/late_ack_check.hpp"
#include "mqtt/paho_client.hpp"
#include "mqtt/parked_acks.hpp"
#include "mqtt/reason_codes.hpp"
#include "mqtt/reconnect_pause.hpp"
#include "mqtt/subscriber.hpp"
#include "mqtt/version_choice.hpp"

namespace m2b {
namespace {

constexpr const char* kClientIdNote = "mqtt.client_id";
constexpr std::chrono::seconds kNoteRetry{1};
/// A callback that waits for the disk holds up Paho's pings, and the broker gives a client up after
/// one and a half intervals of keep-alive (MQTT 3.1.1, section 3.1.2.10).
constexpr int kPingsInPatience = 4;
/// How long finding out why a connection failed may hold up the next attempt.
constexpr std::chrono::milliseconds kProbePatience{3000};
/// How long a DISCONNECT may take to leave.
constexpr std::chrono::milliseconds kGoodbyePatience{500};

/// What Paho reported.
struct Event {
  enum class Kind {
    connected,
    connect_failed,
    connection_lost,
    server_disconnect,
    suback,
    disconnected,
    spool_has_room  // after messages of this connection were refused
  };
  Kind kind = Kind::connection_lost;
  bool session_present = false;       // connected
  bool dropped = false;               // connect_failed: the connection ended before an answer
  int code = 0;                       // connect_failed, server_disconnect
  std::vector<int> codes = {};        // suback
  ConnackProperties properties = {};  // connected
  BrokerStatement statement = {};     // connect_failed, server_disconnect, suback
};

const char* name_of(MqttVersion version) noexcept {
  return version == MqttVersion::v5 ? "5" : "3.1.1";
}

}  // namespace

void ReceiverStats::count_received(const MessageView& message) noexcept {
  received[std::min<std::size_t>(message.qos, 2)].fetch_add(1, std::memory_order_relaxed);
  if (message.payload.empty()) {
    empty.fetch_add(1, std::memory_order_relaxed);
  }
}

void ReceiverStats::count_connect_failure(std::string_view reason) {
  connect_failures.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  const auto known = connect_failures_by_reason_.find(reason);
  if (known != connect_failures_by_reason_.end()) {
    ++known->second;
  } else {
    connect_failures_by_reason_.emplace(reason, 1);
  }
}

std::map<std::string, std::uint64_t, std::less<>> ReceiverStats::connect_failures_by_reason()
    const {
  const std::lock_guard lock(mutex_);
  return connect_failures_by_reason_;
}

IncompleteMessage ReceiverStats::on_message_cut(std::size_t received_bytes,
                                                std::size_t total_bytes) {
  messages_cut.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (!incomplete_message_ || incomplete_message_->total_bytes != total_bytes) {
    incomplete_message_ = IncompleteMessage{.total_bytes = total_bytes};
    incomplete_bytes_ = total_bytes;
  }
  IncompleteMessage& message = *incomplete_message_;
  message.received_bytes = std::max(message.received_bytes, received_bytes);
  ++message.times;
  return message;
}

void ReceiverStats::on_packet_complete(std::size_t total_bytes) {
  const std::size_t awaited = incomplete_bytes_.load(std::memory_order_relaxed);
  if (awaited == 0 || total_bytes < awaited) {
    return;
  }
  const std::lock_guard lock(mutex_);
  incomplete_message_.reset();
  incomplete_bytes_ = 0;
}

class Receiver::Session final : public paho::Events {
 public:
  Session(const MqttOptions& options, Spool& spool)
      : options_(options),
        spool_(spool),
        subscriber_(options, spool, stats_),
        addresses_(bare_host(options.host)),
        version_(options.version),
        pause_(options.backoff),
        password_("MQTT_PASSWORD", options.password, options.password_file, &is_mqtt_password) {
    stats_.session_expiry_asked = options.session_expiry;
    stats_.keep_alive = options.keep_alive;
  }

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

  [[nodiscard]] bool hears_broker() const noexcept {
    const std::chrono::milliseconds keep_alive = stats_.keep_alive.load();
    return stats_.connected && (!paho::KeepAlive::is_linked() ||
                                Clock::now() - stats_.heard_at.load() <= keep_alive * 3 / 2);
  }

  [[nodiscard]] const Pulse& pulse() const noexcept { return pulse_; }

  void poke() {
    const std::lock_guard lock(mutex_);
    poked_ = true;
    changed_.notify_all();
  }

  // Paho's threads.
  void on_heard(paho::PacketProgress progress) noexcept override {
    stats_.heard_at.store(Clock::now(), std::memory_order_relaxed);
    received_bytes_.store(progress.received, std::memory_order_relaxed);
    total_bytes_.store(progress.total, std::memory_order_relaxed);
    if (progress.is_complete()) {
      stats_.on_packet_complete(progress.total);
    }
  }
  void on_connected(bool session_present, const ConnackProperties& properties) noexcept override {
    on_heard({});
    post({.kind = Event::Kind::connected,
          .session_present = session_present,
          .properties = properties});
  }
  void on_connect_failed(int code, bool dropped,
                         const BrokerStatement& statement) noexcept override {
    post({.kind = Event::Kind::connect_failed,
          .dropped = dropped,
          .code = code,
          .statement = statement});
  }
  void on_connection_lost() noexcept override { post({.kind = Event::Kind::connection_lost}); }
  void on_server_disconnect(int reason_code, const BrokerStatement& statement) noexcept override {
    post({.kind = Event::Kind::server_disconnect, .code = reason_code, .statement = statement});
  }
  void on_suback(std::vector<int> codes, const BrokerStatement& statement) noexcept override {
    post({.kind = Event::Kind::suback, .codes = std::move(codes), .statement = statement});
  }
  void on_disconnected() noexcept override { post({.kind = Event::Kind::disconnected}); }
  void on_message(paho::Message message) noexcept override {
    begin_message(message.view());
    acknowledger_->hand_over(std::move(message));
    end_message();
  }
  void on_large_message(const paho::LargeMessage& message) noexcept override {
    begin_message(message.view());
    acknowledger_->hand_over_large(message);
    end_message();
  }

 private:
  using Clock = std::chrono::steady_clock;

  void begin_message(const MessageView& message) noexcept {
    message_in_hand_ = true;
    stats_.message_at.store(message.received_at, std::memory_order_relaxed);
    stats_.last_message_at.store(Clock::now(), std::memory_order_relaxed);
    if (message.retained) {
      retained_came_ = true;
    }
  }
  void end_message() noexcept {
    messages_.fetch_add(1, std::memory_order_relaxed);
    message_in_hand_ = false;
    if (message_is_proof_) {
      const std::lock_guard lock(mutex_);
      if (message_is_proof_.exchange(false)) {
        stats_.subscribed = true;
      }
    }
  }

  /// A filter is known not to be granted, whatever messages of others seem to prove.
  void withdraw_proof() {
    const std::lock_guard lock(mutex_);
    message_is_proof_ = false;
    stats_.subscribed = false;
  }

  void post(Event event) noexcept {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }

  /// The next event; nothing when stop was requested or the time is over.
  [[nodiscard]] std::optional<Event> next_event(const std::stop_token& stop,
                                                Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    bool in_time = true;
    while (in_time && events_.empty()) {
      pulse_.beat();
      in_time =
          changed_.wait_until(lock, stop, deadline, [this] { return poked_ || !events_.empty(); });
      poked_ = false;
    }
    pulse_.rest();  // Paho may keep us for as long as a message waits for the disk
    if (!in_time) {
      return std::nullopt;
    }
    std::optional<Event> event(std::move(events_.front()));
    events_.pop_front();
    return event;
  }

  void run(const std::stop_token& stop) {
    if (find_client_id(stop)) {
      acknowledger_ = make_acknowledger();
      connect_for_ever(stop);
    }
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  }

  void connect_for_ever(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      try {
        if (connect(stop)) {
          serve(stop);
        }
      } catch (const std::runtime_error& error) {  // Paho's, or no port or thread for a relay
        if (const auto held_back = failures_.admit(error.what())) {
          log::warn("mqtt", "connection given up",
                    {{"cause", error.what()}, {"repeated", *held_back}});
        }
        stats_.on_trouble({.meaning = error.what()});
      }
      end_connection();
      if (!stop.stop_requested() && !std::exchange(calls_next_address_, false)) {
        static_cast<void>(sleep_for(pause_.next(Clock::now()), stop));
      }
    }
  }

  [[nodiscard]] std::unique_ptr<Acknowledger> make_acknowledger() {
    const std::string trouble = check_late_ack();
    if (trouble.empty()) {
      large_bytes_ = paho::LargeMessages::kLeastBytes;
    } else {
      log::warn("mqtt",
                "each message waits for a commit of its own, and a large one takes its size twice: "
                "Paho's internals cannot be used",
                {{"cause", trouble}});
    }
    if (!options_.group_commit || !trouble.empty()) {
      return std::make_unique<AckAfterCommit>(spool_, stats_);
    }
    return std::make_unique<ParkedAcks>(
        spool_, stats_, ParkedAcksOptions{.patience = options_.keep_alive / kPingsInPatience},
        [this] { post({.kind = Event::Kind::spool_has_room}); });
  }

  /// The id by which the broker knows us over restarts: made once for each spool, so that two
  /// bridges never throw each other out. It is on disk before the broker hears it: killed in
  /// between, we would come back as somebody else, and what the broker keeps for the first one
  /// would wait for ever. For the same reason a note that cannot be read is no reason for a new
  /// one. False when stopped or when the spool was closed first.
  [[nodiscard]] bool find_client_id(const std::stop_token& stop) {
    client_id_ = options_.client_id;
    if (!client_id_.empty()) {
      return true;
    }
    NoteRead note = spool_.read_note(kClientIdNote);
    while (std::holds_alternative<ReadFailed>(note)) {
      if (const auto held_back = failures_.admit("client id")) {
        log::error("mqtt", "the client id cannot be read from the spool, trying again",
                   {{"repeated", *held_back}});
      }
      if (!sleep_for(kNoteRetry, stop)) {
        return false;
      }
      note = spool_.read_note(kClientIdNote);
    }
    if (auto* const kept = std::get_if<std::string>(&note)) {
      client_id_ = std::move(*kept);
      return true;
    }
    client_id_ = fmt::format("mqtt-to-blob-{:08x}", std::random_device{}());
    fail_point("start.before_client_id");
    const Durability durability = spool_.write_note(kClientIdNote, client_id_).get();
    fail_point("start.after_client_id");
    return durability == Durability::durable;
  }

  /// One attempt, at one address; true when the broker has accepted us.
  [[nodiscard]] bool connect(const std::stop_token& stop) {
    address_.clear();
    if (!is_websocket(options_.transport)) {  // whose relay tries all addresses in one attempt
      const auto address = addresses_.next();
      if (!address) {
        on_not_looked_up();
        return false;
      }
      address_ = *address;
    }
    client_.emplace(options_, client_id_, version_.current(), acknowledger_->ack_time(), *this,
                    address_, large_bytes_);
    acknowledger_->begin_connection(*client_);
    fail_point("mqtt.before_connect");
    client_->connect(password_.current());
    // Paho gives up by itself after connect_timeout; the name look-up comes on top of it.
    const auto deadline = Clock::now() + 2 * options_.connect_timeout + std::chrono::seconds(30);
    while (const auto event = next_event(stop, deadline)) {
      if (event->kind == Event::Kind::connected) {
        on_accepted(*event);
        return true;
      }
      if (event->kind == Event::Kind::connect_failed) {
        on_refused(*event, stop);
        return false;
      }
    }
    if (!stop.stop_requested()) {
      on_refused({.kind = Event::Kind::connect_failed, .code = -1}, stop);
    }
    return false;
  }

  void on_not_looked_up() {
    version_.failed();
    const std::string meaning = fmt::format(
        "the name {} cannot be resolved ({}): is BROKER_URL right, and the name server there?",
        options_.host, addresses_.failure());
    stats_.count_connect_failure(describe_reason_code(-1));
    stats_.on_trouble({.meaning = meaning});
    if (const auto held_back = failures_.admit("look-up")) {
      log::warn("mqtt", "connection refused",
                {{"broker", broker()}, {"meaning", meaning}, {"repeated", *held_back}});
    }
  }

  void on_accepted(const Event& connected) {
    addresses_.answered();
    ConnackProperties properties = connected.properties;
    properties.session_expiry = properties.session_expiry.value_or(options_.session_expiry);
    const bool is_v5 = client_->version() == MqttVersion::v5;
    version_.connected();
    pause_.accepted(Clock::now());
    failures_.reset();
    stats_.connects.fetch_add(1, std::memory_order_relaxed);
    stats_.on_connack(is_v5 ? std::optional(properties) : std::nullopt);
    stats_.keep_alive = properties.keep_alive(options_.keep_alive);
    stats_.connected = true;
    session_present_ = connected.session_present;
    if (const auto held_back = comings_.admit("connected")) {
      log::info("mqtt", "connected",
                {{"broker", broker()},
                 {"address", address_},
                 {"version", name_of(client_->version())},
                 {"client_id", client_id_},
                 {"session_present", session_present_},
                 {"keep_alive_seconds", stats_.keep_alive.load().count()},
                 {"repeated", *held_back}});
    }
    if (is_v5) {
      tell_of(properties);
    }
  }

  /// What the broker grants otherwise than asked, and what it says about it. `session_expiry` is
  /// set.
  void tell_of(const ConnackProperties& properties) {
    if (const std::string text = properties.statement.text(); !text.empty()) {
      if (const auto held_back = comings_.admit(text)) {
        log::info("mqtt", "the broker accepted the connection with a statement",
                  {{"broker", broker()}, {"statement", text}, {"repeated", *held_back}});
      }
    }
    const std::chrono::seconds granted = *properties.session_expiry;
    if (granted >= options_.session_expiry) {
      return;
    }
    if (const auto held_back = comings_.admit("session expiry")) {
      log::warn("mqtt",
                granted.count() > 0
                    ? "the broker keeps our session for a shorter time than MQTT_SESSION_EXPIRY: "
                      "messages are lost there when we are away for longer"
                    : "the broker ends our session with each connection, whatever "
                      "MQTT_SESSION_EXPIRY asks for: messages published while we are away are "
                      "lost there",
                {{"broker", broker()},
                 {"asked_seconds", options_.session_expiry.count()},
                 {"granted_seconds", granted.count()},
                 {"repeated", *held_back}});
    }
  }

  void on_refused(const Event& refusal, const std::stop_token& stop) {
    const int code = refusal.code;
    bool dropped = refusal.dropped;
    const MqttVersion tried = version_.current();
    const bool is_tls = is_secure(options_.transport);
    const std::optional<RelayEnd> relay = code < 0 ? client_->relay_end() : std::nullopt;
    const bool was_open = !relay || relay->stage == RelayEnd::Stage::open;
    const bool upgrade_refused = relay && relay->stage == RelayEnd::Stage::upgrade;
    dropped = dropped && was_open;  // or Paho was not connected to the broker at all
    std::optional<ConnectFault> fault;
    if (!was_open && relay->stage != RelayEnd::Stage::tls) {
      fault = relay->fault;
    } else if (code < 0 && is_tls) {
      // Of TLS each time: Paho tells a failed handshake from a broker that hangs up by nothing.
      fault = find_fault(stop);
      if (!fault && !was_open) {
        fault = relay->fault;
      }
    }
    if (is_unsupported_version(code)) {
      version_.version_refused();
    } else if (dropped && !fault) {
      version_.hung_up();
    } else {
      version_.failed();
    }
    if (code < 0) {
      subscriber_.session_in_doubt();
    }
    const std::string_view meaning = upgrade_refused ? "WebSocket upgrade refused"
                                     : dropped       ? "connection closed before an answer"
                                                     : describe_reason_code(code);
    stats_.count_connect_failure(meaning);
    const auto held_back = failures_.admit(fmt::format("{} {}", address_, meaning));
    if (held_back && !fault && code < 0 && !is_tls && !dropped) {
      fault = find_fault(stop);
    }
    if (!fault && dropped && relay) {
      fault = relay->fault;  // how the broker closed the WebSocket; that is no fault of TCP or TLS
    }
    const bool falls_back = tried != version_.current();
    const bool is_for_a_person =
        fault ? fault->needs_a_person : needs_a_person(code) && !falls_back;
    const std::string text = fault ? fault->text : refusal.statement.behind(meaning);
    const std::string failures = try_next_address(code, falls_back, text);
    if (held_back || fault || !stats_.trouble()) {  // otherwise it was told, and better
      const bool is_silence = (code < 0 && !upgrade_refused) || dropped;
      stats_.on_trouble(
          {.kind = is_silence ? BrokerTrouble::Kind::no_answer : BrokerTrouble::Kind::refused,
           .meaning = !failures.empty() ? failures
                      : fault           ? fault->text
                                        : std::string(meaning),
           .statement = refusal.statement,
           .needs_a_person = is_for_a_person});
    }
    if (!held_back) {
      return;
    }
    const auto level = is_for_a_person ? log::Level::error : log::Level::warning;
    log::write(level, "mqtt", "connection refused",
               {{"broker", broker()},
                {"address", address_},
                {"code", code},
                {"meaning", text},
                {"version", name_of(tried)},
                {"next_version", name_of(version_.current())},
                {"username", options_.username},
                {"repeated", *held_back}});
  }

  /// Whose next turn it is after an attempt failed with that. An address that refuses us by an
  /// answer is that of the broker, and is asked again, unless it is a server that has no room or no
  /// time; so is one that may speak the older version. Returns what failed where the broker's name
  /// has several addresses and this one got no answer.
  [[nodiscard]] std::string try_next_address(int code, bool falls_back, const std::string& text) {
    if (is_websocket(options_.transport)) {
      return {};
    }
    const bool may_be_older = falls_back && version_.current() == MqttVersion::v3_1_1;
    if (may_be_older || (code >= 0 && !is_unavailable(code))) {
      addresses_.answered();
      return {};
    }
    calls_next_address_ = addresses_.failed(text);
    return addresses_.has_several() && code < 0 ? addresses_.failures() : std::string();
  }

  /// Paho only says that it failed.
  [[nodiscard]] std::optional<ConnectFault> find_fault(const std::stop_token& stop) const {
    const TlsOptions* const tls = is_secure(options_.transport) ? &options_.tls : nullptr;
    return find_connect_fault(
        {options_.host, options_.port, tls, "BROKER_URL", address_},
        std::min<std::chrono::milliseconds>(options_.connect_timeout, kProbePatience), stop);
  }

  /// Subscribes, and again what is refused, until the end of the connection.
  void serve(const std::stop_token& stop) {
    subscriber_.begin(*client_, client_id_, session_present_, retained_came_);
    message_is_proof_ = subscriber_.is_proven_by_a_message();
    std::uint64_t messages = messages_;
    while (true) {
      const auto subscribe_at = subscriber_.proceed(*client_);
      if (subscriber_.has_failed()) {
        withdraw_proof();
      }
      const auto event = next_event(stop, std::min(subscribe_at, client_->keep_alive()));
      if (stop.stop_requested()) {
        return hang_up(std::stop_token());
      }
      if (!event) {
        if (is_dead()) {
          return on_lost({.kind = Event::Kind::connection_lost}, true);
        }
        if (subscriber_.is_overdue()) {
          const bool is_receiving = received_bytes_ < total_bytes_;
          if (!message_in_hand_ && !is_receiving && messages == messages_) {
            subscriber_.give_up();
            return hang_up(stop);
          }
          messages = messages_;
          subscriber_.wait_longer();
        }
      } else if (event->kind == Event::Kind::suback) {
        subscriber_.answered(event->codes, event->statement);
      } else if (event->kind == Event::Kind::spool_has_room) {
        if (const auto held_back = comings_.admit("room")) {
          log::info("mqtt", "connects again to fetch what was left unacknowledged",
                    {{"broker", broker()}, {"repeated", *held_back}});
        }
        if (stats_.subscribed) {
          stats_.on_well();
        }
        return hang_up(stop);
      } else if (event->kind == Event::Kind::connection_lost ||
                 event->kind == Event::Kind::server_disconnect) {
        return on_lost(*event);
      }
    }
  }

  /// Whether nothing has come for so long that Paho would have given up by now, if it knew of the
  /// broker's keep-alive.
  [[nodiscard]] bool is_dead() const {
    constexpr int kIntervals = 3;
    return paho::KeepAlive::is_linked() && !message_in_hand_ &&
           Clock::now() - stats_.heard_at.load() > kIntervals * stats_.keep_alive.load();
  }

  /// Whether the connection ended within a message. The broker begins it anew on the next one,
  /// perhaps for ever.
  bool look_at_transfer() {
    const std::size_t received = received_bytes_;
    const std::size_t total = total_bytes_;
    if (received >= total) {
      return false;
    }
    const IncompleteMessage message = stats_.on_message_cut(received, total);
    const auto held_back = message.times >= 2 ? comings_.admit("incomplete message") : std::nullopt;
    if (held_back) {
      log::warn("mqtt",
                "a message begins again on each connection and never arrives whole: the "
                "connection ends first",
                {{"broker", broker()},
                 {"total_bytes", message.total_bytes},
                 {"received_bytes", message.received_bytes},
                 {"times", message.times},
                 {"repeated", *held_back}});
    }
    return true;
  }

  /// `by_silence`: nobody has ended it, but it is dead.
  void on_lost(const Event& event, bool by_silence = false) {
    const bool said_good_bye = event.kind == Event::Kind::server_disconnect;
    const auto code = said_good_bye ? std::optional(event.code) : std::nullopt;
    const bool is_no_answer = look_at_transfer() || by_silence;
    if (subscriber_.connection_ended(code, event.statement, is_no_answer)) {
      return;
    }
    stats_.connections_lost.fetch_add(1, std::memory_order_relaxed);
    const std::optional<RelayEnd> relay = client_->relay_end();
    const std::string cause = by_silence
                                  ? "nothing came from the broker for three keep-alive intervals"
                              : relay ? relay->fault.text
                                      : "";
    if (stats_.subscribed) {
      stats_.on_well();  // until now
    }
    stats_.on_trouble({.kind = BrokerTrouble::Kind::lost,
                       .meaning = said_good_bye   ? std::string(describe_reason_code(event.code))
                                  : cause.empty() ? "connection lost"
                                                  : "connection lost: " + cause,
                       .statement = event.statement,
                       .needs_a_person = said_good_bye && needs_a_person(event.code)});
    const std::string_view meaning = said_good_bye ? describe_reason_code(event.code) : "lost";
    const auto held_back = comings_.admit(meaning);
    if (!held_back) {
      return;
    }
    if (said_good_bye) {
      log::warn("mqtt", "broker ended the connection",
                {{"broker", broker()},
                 {"code", event.code},
                 {"meaning", event.statement.behind(meaning)},
                 {"repeated", *held_back}});
    } else if (cause.empty()) {
      log::warn("mqtt", "connection lost", {{"broker", broker()}, {"repeated", *held_back}});
    } else {
      log::warn("mqtt", "connection lost",
                {{"broker", broker()}, {"cause", cause}, {"repeated", *held_back}});
    }
  }

  /// Says good-bye to the broker.
  void hang_up(const std::stop_token& stop) {
    acknowledger_->end_connection();
    client_->disconnect();
    const auto deadline = Clock::now() + kGoodbyePatience;
    while (const auto event = next_event(stop, deadline)) {
      if (event->kind == Event::Kind::disconnected || event->kind == Event::Kind::connection_lost) {
        break;
      }
    }
  }

  /// Each connection has a handle of its own. Paho still works on the old connection while it
  /// reports its end, and calls the failure callback of whoever connects the same handle by then;
  /// it would send an unanswered SUBSCRIBE on the next connection; and after the broker's
  /// DISCONNECT it reports the end at some later time. Nothing is reported once the handle is gone.
  void end_connection() {
    acknowledger_->end_connection();
    client_.reset();
    message_is_proof_ = false;
    received_bytes_ = 0;
    total_bytes_ = 0;
    stats_.connected = false;
    stats_.subscribed = false;
    const std::lock_guard lock(mutex_);
    events_.clear();
  }

  [[nodiscard]] std::string broker() const {
    return fmt::format("{}:{}", options_.host, options_.port);
  }

  const MqttOptions& options_;
  Spool& spool_;
  ReceiverStats stats_;
  std::atomic<bool> message_in_hand_ = false;
  std::atomic<std::uint64_t> messages_ = 0;  // that were handed over
  // Of the packet that arrived last, or is arriving.
  std::atomic<std::size_t> received_bytes_ = 0;
  std::atomic<std::size_t> total_bytes_ = 0;
  /// A backlog may hold up our SUBSCRIBE for as long as it lasts: Paho's sending thread hardly gets
  /// the lock that its receiving thread holds for each message.
  std::atomic<bool> message_is_proof_ = false;
  std::atomic<bool> retained_came_ = false;

  // Only the mqtt-session thread touches these.
  std::string client_id_;
  Subscriber subscriber_;
  BrokerAddresses addresses_;
  std::string address_;              // of the present attempt or connection
  bool calls_next_address_ = false;  // at once: another address of the broker's name
  VersionChoice version_;
  ReconnectPause pause_;
  Repetition failures_;
  SecretSource password_;
  /// Connections that come and go: each of a few, then summed up.
  Repetition comings_{std::chrono::seconds(30), 10};
  bool session_present_ = false;
  std::size_t large_bytes_ = paho::Client::kNone;  // from which on messages are borrowed

  std::mutex mutex_;  // guards the fields below
  std::condition_variable_any changed_;
  std::deque<Event> events_;
  bool poked_ = false;
  bool finished_ = false;

  Pulse pulse_;

  // Made by the mqtt-session thread before the first connection.
  std::unique_ptr<Acknowledger> acknowledger_;
  std::optional<paho::Client> client_;

  std::jthread thread_;
};

Receiver::Receiver(const MqttOptions& options, Spool& spool)
    : session_(std::make_unique<Session>(options, spool)) {}

Receiver::~Receiver() = default;

void Receiver::start() { session_->start(); }

bool Receiver::stop(std::chrono::milliseconds patience) { return session_->stop(patience); }

const ReceiverStats& Receiver::stats() const noexcept { return session_->stats(); }

bool Receiver::hears_broker() const noexcept { return session_->hears_broker(); }

const Pulse& Receiver::pulse() const noexcept { return session_->pulse(); }

void Receiver::poke() { session_->poke(); }

}  // namespace m2b
