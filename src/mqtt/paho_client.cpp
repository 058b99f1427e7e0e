#include "mqtt/paho_client.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <utility>

#include "m2b/util/host.hpp"

namespace m2b::paho {
namespace {

/// How many messages the broker may have on their way to us, unacknowledged (MQTT 5, section
/// 3.1.2.11.3). One sync makes all of them durable, so on a slow disk it bounds the rate; on 3.1.1
/// the broker decides.
constexpr std::uint16_t kReceiveMaximum = 256;
/// How much longer than the relay of a WebSocket Paho waits to be connected.
constexpr std::chrono::seconds kRelayHeadStart{2};
constexpr std::chrono::seconds kNoHeadStart{0};

void check(int code, const char* function) {
  if (code != MQTTASYNC_SUCCESS) {
    throw Error(function, code);
  }
}

struct Properties {
  MQTTProperties list = MQTTProperties_initializer;

  Properties() = default;
  Properties(const Properties&) = delete;
  Properties& operator=(const Properties&) = delete;
  ~Properties() { MQTTProperties_free(&list); }

  void add_integer2(MQTTPropertyCodes code, std::uint16_t value) {
    MQTTProperty property{};
    property.identifier = code;
    property.value.integer2 = value;
    check(MQTTProperties_add(&list, &property), "MQTTProperties_add");
  }

  void add_integer4(MQTTPropertyCodes code, unsigned value) {
    MQTTProperty property{};
    property.identifier = code;
    property.value.integer4 = value;
    check(MQTTProperties_add(&list, &property), "MQTTProperties_add");
  }
};

/// Paho wants arrays of char* but does not write through them.
std::vector<char*> to_c_strings(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size());
  for (const std::string& text : texts) {
    pointers.push_back(const_cast<char*>(text.c_str()));
  }
  return pointers;
}

Handle create_handle(const std::string& uri, const std::string& client_id, int version) {
  MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
  create.MQTTVersion = version;
  MQTTAsync handle = nullptr;
  check(MQTTAsync_createWithOptions(&handle, uri.c_str(), client_id.c_str(),
                                    MQTTCLIENT_PERSISTENCE_NONE, nullptr, &create),
        "MQTTAsync_createWithOptions");
  return Handle(handle);
}

/// Of a broker without WebSocket. With TLS Paho verifies the certificate against the host in it.
std::string uri_of(const MqttOptions& options) {
  const bool is_tls = options.transport == MqttTransport::tls;
  return fmt::format(
      "{}://{}:{}", is_tls ? "ssl" : "tcp",
      is_tls && !options.tls.server_name.empty() ? options.tls.server_name : options.host,
      options.port);
}

/// Borrows from the options. Paho reads the files for each handle, and so finds renewed ones.
MQTTAsync_SSLOptions ssl_options(const TlsOptions& options) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
  };
  MQTTAsync_SSLOptions ssl = MQTTAsync_SSLOptions_initializer;
  ssl.enableServerCertAuth = 1;
  ssl.verify = 1;  // that it is for this host as well, which by default nobody looks at
  ssl.trustStore = text_or_null(options.ca_file);
  ssl.keyStore = text_or_null(options.certificate_file);
  ssl.privateKey = text_or_null(options.key_file);
  ssl.privateKeyPassword = text_or_null(options.key_password.reveal());
  return ssl;
}

/// Paho's words for "the socket was there and ended before CONNACK"; its code is the same -1 as
/// when nobody listens. Seen in 1.3.12; should the words change, only the automatic choice of the
/// version suffers where a broker closes instead of answering.
bool was_dropped(int code, const char* message) noexcept {
  return code < 0 && message != nullptr &&
         std::strcmp(message, "TCP connect completion failure") == 0;
}

}  // namespace

/// Paho calls these; each does nothing but turn its context into the object.
struct Client::Callbacks {
  static Events& events(void* context) noexcept { return static_cast<Client*>(context)->events_; }

