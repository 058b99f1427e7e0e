#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "m2b/mqtt/options.hpp"
#include "m2b/mqtt/receiver.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/repetition.hpp"
#include "mqtt/paho_client.hpp"
#include "mqtt/subscription.hpp"
#include "mqtt/topic_filters.hpp"

namespace m2b {

/// Subscribes, on each connection: a broker may report a session in which the subscription is
/// missing. What is refused is asked for again on the same connection. The note in the spool
/// decides nothing about that; it says which session the broker should still have and which filters
/// of an earlier configuration are in it.
///
/// Not thread-safe.
class Subscriber {
 public:
  using Time = TopicFilters::Time;

  /// The references outlive it.
  Subscriber(const MqttOptions& options, Spool& spool, ReceiverStats& stats)
      : options_(options),
        spool_(spool),
        stats_(stats),
        filters_(options.filters, options.qos, options.backoff) {}

  /// The broker accepted us. Notices a lost session. `retained_come_again`: on MQTT 3.1.1 each
  /// SUBSCRIBE makes the broker send the retained messages again (section 3.8.4), and there are
  /// some; where this process was granted the filters, they are then asked for only every ten
  /// minutes.
  void begin(paho::Client& client, const std::string& client_id, bool session_present,
             bool retained_come_again);

  /// Sends the SUBSCRIBE that is due, if there is one. Returns when to call again at the latest.
  [[nodiscard]] Time proceed(paho::Client& client);

  /// SUBACK, with as many codes as the broker sent.
  void answered(const std::vector<int>& codes, const BrokerStatement& statement);

  /// Whether SUBACK should have come by now.
  [[nodiscard]] bool is_overdue() const;
  /// Messages come before it, so it is given the whole time again.
  void wait_longer();
  /// It is given up, and the connection too.
  void give_up();

  /// The connection has ended, by a DISCONNECT with `code` if there is one. `is_no_answer`: it is
  /// known to have another reason. Returns whether that was the broker's answer to SUBSCRIBE, of
  /// which everything is told then.
  [[nodiscard]] bool connection_ended(std::optional<int> code, const BrokerStatement& statement,
                                      bool is_no_answer);

  /// An attempt to connect ended without an answer. The broker may have accepted it and made a new
  /// session that the next answer calls present.
  void session_in_doubt() noexcept { in_doubt_ = true; }

  /// Whether one of the filters is not granted for another reason than that its answer is awaited.
  [[nodiscard]] bool has_failed() const noexcept { return filters_.any_failed(); }

  /// Whether a message on this connection is as good as the answer: the broker has kept a session,
  /// and just this was granted to the last one that we know of. A session that the broker made anew
  /// since then has no subscription and gets no messages.
  [[nodiscard]] bool is_proven_by_a_message() const noexcept { return message_is_proof_; }

 private:
  void look_at_the_past(paho::Client& client, bool session_present);
  void tell_granted(const FilterStatus& filter, const FilterStatus& before);
  void tell_failed(const FilterStatus& filter);
  void publish();
  [[nodiscard]] std::chrono::seconds patience() const;

  const MqttOptions& options_;
  Spool& spool_;
  ReceiverStats& stats_;

  TopicFilters filters_;
  Subscription wanted_;
  ConnackProperties connack_;          // of this connection
  std::optional<Subscription> noted_;  // in the spool
  MqttVersion version_ = MqttVersion::v5;
  bool message_is_proof_ = false;
  bool in_doubt_ = false;
  bool was_sent_ = false;  // the SUBSCRIBE that is awaited
  Time overdue_at_ = {};
  Repetition lines_{std::chrono::seconds(30), 5};
  bool loss_is_counted_ = false;  // until something is granted again
};

}  // namespace m2b
