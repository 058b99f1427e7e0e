#include "check/broker_check.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

#include <fmt/format.h>

#include "check/reach.hpp"
#include "m2b/mqtt/session_check.hpp"
#include "m2b/tls/connect_probe.hpp"
#include "m2b/util/host.hpp"
#include "status/causes.hpp"

namespace m2b::check {
namespace {

using std::chrono::seconds;

constexpr std::string_view kBrokerName = "broker.name";
constexpr std::string_view kBrokerTcp = "broker.tcp";
constexpr std::string_view kBrokerTls = "broker.tls";
constexpr std::string_view kLogin = "broker.login";
constexpr std::string_view kSubscribe = "broker.subscribe";

constexpr seconds kNameLimit{6};
constexpr seconds kConnectPatience{4};
constexpr seconds kStepLimit{6};    // of one connection
constexpr seconds kLoginLimit{14};  // two versions may be tried
constexpr seconds kSubscribePatience{4};

std::string_view version_text(MqttVersion version) {
  return version == MqttVersion::v3_1_1 ? "3.1.1" : "5";
}

/// Shared by the steps.
class BrokerCheck {
 public:
  BrokerCheck(Lane& lane, const MqttOptions& options, const StatusNames& names,
              const std::stop_token& stop)
      : lane_(lane),
        names_(names),
        stop_(stop),
        options_(options),
        number_(std::random_device{}()),
        client_id_(check_client_id(options.client_id, number_)),
        session_(options_, client_id_) {
    options_.connect_timeout = std::min(options.connect_timeout, kConnectPatience);
  }

  void run() {
    const Peer peer{options_.host, options_.port, "BROKER_URL", "BROKER_PORT"};
    std::vector<PeerAddress> addresses;
    bool goes_on = lane_.run(kBrokerName, kNameLimit, [&] { return look_up(peer, addresses); }) &&
                   lane_.run(kBrokerTcp, kStepLimit,
                             [&] { return connect_to_each(peer, addresses, kConnectPatience); });
    if (goes_on && is_secure(options_.transport)) {
      goes_on = lane_.run(kBrokerTls, kLoginLimit, [this] { return shake_hands(); });
    }
    if (!goes_on || !lane_.run(kLogin, kLoginLimit, [this] { return log_in(); })) {
      return;
    }
    for (const std::string& filter : options_.filters) {
      lane_.run(kSubscribe, 2 * kSubscribePatience + seconds(1),
                [&] { return subscribe_to(filter); });
      if (is_closed_) {
        return;
      }
    }
  }

 private:
  [[nodiscard]] ProbeTarget target(const TlsOptions* tls) const {
    return {options_.host, options_.port, tls, "BROKER_URL"};
  }

  [[nodiscard]] Finding shake_hands() {
    const auto fault = find_connect_fault(target(&options_.tls), kConnectPatience, stop_);
    if (!fault) {
      return ok(fmt::format(
          "encrypted, and the certificate is verified for {}",
          options_.tls.server_name.empty() ? bare_host(options_.host) : options_.tls.server_name));
    }
    if (speaks_tls(target(nullptr), kConnectPatience, stop_)) {
      return failed(fault->text,
                    "Correct what the message names: the broker's certificate, or the settings "
                    "MQTT_CA_FILE, MQTT_SERVER_NAME, MQTT_CERT_FILE, MQTT_KEY_FILE.");
    }
    const bool is_websocket_transport = is_websocket(options_.transport);
    if (answers_without_tls()) {
      return failed(
          fmt::format("port {} speaks {} without TLS, and MQTT_TRANSPORT asks for TLS ({})",
                      options_.port, is_websocket_transport ? "WebSocket" : "MQTT", fault->text),
          is_websocket_transport
              ? "Set BROKER_PORT to the broker's WebSocket port with TLS, or MQTT_TRANSPORT=ws."
              : "Set BROKER_PORT to the broker's TLS port (mostly 8883), or MQTT_TRANSPORT=tcp.");
    }
    return failed(fault->text,
                  "Set BROKER_PORT to the broker's TLS port (mostly 8883), or MQTT_TRANSPORT to "
                  "what this port speaks.");
  }

  /// Without user name and password, which would go over the network in clear.
  [[nodiscard]] bool answers_without_tls() {
    MqttOptions plain = options_;
    plain.transport =
        is_websocket(options_.transport) ? MqttTransport::websocket : MqttTransport::tcp;
    plain.username.clear();
    SessionCheck session(plain, client_id_);
    const SessionCheck::Login login = session.connect({}, stop_);
    return login.is_accepted || login.trouble.kind == BrokerTrouble::Kind::refused;
  }

  [[nodiscard]] Finding log_in() {
    const SessionCheck::Login login = session_.connect(options_.password, stop_);
    if (login.is_accepted) {
      return ok(fmt::format("MQTT {}, as {}, with the client id {} of this check",
                            version_text(login.version),
                            options_.username.empty() ? "nobody" : options_.username, client_id_));
    }
    const bool has_no_answer = login.trouble.kind == BrokerTrouble::Kind::no_answer;
    if (has_no_answer && !is_secure(options_.transport) &&
        speaks_tls(target(nullptr), kConnectPatience, stop_)) {
      return failed(
          fmt::format("port {} speaks TLS, and MQTT_TRANSPORT asks for none ({})", options_.port,
                      login.trouble.meaning),
          is_websocket(options_.transport)
              ? "Set MQTT_TRANSPORT=wss, or BROKER_PORT to the WebSocket port without TLS."
              : "Set MQTT_TRANSPORT=tls, or BROKER_PORT to the port without TLS (mostly 1883).");
    }
    Cause cause = cause_of(login.trouble, names_);
    if (has_no_answer && !login.trouble.needs_a_person) {
      cause.cause = fmt::format("{} takes connections, but does not answer as an MQTT broker ({})",
                                names_.broker, login.trouble.meaning);
      cause.remedy =
          "Set BROKER_PORT to the broker's MQTT port and MQTT_TRANSPORT to what it speaks there.";
    }
    if (login.may_be_about_client_id) {
      cause.remedy += fmt::format(
          " If the broker admits certain client ids only: this check used {}, and the bridge uses "
          "{}.",
          client_id_,
          options_.client_id.empty() ? "mqtt-to-blob- and eight digits" : options_.client_id);
    }
    return failed(cause.cause, cause.remedy);
  }

