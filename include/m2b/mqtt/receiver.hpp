#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "m2b/mqtt/connack_properties.hpp"
#include "m2b/mqtt/options.hpp"
#include "m2b/spool/message.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/pulse.hpp"

namespace m2b {

/// Why there is no session with the broker, or no subscription.
struct BrokerTrouble {
  enum class Kind : std::uint8_t {
    no_answer,  ///< no connection, or one that ended before an answer
    refused,    ///< the broker has said why it does not want us
    lost,       ///< the connection ended later on
    not_subscribed
  };
  Kind kind = Kind::no_answer;
  std::string meaning = {};        // of the broker's code, or of its silence
  BrokerStatement statement = {};  // of the broker, behind its code
  bool needs_a_person = false;
  std::chrono::steady_clock::time_point since = {};  // it was well until then
};

/// A message whose transfer from the broker was cut by the end of the connection, connection after
/// connection. The broker sends it again each time, from its first byte.
struct IncompleteMessage {
  std::size_t total_bytes = 0;     // of its packet
  std::size_t received_bytes = 0;  // at most, on one connection
  std::uint64_t times = 0;         // in a row
};

/// What the broker last said to one of our topic filters (MQTT 5, section 3.9.3).
struct FilterStatus {
  enum class State : std::uint8_t {
    pending,       ///< not answered yet
    granted,       ///< with the QoS in `code`
    refused,       ///< SUBACK with the reason code in `code`
    disconnected,  ///< the broker ended the connection right after SUBSCRIBE; `code` of DISCONNECT
    no_answer      ///< no SUBACK came in time
  };
  std::string filter;
  int wanted_qos = 1;  // MQTT_QOS
  State state = State::pending;
  int code = 0;
  BrokerStatement statement = {};                    // behind the code
  std::uint32_t failures = 0;                        // in a row, over connections
  std::chrono::steady_clock::time_point since = {};  // of the state; of the first of the failures

  [[nodiscard]] bool has_failed() const noexcept { return failures > 0; }
  /// Of a failure: what `code` means, or that there is none.
  [[nodiscard]] std::string_view meaning() const noexcept;
  /// The broker may lose messages on the way, and all that come while we are away.
  [[nodiscard]] bool is_unguaranteed() const noexcept {
    return state == State::granted && code == 0 && wanted_qos > 0;
  }
};

/// `pending`, `granted`, `refused`, `disconnected`, `no_answer`
[[nodiscard]] std::string_view to_string(FilterStatus::State state) noexcept;

/// What the receiver counts; monotonic since the start of the process. Any thread.
class ReceiverStats {
 public:
  using Clock = std::chrono::steady_clock;

  /// One that came: by its QoS, and whether it has a payload.
  void count_received(const MessageView& message) noexcept;

  /// `reason` as describe_reason_code() has them, of which there are few.
  void count_connect_failure(std::string_view reason);
  [[nodiscard]] std::map<std::string, std::uint64_t, std::less<>> connect_failures_by_reason()
      const;

  std::array<std::atomic<std::uint64_t>, 3> received{};  // by QoS, redeliveries included
  std::atomic<std::uint64_t> empty{0};                   // of these, without payload: ignored
  std::atomic<std::uint64_t> acknowledged{0};            // QoS 1 and 2, after their commit
  std::atomic<std::uint64_t> connects{0};
  std::atomic<std::uint64_t> connect_failures{0};
  std::atomic<std::uint64_t> connections_lost{0};
  std::atomic<std::uint64_t> subscribes_refused{0};
  std::atomic<std::uint64_t> subscribes_disconnected{0};  // FilterStatus::State::disconnected
  std::atomic<std::uint64_t> subscribes_unanswered{0};
  std::atomic<std::uint64_t> sessions_lost{0};  // the broker had forgotten what it should have kept
  std::atomic<std::uint64_t> messages_cut{0};   // by the end of their connection
  // As far as Paho has told us. While a message waits for the disk Paho stands still: both stay set
  // although the broker may have dropped us meanwhile.
  std::atomic<bool> connected{false};
  std::atomic<bool> subscribed{false};               // every filter was granted
  std::atomic<Clock::time_point> heard_at{};         // when anything last came from the broker
  std::atomic<WallTime> message_at{};                // when the last message came; 1970: none yet
  std::atomic<Clock::time_point> last_message_at{};  // likewise, whatever the clock is set to
  /// MQTT_SESSION_EXPIRY.
  std::atomic<std::chrono::seconds> session_expiry_asked{std::chrono::seconds(0)};
  /// Keep-alive interval in effect, as the broker of the last connection has it.
  std::atomic<std::chrono::seconds> keep_alive{std::chrono::seconds(0)};

