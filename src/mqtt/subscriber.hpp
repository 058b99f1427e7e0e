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

namespace m2b {

/// Sees to it that the broker has our subscription, connection after connection. It subscribes at
/// the first connection of the process in any case, and later unless this process has seen the
/// broker grant exactly this and nothing since that may have cost the session. The note in the
/// spool decides nothing about that; it says which session the broker should still have and which
/// filters of an earlier configuration are in it.
///
/// Not thread-safe.
class Subscriber {
 public:
  enum class State { waiting, granted, refused };

  /// The references outlive it.
  Subscriber(const MqttOptions& options, Spool& spool, ReceiverStats& stats)
      : options_(options), spool_(spool), stats_(stats) {}

  /// The broker accepted us. Notices a lost session, and asks for what the broker may not have.
  void begin(paho::Client& client, const std::string& client_id, bool session_present);

  /// The answer to what was asked last; asks for the rest.
  void answered(paho::Client& client, const std::vector<int>& codes);

  /// An attempt to connect ended without an answer. The broker may have accepted it and made a new
  /// session that the next answer calls present.
  void session_in_doubt() noexcept { granted_.reset(); }

  [[nodiscard]] State state() const noexcept { return state_; }

  /// Whether a message on this connection is as good as the answer: the broker has kept a session,
  /// and just this was granted to the last one that we know of. A session that the broker made anew
  /// since then has no subscription and gets no messages.
  [[nodiscard]] bool is_proven_by_a_message() const noexcept { return message_is_proof_; }

 private:
  void look_at_the_past(paho::Client& client, bool session_present);
  void conclude(MqttVersion version);
  void log_granted(const std::string& filter, int qos, MqttVersion version) const;

  const MqttOptions& options_;
  Spool& spool_;
  ReceiverStats& stats_;

  State state_ = State::waiting;
  bool message_is_proof_ = false;
  Subscription wanted_;
  std::optional<SubscribeRound> round_;
  std::optional<Subscription> granted_;  // by a session that was never in doubt since
  Repetition lines_{std::chrono::seconds(30), 5};
  bool loss_is_counted_ = false;  // until something is granted again
};

}  // namespace m2b
