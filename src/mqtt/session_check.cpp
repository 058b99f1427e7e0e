#include "m2b/mqtt/session_check.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "mqtt/late_ack.hpp"
#include "mqtt/paho_client.hpp"
#include "mqtt/reason_codes.hpp"
#include "mqtt/subscription.hpp"
#include "mqtt/version_choice.hpp"

namespace m2b {
namespace {

/// What Paho may take beyond connect_timeout to say that it is over.
constexpr std::chrono::seconds kConnectGrace{4};
/// For DISCONNECT to be sent.
constexpr std::chrono::seconds kDisconnectPatience{1};

/// A broker that restricts client identifiers says one of these; some just close the connection.
bool may_name_client_id(int code) noexcept {
  constexpr int kIdentifierRejected311 = 0x02;
  constexpr int kNotAuthorized311 = 0x05;
  constexpr int kIdentifierNotValid = 0x85;
  constexpr int kNotAuthorized = 0x87;
  return code == kIdentifierRejected311 || code == kNotAuthorized311 ||
         code == kIdentifierNotValid || code == kNotAuthorized;
}

}  // namespace

class SessionCheck::Impl final : public paho::Events {
 public:
  Impl(const MqttOptions& options, std::string client_id)
      : options_(options), client_id_(std::move(client_id)), choice_(options.version) {}
  ~Impl() override { disconnect(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] Login connect(const Secret& password, const std::stop_token& stop) {
    while (true) {
      const MqttVersion tried = choice_.current();
      Login login = connect_once(password, stop);
      const bool may_try_other = tried == MqttVersion::v5 && choice_.current() != tried;
      if (login.is_accepted || !may_try_other || stop.stop_requested()) {
        return login;
      }
    }
  }

  [[nodiscard]] Grant subscribe(const std::string& filter, std::chrono::milliseconds patience,
                                const std::stop_token& stop) {
    constexpr int kMostQos = 2;
    Grant grant;
    grant.wanted_qos = subscribe_qos(options_.qos, client_->version());
    client_->subscribe({filter}, grant.wanted_qos);
    const auto event = next_event(stop, Clock::now() + patience);
    if (!event) {
      return grant;
    }
    if (event->kind == Event::Kind::suback && event->code >= 0 && event->code <= kMostQos) {
      grant.kind = Grant::Kind::granted;
      grant.qos = event->code;
      return grant;
    }
    grant.kind = event->kind == Event::Kind::suback ? Grant::Kind::refused : Grant::Kind::closed;
    grant.meaning = event->code >= 0 ? describe_reason_code(event->code) : "without a reason";
    return grant;
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct Event {
    enum class Kind { connected, connect_failed, closed, suback, disconnected };
    Kind kind;
    int code = -1;
    bool dropped = false;
  };

  [[nodiscard]] Login connect_once(const Secret& password, const std::stop_token& stop) {
    const auto ack_time =
        paho::LateAck::is_linked() ? paho::AckTime::when_told : paho::AckTime::on_return;
    Login login;
    login.version = choice_.current();
    client_.reset();
    events_.clear();  // no event comes without a client
    client_.emplace(options_, client_id_, login.version, ack_time, *this, paho::Client::kNone,
                    paho::SessionKind::temporary);
    client_->connect(password);
    const auto event = next_event(stop, Clock::now() + options_.connect_timeout + kConnectGrace);
    if (event && event->kind == Event::Kind::connected) {
      choice_.connected();
      is_connected_ = true;
      login.is_accepted = true;
      return login;
    }
    fail(login, event.value_or(Event{.kind = Event::Kind::connect_failed}));
    return login;
  }

  void fail(Login& login, const Event& event) {
    const std::optional<RelayEnd> relay = event.code < 0 ? client_->relay_end() : std::nullopt;
    const bool was_open = !relay || relay->stage == RelayEnd::Stage::open;
    const bool dropped = event.dropped && was_open;
    if (is_unsupported_version(event.code)) {
      choice_.version_refused();
    } else if (dropped) {
      choice_.hung_up();
    } else {
      choice_.failed();
    }
    login.trouble.kind =
        event.code < 0 ? BrokerTrouble::Kind::no_answer : BrokerTrouble::Kind::refused;
    login.trouble.meaning =
        dropped ? "connection closed before an answer" : describe_reason_code(event.code);
    login.trouble.needs_a_person = needs_a_person(event.code);
    if (relay && !relay->fault.text.empty()) {
      login.trouble.meaning = relay->fault.text;
      login.trouble.needs_a_person = relay->fault.needs_a_person;
    }
    login.may_be_about_client_id = dropped || may_name_client_id(event.code);
  }

  void disconnect() {
    if (!is_connected_) {
      return;
    }
    try {
      client_->disconnect();
    } catch (const paho::Error&) {
      return;  // the connection has ended already
    }
    const auto deadline = Clock::now() + kDisconnectPatience;
    while (const auto event = next_event({}, deadline)) {
      if (event->kind == Event::Kind::disconnected) {
        return;
      }
    }
  }

  /// Nothing when none comes in time, or before the stop.
  [[nodiscard]] std::optional<Event> next_event(const std::stop_token& stop,
                                                Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    if (!arrival_.wait_until(lock, stop, deadline, [this] { return !events_.empty(); })) {
      return std::nullopt;
    }
    const Event event = events_.front();
    events_.pop_front();
    return event;
  }

  // Paho's threads.
  void post(const Event& event) noexcept {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
    }
    arrival_.notify_one();
  }
  void on_connected(bool /*session_present*/) noexcept override {
    post({.kind = Event::Kind::connected});
  }
  void on_connect_failed(int code, bool dropped) noexcept override {
    post({.kind = Event::Kind::connect_failed, .code = code, .dropped = dropped});
  }
  void on_connection_lost() noexcept override { post({.kind = Event::Kind::closed}); }
  void on_server_disconnect(int reason_code) noexcept override {
    post({.kind = Event::Kind::closed, .code = reason_code});
  }
  void on_suback(std::vector<int> codes) noexcept override {
    constexpr int kMalformed = 0x81;
    post({.kind = Event::Kind::suback, .code = codes.size() == 1 ? codes.front() : kMalformed});
  }
  void on_disconnected() noexcept override { post({.kind = Event::Kind::disconnected}); }
  void on_message(paho::Message /*message*/) noexcept override {}
  void on_large_message(const paho::LargeMessage& /*message*/) noexcept override {}

  const MqttOptions& options_;
  const std::string client_id_;
  VersionChoice choice_;
  bool is_connected_ = false;
  std::mutex mutex_;  // guards events_
  std::condition_variable_any arrival_;
  std::deque<Event> events_;
  const paho::Library library_;
  std::optional<paho::Client> client_;  // last: its callbacks use the fields above
};

SessionCheck::SessionCheck(const MqttOptions& options, std::string client_id)
    : impl_(std::make_unique<Impl>(options, std::move(client_id))) {}

SessionCheck::~SessionCheck() = default;

SessionCheck::Login SessionCheck::connect(const Secret& password, const std::stop_token& stop) {
  return impl_->connect(password, stop);
}

SessionCheck::Grant SessionCheck::subscribe(const std::string& filter,
                                            std::chrono::milliseconds patience,
                                            const std::stop_token& stop) {
  return impl_->subscribe(filter, patience, stop);
}

}  // namespace m2b