  static void connected(void* context, MQTTAsync_successData* data) noexcept {
    accepted(context, data->alt.connect.sessionPresent);
  }
  static void connected5(void* context, MQTTAsync_successData5* data) noexcept {
    accepted(context, data->alt.connect.sessionPresent);
  }
  static void accepted(void* context, int session_present) noexcept {
    static_cast<Client*>(context)->hearing_.begin();
    static_cast<Client*>(context)->large_messages_.begin();
    events(context).on_connected(session_present != 0);
  }
  static void connect_failed(void* context, MQTTAsync_failureData* data) noexcept {
    const int code = data != nullptr ? data->code : -1;
    events(context).on_connect_failed(code, data != nullptr && was_dropped(code, data->message));
  }
  static void connect_failed5(void* context, MQTTAsync_failureData5* data) noexcept {
    // Until Paho 1.3.15 the reason stands in `code` and reasonCode is 0.
    const int code = data == nullptr ? -1 : data->code != 0 ? data->code : data->reasonCode;
    events(context).on_connect_failed(code, data != nullptr && was_dropped(code, data->message));
  }
  static void connection_lost(void* context, char*) noexcept {
    events(context).on_connection_lost();
  }
  static void server_disconnect(void* context, MQTTProperties*,
                                enum MQTTReasonCodes reason) noexcept {
    events(context).on_server_disconnect(reason);
  }
  static void disconnected(void* context, MQTTAsync_successData*) noexcept {
    events(context).on_disconnected();
  }
  static void disconnected5(void* context, MQTTAsync_successData5*) noexcept {
    events(context).on_disconnected();
  }

  static void subscribed(void* context, MQTTAsync_successData* data) noexcept {
    // One filter was asked for, so this is its code. Should a broker send several all the same, it
    // is the low half of Paho's pointer to them, which is aligned and so none of the codes.
    events(context).on_suback({data->alt.qos});
  }
  static void subscribed5(void* context, MQTTAsync_successData5* data) noexcept {
    const auto& sub = data->alt.sub;
    events(context).on_suback(
        sub.reasonCodeCount > 1 && sub.reasonCodes != nullptr
            ? std::vector<int>(sub.reasonCodes, sub.reasonCodes + sub.reasonCodeCount)
            : std::vector<int>{data->reasonCode});
  }
  static void subscribe_failed(void* context, MQTTAsync_failureData* data) noexcept {
    refused(context, data != nullptr ? data->code : -1);
  }
  static void subscribe_failed5(void* context, MQTTAsync_failureData5* data) noexcept {
    refused(context, data == nullptr ? -1 : data->reasonCode != 0 ? data->reasonCode : data->code);
  }
  static void refused(void* context, int code) noexcept {
    // Negative: the connection broke before an answer, which is an event of its own.
    if (code >= 0) {
      events(context).on_suback({code});
    }
  }

  static int message_arrived(void* context, char* topic, int topic_bytes,
                             MQTTAsync_message* message) noexcept {
    auto& late_ack = static_cast<Client*>(context)->late_ack_;
    if (late_ack) {
      late_ack->take_over();
    }
    events(context).on_message(Message(topic, topic_bytes, message));
    return 1;  // never 0: Paho would acknowledge all the same and keep the message in memory
  }
};

Message::Message(char* topic, int topic_bytes, MQTTAsync_message* message)
    : topic_(topic),
      topic_bytes_(topic_bytes > 0 ? static_cast<std::size_t>(topic_bytes) : std::strlen(topic)),
      message_(message),
      received_at_(wall_now()) {}

MessageView Message::view() const noexcept {
  return {.topic = {topic_.get(), topic_bytes_},
          .payload = {static_cast<const char*>(message_->payload),
                      static_cast<std::size_t>(message_->payloadlen)},
          .received_at = received_at_,
          .qos = static_cast<std::uint8_t>(message_->qos),
          .retained = message_->retained != 0,
          .duplicate = message_->dup != 0};
}

std::size_t Message::bytes() const noexcept {
  return topic_bytes_ + static_cast<std::size_t>(message_->payloadlen);
}

Library::Library()
    : never_connected_(create_handle("tcp://127.0.0.1:1883", "none", MQTTVERSION_DEFAULT)) {}

Client::Client(const MqttOptions& options, std::string client_id, MqttVersion version,
               AckTime ack_time, Events& events, std::size_t large_bytes, SessionKind session)
    : options_(options),
      client_id_(std::move(client_id)),
      version_(version),
      session_(session),
      events_(events),
      large_messages_(large_bytes, client_id_, options.keep_alive,
                      [this](const LargeMessage& message) {
                        if (late_ack_) {
                          late_ack_->take_over();
                        }
                        events_.on_large_message(message);
                      }) {
  if (ack_time == AckTime::when_told) {
    late_ack_.emplace(client_id_);
  }
  if (is_websocket(options.transport)) {
    relay_.emplace(options);
  } else if (is_secure(options.transport) && !options.tls.server_name.empty()) {
    server_name_.emplace(options.tls.server_name, bare_host(options.host));
  }
  handle_ = create_handle(relay_ ? relay_->address() : uri_of(options), client_id_,
                          version == MqttVersion::v5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1);
  check(MQTTAsync_setCallbacks(handle_.get(), this, &Callbacks::connection_lost,
                               &Callbacks::message_arrived, nullptr),
        "MQTTAsync_setCallbacks");
  if (version == MqttVersion::v5) {
    check(MQTTAsync_setDisconnected(handle_.get(), this, &Callbacks::server_disconnect),
          "MQTTAsync_setDisconnected");
  }
}