  /// The last failure; any thread. Its `since` is that of the first one since all was well.
  void on_trouble(BrokerTrouble trouble) {
    const std::lock_guard lock(mutex_);
    trouble.since = trouble_ ? trouble_->since : Clock::now();
    trouble_ = std::move(trouble);
  }
  void on_well() {
    const std::lock_guard lock(mutex_);
    trouble_.reset();
  }
  [[nodiscard]] std::optional<BrokerTrouble> trouble() const {
    const std::lock_guard lock(mutex_);
    return trouble_;
  }
  /// A connection was accepted with these. Nothing where MQTT 3.1.1 is spoken.
  void on_connack(std::optional<ConnackProperties> properties) {
    const std::lock_guard lock(mutex_);
    connack_ = std::move(properties);
  }
  /// Of the last connection; its session_expiry is always set.
  [[nodiscard]] std::optional<ConnackProperties> connack() const {
    const std::lock_guard lock(mutex_);
    return connack_;
  }

  /// The connection ended within a message. Returns what is known of that message by now.
  IncompleteMessage on_message_cut(std::size_t received_bytes, std::size_t total_bytes);
  /// A packet with so many bytes arrived whole: the message in question is not longer, so the line
  /// does let it through.
  void on_packet_complete(std::size_t total_bytes);
  [[nodiscard]] std::optional<IncompleteMessage> incomplete_message() const {
    const std::lock_guard lock(mutex_);
    return incomplete_message_;
  }

  /// In the order of TOPIC; empty before the first connection.
  void set_filters(std::vector<FilterStatus> filters) {
    const std::lock_guard lock(mutex_);
    filters_ = std::move(filters);
  }
  [[nodiscard]] std::vector<FilterStatus> filters() const {
    const std::lock_guard lock(mutex_);
    return filters_;
  }
  /// When a session was found lost for the last time.
  void on_session_lost() {
    const std::lock_guard lock(mutex_);
    session_lost_at_ = Clock::now();
  }
  [[nodiscard]] std::optional<Clock::time_point> session_lost_at() const {
    const std::lock_guard lock(mutex_);
    return session_lost_at_;
  }

 private:
  mutable std::mutex mutex_;  // guards the fields below
  std::map<std::string, std::uint64_t, std::less<>> connect_failures_by_reason_;
  std::vector<FilterStatus> filters_;
  std::optional<BrokerTrouble> trouble_;
  std::optional<Clock::time_point> session_lost_at_;
  std::optional<ConnackProperties> connack_;
  std::optional<IncompleteMessage> incomplete_message_;
  /// Its total_bytes; 0: there is none. Written under the mutex, read without.
  std::atomic<std::size_t> incomplete_bytes_{0};
};

/// The MQTT session: connects, subscribes, and puts each message into the spool before it is
/// acknowledged. Reconnects for ever; a broker that is away is normal, also at the start.
///
/// Threads: Paho's own call in with messages, `mqtt-session` connects and subscribes.
class Receiver {
 public:
  /// Options and spool outlive the receiver.
  Receiver(const MqttOptions& options, Spool& spool);
  /// Only after stop() returned true; it would wait for Paho otherwise.
  ~Receiver();
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  void start();

  /// Says good-bye to the broker and ends the threads; no message arrives afterwards. False when
  /// Paho could not be ended within `patience`: it waits for a full disk (the message in hand stays
  /// unacknowledged) or for a name server under its lock. The process then has to end by _exit once
  /// the spool is closed.
  [[nodiscard]] bool stop(std::chrono::milliseconds patience);

  [[nodiscard]] const ReceiverStats& stats() const noexcept;

  /// Whether the connection is proven alive: something came from the broker in the last one and a
  /// half intervals of the keep-alive in effect, after which the broker would give us up as well
  /// (MQTT 3.1.1, section 3.1.2.10). Paho itself takes until up to three. Where nothing can be
  /// proven (without Paho's static library), true as long as Paho believes in the connection.
  [[nodiscard]] bool hears_broker() const noexcept;

  /// The session's thread shows in its pulse that it still takes events, once it is poked.
  [[nodiscard]] const Pulse& pulse() const noexcept;
  void poke();

 private:
  class Session;
  std::unique_ptr<Session> session_;
};

}  // namespace m2b