  [[nodiscard]] Finding subscribe_to(const std::string& filter) {
    const FilterTrial trial = filter_trial(filter, number_);
    SessionCheck::Grant grant = session_.subscribe(trial.filter, kSubscribePatience, stop_);
    const bool is_shared = !trial.inner.empty();
    if (is_shared && grant.kind == SessionCheck::Grant::Kind::refused) {
      const std::string meaning = grant.meaning;
      grant = session_.subscribe(trial.inner, kSubscribePatience, stop_);
      if (grant.kind == SessionCheck::Grant::Kind::granted ||
          grant.kind == SessionCheck::Grant::Kind::refused) {
        return read_shared(filter, trial, meaning, grant);
      }
    }
    return read_grant(filter, grant, is_shared);
  }

  /// Some brokers' rules name the group, so that a refusal here need not be one of the bridge.
  [[nodiscard]] static Finding read_shared(const std::string& filter, const FilterTrial& trial,
                                           std::string_view meaning,
                                           const SessionCheck::Grant& of_inner) {
    const std::string refused = fmt::format("the broker refuses {} ({})", trial.filter, meaning);
    if (of_inner.kind == SessionCheck::Grant::Kind::granted) {
      return warning(fmt::format("{}: {}, and grants {} alone", filter, refused, trial.inner),
                     "If the broker's access rules name the bridges' group, nothing is wrong. "
                     "Otherwise let it "
                     "allow shared subscriptions, or take $share/ and the group out of TOPIC.");
    }
    return warning(
        fmt::format("{}: not known: {}, and {} alone ({})", filter, refused, trial.inner,
                    of_inner.meaning),
        "If the broker's access rules name the bridges' group, nothing is wrong: /readyz of the "
        "bridge tells. Otherwise let our user read the topics, or correct TOPIC.");
  }

  [[nodiscard]] Finding read_grant(const std::string& filter, const SessionCheck::Grant& grant,
                                   bool is_shared) {
    using Kind = SessionCheck::Grant::Kind;
    const auto because = [&](std::string_view what) {
      return cause_of(BrokerTrouble{.kind = BrokerTrouble::Kind::not_subscribed,
                                    .meaning = fmt::format("{}: {}", filter, what)},
                      names_);
    };
    switch (grant.kind) {
      case Kind::granted:
        break;
      case Kind::refused: {
        const Cause cause = because(grant.meaning);
        return failed(cause.cause, cause.remedy);
      }
      case Kind::closed: {
        is_closed_ = true;
        const Cause cause = because("connection closed, " + grant.meaning);
        return failed(cause.cause, cause.remedy);
      }
      case Kind::no_answer: {
        is_closed_ = true;
        return failed(fmt::format("{}: no answer to SUBSCRIBE within {} s", filter,
                                  kSubscribePatience.count()),
                      "See the broker's log.");
      }
    }
    if (grant.qos < grant.wanted_qos) {
      return warning(
          fmt::format("{}: granted with QoS {}, not {}{}", filter, grant.qos, grant.wanted_qos,
                      grant.qos == 0 ? ": the broker may lose messages" : ""),
          fmt::format("Let the broker grant QoS {}.", grant.wanted_qos));
    }
    return ok(fmt::format("{}: granted with QoS {}{}", filter, grant.qos,
                          is_shared ? ", in a group of this check" : ""));
  }

  Lane& lane_;
  const StatusNames& names_;
  const std::stop_token& stop_;
  MqttOptions options_;
  const std::uint32_t number_;
  const std::string client_id_;
  bool is_closed_ = false;
  SessionCheck session_;
};

}  // namespace

std::string check_client_id(const std::string& configured, std::uint32_t number) {
  constexpr std::size_t kMostBytes = 65'535;  // MQTT 5, section 1.5.4
  const std::string suffix = fmt::format("-check-{:08x}", number);
  return configured.empty() || configured.size() + suffix.size() > kMostBytes
             ? "mqtt-to-blob" + suffix
             : configured + suffix;
}

FilterTrial filter_trial(const std::string& filter, std::uint32_t number) {
  constexpr std::string_view kShare = "$share/";
  const std::size_t group_end =
      filter.starts_with(kShare) ? filter.find('/', kShare.size()) : std::string::npos;
  if (group_end == std::string::npos) {
    return {filter, {}};
  }
  const std::string inner = filter.substr(group_end + 1);
  return {fmt::format("{}mqtt-to-blob-check-{:08x}/{}", kShare, number, inner), inner};
}

std::vector<std::string_view> broker_steps(const MqttOptions& options) {
  std::vector<std::string_view> steps{kBrokerName, kBrokerTcp};
  if (is_secure(options.transport)) {
    steps.push_back(kBrokerTls);
  }
  steps.insert(steps.end(), {kLogin, kSubscribe});
  return steps;
}

void check_broker(Lane& lane, const MqttOptions& options, const StatusNames& names,
                  const std::stop_token& stop) {
  BrokerCheck(lane, options, names, stop).run();
}

}  // namespace m2b::check