void Client::connect(const Secret& password) {
  const bool v5 = version_ == MqttVersion::v5;
  const bool is_lasting = session_ == SessionKind::lasting;
  MQTTAsync_connectOptions connect = MQTTAsync_connectOptions_initializer;
  Properties properties;
  if (v5) {
    connect = MQTTAsync_connectOptions_initializer5;
    connect.cleanstart = is_lasting ? 0 : 1;
    if (is_lasting) {  // without it the session ends with the connection (section 3.1.2.11.2)
      properties.add_integer4(MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL,
                              static_cast<unsigned>(options_.session_expiry.count()));
    }
    if (late_ack_) {
      properties.add_integer2(MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, kReceiveMaximum);
    }
    if (options_.max_packet_size > 0) {
      properties.add_integer4(MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE,
                              static_cast<unsigned>(options_.max_packet_size));
    }
    connect.connectProperties = &properties.list;
    connect.onSuccess5 = &Callbacks::connected5;
    connect.onFailure5 = &Callbacks::connect_failed5;
  } else {
    connect.MQTTVersion = MQTTVERSION_3_1_1;
    connect.cleansession = is_lasting ? 0 : 1;
    connect.onSuccess = &Callbacks::connected;
    connect.onFailure = &Callbacks::connect_failed;
  }
  connect.keepAliveInterval = static_cast<int>(options_.keep_alive.count());
  // The relay keeps to the limit by itself, and says what it was waiting for.
  const auto timeout = options_.connect_timeout + (relay_ ? kRelayHeadStart : kNoHeadStart);
  connect.connectTimeout = static_cast<int>(timeout.count());
  connect.automaticReconnect = 0;  // it does not subscribe again and hides the session-present flag
  connect.username = options_.username.empty() ? nullptr : options_.username.c_str();
  connect.password = password.empty() ? nullptr : password.reveal().c_str();
  MQTTAsync_SSLOptions ssl = ssl_options(options_.tls);
  if (options_.transport == MqttTransport::tls) {
    connect.ssl = &ssl;
  }
  connect.context = this;
  check(MQTTAsync_connect(handle_.get(), &connect), "MQTTAsync_connect");
}

void Client::subscribe(const std::vector<std::string>& filters, int qos) {
  const std::vector<char*> names = to_c_strings(filters);
  std::vector<int> levels(filters.size(), qos);
  MQTTSubscribe_options only_if_new = MQTTSubscribe_options_initializer;
  only_if_new.retainHandling = session_ == SessionKind::lasting ? 1 : 2;  // 2: never
  std::vector<MQTTSubscribe_options> each(filters.size(), only_if_new);
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  response.context = this;
  if (version_ == MqttVersion::v5) {
    response.subscribeOptions = only_if_new;  // Paho takes this for one filter, the list for more
    response.subscribeOptionsList = each.data();
    response.subscribeOptionsCount = static_cast<int>(each.size());
    response.onSuccess5 = &Callbacks::subscribed5;
    response.onFailure5 = &Callbacks::subscribe_failed5;
  } else {
    response.onSuccess = &Callbacks::subscribed;
    response.onFailure = &Callbacks::subscribe_failed;
  }
  check(MQTTAsync_subscribeMany(handle_.get(), static_cast<int>(names.size()), names.data(),
                                levels.data(), &response),
        "MQTTAsync_subscribeMany");
}

void Client::unsubscribe(const std::vector<std::string>& filters) {
  const std::vector<char*> names = to_c_strings(filters);
  MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
  check(MQTTAsync_unsubscribeMany(handle_.get(), static_cast<int>(names.size()), names.data(),
                                  &response),
        "MQTTAsync_unsubscribeMany");
}

void Client::disconnect() {
  MQTTAsync_disconnectOptions disconnect = MQTTAsync_disconnectOptions_initializer;
  if (version_ == MqttVersion::v5) {
    disconnect = MQTTAsync_disconnectOptions_initializer5;
    disconnect.onSuccess5 = &Callbacks::disconnected5;
  } else {
    disconnect.onSuccess = &Callbacks::disconnected;
  }
  disconnect.context = this;
  check(MQTTAsync_disconnect(handle_.get(), &disconnect), "MQTTAsync_disconnect");
}

}  // namespace m2b::paho
