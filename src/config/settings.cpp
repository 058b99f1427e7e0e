#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <utility>

#include "config/address.hpp"
#include "config/apply.hpp"
#include "config/topic_filters.hpp"
#include "config/values.hpp"
#include "m2b/config/config.hpp"
#include "m2b/util/ascii.hpp"

namespace m2b {
namespace {

using namespace std::chrono_literals;
using config::parse_word;
using config::store;
using Text = std::string_view;

constexpr std::uint64_t kMaxMqttPayload = 268'435'455;
constexpr std::uint64_t kMaxMqttPacket =
    268'435'460;  // and the fixed header (MQTT 5, section 2.1.4)
constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kMaxSizeT = std::numeric_limits<std::size_t>::max();

std::vector<Setting> original_settings() {
  std::vector<Setting> table = {
      {.name = "BROKER_URL",
       .allowed = "a DNS name or an IP address, or a URL that begins with mqtt://, mqtts://, ws:// "
                  "or wss:// (also tcp://, ssl://, tls://)",
       .help = "Host of the MQTT broker. A URL also gives BROKER_PORT, MQTT_TRANSPORT and, with ws "
               "and wss, MQTT_WEBSOCKET_PATH.",
       .required = true,
       .apply = config::apply_broker_address},
      {.name = "BROKER_PORT",
       .default_note = "1883; by MQTT_TRANSPORT 8883, 80 or 443",
       .allowed = "a port number from 1 to 65535",
       .help = "Port of the MQTT broker.",
       .apply = [](Config& c, Text t) { return store(config::parse_broker_port(t), c.mqtt.port); }},
      {.name = "TOPIC",
       .allowed = "MQTT topic filters with a comma between them; a comma inside one is written \\,",
       .help = "What to subscribe to; wildcards and $share/<group>/<filter> too.",
       .required = true,
       .any_text = true,
       .apply = [](Config& c,
                   Text t) { return store(config::parse_topic_filters(t), c.mqtt.filters); }},
      {.name = "MINIO_URL",
       .allowed = "host or host:port, or a URL of them that begins with https:// or http://; "
                  "without a scheme an IP address needs its port, and IPv6 its brackets",
       .help =
           "The MinIO or S3 store; without a port 443, or 80 with MINIO_SECURE=False. A URL also "
           "gives MINIO_SECURE.",
       .required = true,
       .apply = config::apply_store_address},
      {.name = "MINIO_SECURE",
       .default_text = "True",
       .allowed = "True or False (also yes, no, on, off, 1, 0)",
       .help = "True: HTTPS with the certificate verified. False: HTTP.",
       .apply = [](Config& c, Text t) { return store(config::parse_bool(t), c.store.secure); }},
      {.name = "MINIO_ACCESS_KEY",
       .other_name = "AWS_ACCESS_KEY_ID",
       .allowed = "visible ASCII characters without comma",
       .help = "Access key of the store.",
       .required = true,
       .unless = "AWS_SHARED_CREDENTIALS_FILE",
       .secret = true,
       .apply = config::apply_access_key,
       .keep_file = [](Config& c,
                       const std::string& f) { c.store.credential_files.access_key = f; }},
      {.name = "MINIO_SECRET_KEY",
       .other_name = "AWS_SECRET_ACCESS_KEY",
       .allowed = "text without control characters",
       .help = "Secret key of the store.",
       .required = true,
       .unless = "AWS_SHARED_CREDENTIALS_FILE",
       .secret = true,
       .any_text = true,
       .apply = config::apply_secret_key,
       .keep_file = [](Config& c,
                       const std::string& f) { c.store.credential_files.secret_key = f; }},
      {.name = "BUCKET_NAME",
       .allowed = "a bucket name: 3 to 63 lower case letters, digits, dots and hyphens",
       .help = "Where the objects go; the bucket is made if it does not exist.",
       .required = true,
       .apply = config::apply_bucket},
      {.name = "LOGGING_LEVEL",
       .default_text = "INFO",
       .allowed = "DEBUG, INFO, WARNING (or WARN), ERROR (or ERR) or CRITICAL (or FATAL)",
       .help = "The least level of the lines that are logged.",
       .apply =
           [](Config& c, Text t) {
             return store(parse_word<log::Level>(t, {{"debug", log::Level::debug},
                                                     {"info", log::Level::info},
                                                     {"warning", log::Level::warning},
                                                     {"warn", log::Level::warning},
                                                     {"error", log::Level::error},
                                                     {"err", log::Level::error},
                                                     {"critical", log::Level::critical},
                                                     {"crit", log::Level::critical},
                                                     {"fatal", log::Level::critical}}),
                          c.log_level);
           }},
  };
  for (auto& setting : table) {
    setting.original = true;
  }
  return table;
}

std::vector<Setting> mqtt_settings() {
  return {
      {.name = "MQTT_VERSION",
       .default_text = "auto",
       .allowed = "auto, 5 or 3.1.1",
       .help = "MQTT version; auto: 5, and 3.1.1 where the broker knows no 5.",
       .apply =
           [](Config& c, Text t) {
             return store(parse_word<MqttVersion>(t, {{"auto", MqttVersion::automatic},
                                                      {"5", MqttVersion::v5},
                                                      {"3.1.1", MqttVersion::v3_1_1}}),
                          c.mqtt.version);
           }},
      {.name = "MQTT_QOS",
       .default_text = "1",
       .allowed = "0, 1 or 2",
       .help = "QoS of the subscriptions. 0: the broker may lose messages. 2: not with MQTT 3.1.1.",
       .apply = [](Config& c, Text t) { return store(config::parse_number(t, 0, 2), c.mqtt.qos); }},
      {.name = "MQTT_CLIENT_ID",
       .default_note = "made once and kept in the spool",
       .allowed = "at most 65535 bytes of UTF-8 without control characters",
       .help = "Client identifier. The broker keeps the session under it: no two clients with one.",
       .any_text = true,
       .apply = [](Config& c,
                   Text t) { return store(config::parse_mqtt_text(t), c.mqtt.client_id); }},
      {.name = "MQTT_GROUP_COMMIT",
       .default_text = "True",
       .allowed = "True or False (also yes, no, on, off, 1, 0)",
       .help = "One sync of the disk for all messages that came meanwhile; False: one for each.",
       .apply = [](Config& c,
                   Text t) { return store(config::parse_bool(t), c.mqtt.group_commit); }},
      {.name = "MQTT_MAX_PACKET_SIZE",
       .default_note = "none",
       .allowed = "a size from 1KiB to 268435460, the most that MQTT has",
       .help = "Maximum Packet Size that an MQTT 5 broker is told. It discards a longer message "
               "without telling anybody: nothing of it becomes a dead letter.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_size(t, 1024, kMaxMqttPacket), c.mqtt.max_packet_size);
           }},
      {.name = "MQTT_USERNAME",
       .default_text = "MQTT_TO_BLOB",
       .allowed = "at most 65535 bytes of UTF-8 without control characters",
       .help = "User name at the broker; set but empty: none.",
       .empty_is_a_value = true,
       .any_text = true,
       .apply = [](Config& c,
                   Text t) { return store(config::parse_mqtt_text(t), c.mqtt.username); }},
      {.name = "MQTT_PASSWORD",
       .default_note = "none",
       .allowed = "at most 65535 bytes without control characters",
       .help = "Password at the broker.",
       .secret = true,
       .any_text = true,
       .apply = config::apply_password,
       .keep_file = [](Config& c, const std::string& f) { c.mqtt.password_file = f; }},
      {.name = "MQTT_KEEPALIVE",
       .default_text = "60s",
       .allowed = "a duration of whole seconds from 5s to 65535s",
       .help = "How often the broker hears from us at least; after half as much again without it "
               "the broker drops the connection.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_seconds(t, 5s, 65'535s), c.mqtt.keep_alive);
           }},
      {.name = "MQTT_SESSION_EXPIRY",
       .default_text = "30d",
       .allowed = "a duration of whole seconds from 1s to 49710d, or never",
       .help =
           "How long the broker keeps messages for us while we are away (MQTT 5; with 3.1.1 the "
           "broker decides).",
       .apply = config::apply_session_expiry},
      {.name = "MQTT_CONNECT_TIMEOUT",
       .default_text = "10s",
       .allowed = "a duration of whole seconds from 1s to 10m",
       .help = "How long one attempt to connect to the broker may take.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_seconds(t, 1s, 10min), c.mqtt.connect_timeout);
           }},
  };
}

/// Certificates of the connections to one peer. `member` finds its options in the config.
template <class Member>
std::vector<Setting> tls_settings(const std::array<Text, 5>& names, Text peer_help, Member member) {
  const auto path_of = [member](std::string TlsOptions::*field) {
    return [member, field](Config& c, Text t) {
      return store(std::optional<Text>(t), member(c).*field);
    };
  };
  return {
      {.name = names[0],
       .default_note = "those that the system trusts",
       .allowed = "the path of a file of certificates in PEM form",
       .help = peer_help,
       .any_text = true,
       .apply = path_of(&TlsOptions::ca_file)},
      {.name = names[1],
       .default_note = "none",
       .allowed = "the path of a file of certificates in PEM form",
       .help =
           "Our own certificate, and what leads from it to its authority, for a peer that wants "
           "one.",
       .any_text = true,
       .apply = path_of(&TlsOptions::certificate_file)},
      {.name = names[2],
       .default_note = "none",
       .allowed = "the path of a file with a private key in PEM form",
       .help = "The key of our certificate.",
       .any_text = true,
       .apply = path_of(&TlsOptions::key_file)},
      {.name = names[3],
       .default_note = "none",
       .allowed = "at most 1023 bytes without control characters",
       .help = "Password of that key.",
       .secret = true,
       .any_text = true,
       .apply =
           [member](Config& c, Text t) {
             constexpr std::size_t kMaxBytes = 1023;  // OpenSSL's, less one for the end
             const auto fits =
                 t.size() <= kMaxBytes ? std::optional(Secret(std::string(t))) : std::nullopt;
             return store(fits, member(c).key_password);
           }},
      {.name = names[4],
       .default_note = "the host that is called",
       .allowed = "a DNS name or an IP address",
       .help = "Name that the peer's certificate must be for.",
       .apply = [member](Config& c, Text t) { return config::apply_server_name(member(c), t); }},
  };
}

std::vector<Setting> broker_tls_settings() {
  std::vector<Setting> table = {
      {.name = "MQTT_TRANSPORT",
       .default_text = "tcp",
       .allowed = "tcp, tls, ws or wss",
       .help = "tls: encrypted, the certificate verified. ws: WebSocket; wss: the same over TLS.",
       .apply = [](Config& c,
                   Text t) { return store(config::parse_transport(t), c.mqtt.transport); }},
      {.name = "MQTT_WEBSOCKET_PATH",
       .default_text = "/mqtt",
       .allowed = "a path that begins with /",
       .help = "Where the broker's WebSocket is.",
       .apply = config::apply_websocket_path},
  };
  std::ranges::move(tls_settings({"MQTT_CA_FILE", "MQTT_CERT_FILE", "MQTT_KEY_FILE",
                                  "MQTT_KEY_PASSWORD", "MQTT_SERVER_NAME"},
                                 "Who may vouch for the broker, with tls and wss.",
                                 [](Config& c) -> TlsOptions& { return c.mqtt.tls; }),
                    std::back_inserter(table));
  return table;
}

std::vector<Setting> store_tls_settings() {
  std::vector<Setting> table = tls_settings({"STORE_CA_FILE", "STORE_CERT_FILE", "STORE_KEY_FILE",
                                             "STORE_KEY_PASSWORD", "STORE_SERVER_NAME"},
                                            "Who may vouch for the store, with HTTPS.",
                                            [](Config& c) -> TlsOptions& { return c.store.tls; });
  table.push_back({.name = "TLS_MIN_VERSION",
                   .default_text = "1.2",
                   .allowed = "1.2 or 1.3",
                   .help = "The oldest version of TLS that is spoken with broker and store.",
                   .apply = [](Config& c, Text t) {
                     const auto version =
                         parse_word<TlsVersion>(t, {{"1.2", TlsVersion::v1_2},
                                                    {"tlsv1.2", TlsVersion::v1_2},
                                                    {"1.3", TlsVersion::v1_3},
                                                    {"tlsv1.3", TlsVersion::v1_3}});
                     c.mqtt.tls.min_version = version.value_or(TlsVersion::v1_2);
                     return store(version, c.store.tls.min_version);
                   }});
  return table;
}

std::vector<Setting> pipeline_settings() {
  return {
      {.name = "SPOOL_DIR",
       .default_text = "/var/lib/mqtt-to-blob",
       .allowed = "the path of a directory",
       .help = "Where messages wait on disk until the store has them; one process at a time.",
       .any_text = true,
       .apply = [](Config& c, Text t) { return store(std::optional<Text>(t), c.spool.directory); }},
      {.name = "SPOOL_MAX_BYTES",
       .default_text = "0",
       .allowed = "a size such as 1048576, 512MiB or 20GB; 0: as much as is free",
       .help = "Bytes that waiting messages may take; then the broker has to keep the rest.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_size(t, 0, kNoLimit), c.spool.max_bytes);
           }},
      {.name = "SPOOL_MIN_FREE_BYTES",
       .default_note = "256MiB, at most 5% of the disk",
       .allowed = "a size such as 1048576, 512MiB or 20GB",
       .help = "Free space that the spool leaves on its file system.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_size(t, 0, kNoLimit), c.spool.min_free_bytes);
           }},
      {.name = "SPOOL_KEY",
       .default_note = "none: in the clear",
       .allowed =
           "keys of 32 bytes in base64, one a line (`openssl rand -base64 32`); `plain` in the "
           "first line: encrypt nothing new; `lost` and a key's id: it will not come back",
       .help = "Encrypts what waits on disk, and the dead letters (AES-256-GCM): the first key "
               "encrypts, all decrypt. Without its key a message waits, and all that came after "
               "it; one whose key is lost becomes a dead letter.",
       .secret = true,
       .several_lines = true,
       .apply = config::apply_spool_key},
      {.name = "DEAD_LETTER_AFTER",
       .default_text = "1h",
       .allowed = "a duration of whole seconds from 1s to 36500d",
       .help =
           "How long an object is tried that the store refuses for its own key, size or content "
           "while it takes others like it; then it becomes a dead letter. No other refusal "
           "makes one.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_seconds(t, 1s, 24h * 36'500), c.pipeline.dead_letter_after);
           }},
      {.name = "DEAD_LETTER_MAX_BYTES",
       .default_note = "1GiB, at most 10% of the disk",
       .allowed = "a size such as 1048576, 512MiB or 20GB; 0: no limit",
       .help = "Bytes that dead letters may take; beyond it the oldest are dropped, loudly.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_size(t, 0, kNoLimit), c.spool.dead_letter_max_bytes);
           }},
      {.name = "DEAD_LETTER_MAX_AGE",
       .default_text = "0",
       .allowed = "a duration of whole seconds up to 36500d; 0: for ever",
       .help = "How long dead letters are kept, in time for which the bridge runs.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_seconds(t, 0s, 24h * 36'500), c.spool.dead_letter_max_age);
           }},
      {.name = "DEAD_LETTER_PREFIX",
       .default_note = "none: they stay in the spool",
       .allowed = "the beginning of an object key such as dead-letters/, at most 512 bytes",
       .help = "Dead letters go to the bucket under it, with their reason as metadata.",
       .any_text = true,
       .apply = config::apply_dead_letter_prefix},
      {.name = "MAX_MESSAGE_BYTES",
       .default_text = "32MiB",
       .allowed = "a size from 1 to 268435455, the most that MQTT carries",
       .help = "A longer message is set aside in the spool's dead letters.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_size(t, 1, kMaxMqttPayload), c.pipeline.max_message_bytes);
           }},
      {.name = "DECODER_THREADS",
       .default_text = "1",
       .allowed = "a number from 1 to 64",
       .help = "Threads that decode messages; each may keep up to 60 MiB of memory.",
       .apply = [](Config& c,
                   Text t) { return store(config::parse_number(t, 1, 64), c.pipeline.decoders); }},
      {.name = "UPLOADER_THREADS",
       .default_text = "0",
       .allowed = "a number up to 256; 0: finds it out by itself, from 4 to 128",
       .help = "Threads that upload at a time, each with a connection of its own.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_number(t, 0, 256), c.pipeline.uploaders);
           }},
      {.name = "UPLOAD_BATCHES",
       .default_text = "True",
       .allowed = "True or False (also yes, no, on, off, 1, 0)",
       .help = "Many small objects that wait go to MinIO in one request, and are checked there.",
       .apply = [](Config& c, Text t) { return store(config::parse_bool(t), c.pipeline.batches); }},
      {.name = "UPLOAD_LIVE_SHARE",
       .default_text = "50",
       .allowed = "a number of percent up to 100; 0: all in the order of arrival",
       .help =
           "Part of the uploaded bytes that pictures which come in may have ahead of a backlog.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_number(t, 0, 100), c.pipeline.live_percent);
           }},
      {.name = "IN_FLIGHT_BYTES",
       .default_text = "16MiB",
       .allowed = "a size of at least 1MiB",
       .help = "Bytes of messages between spool and store at a time; memory grows with it.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_size(t, std::uint64_t{1} << 20, kMaxSizeT),
                          c.pipeline.in_flight_bytes);
           }},
  };
}

std::vector<Setting> store_and_life_settings() {
  return {
      {.name = "MINIO_SESSION_TOKEN",
       .other_name = "AWS_SESSION_TOKEN",
       .default_note = "none",
       .allowed = "visible ASCII characters without comma",
       .help = "Token that comes with temporary keys.",
       .secret = true,
       .apply = config::apply_session_token,
       .keep_file = [](Config& c,
                       const std::string& f) { c.store.credential_files.session_token = f; }},
      {.name = "AWS_SHARED_CREDENTIALS_FILE",
       .default_note = "none",
       .allowed = "the path of a file as the AWS tools have it",
       .help = "Keys and token of the store, in place of those above.",
       .any_text = true,
       .apply =
           [](Config& c, Text t) {
             return store(std::optional<Text>(t), c.store.credential_files.shared);
           }},
      {.name = "AWS_PROFILE",
       .default_text = "default",
       .allowed = "the name of a profile",
       .help = "Whose keys in that file.",
       .any_text = true,
       .apply =
           [](Config& c, Text t) {
             return store(std::optional<Text>(t), c.store.credential_files.profile);
           }},
      {.name = "S3_REGION",
       .default_text = "us-east-1",
       .allowed = "a region: a letter, then letters, digits, hyphens and underscores",
       .help = "Region that requests are signed for.",
       .apply = config::apply_region},
      {.name = "STORE_CONNECT_TIMEOUT",
       .default_text = "5s",
       .allowed = "a duration from 100ms to 10m",
       .help = "How long one attempt to connect to the store may take.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_duration(t, 100ms, 10min), c.store.connect_timeout);
           }},
      {.name = "STORE_STALL_TIMEOUT",
       .default_text = "30s",
       .allowed = "a duration of whole seconds from 1s to 1h",
       .help = "A transfer on which nothing moves for so long is given up and tried again.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_seconds(t, 1s, 1h), c.store.stall_timeout);
           }},
      {.name = "UPLOAD_BANDWIDTH_LIMIT",
       .default_text = "0",
       .allowed = "a size of at least 1KiB such as 512KiB; 0: no limit",
       .help = "Bytes a second that all uploads together send at most, each body whenever it is "
               "sent; headers (about 1kB each), TLS and TCP come on top.",
       .apply = config::apply_bandwidth_limit},
      {.name = "RETRY_MAX_DELAY",
       .default_text = "8s",
       .allowed = "a duration from 100ms to 1h",
       .help = "The longest pause between two attempts to reach the broker or the store.",
       .apply = config::apply_retry_max_delay},
      {.name = "SHUTDOWN_TIMEOUT",
       .default_text = "8s",
       .allowed = "a duration from 0s to 1h",
       .help = "How long uploads may go on after SIGTERM; what is left waits in the spool.",
       .apply =
           [](Config& c, Text t) {
             return store(config::parse_duration(t, 0s, 1h), c.shutdown_timeout);
           }},
      {.name = "LOG_FORMAT",
       .default_text = "text",
       .allowed = "text or json",
       .help = "The log's lines: as text, or each as one JSON object.",
       .apply =
           [](Config& c, Text t) {
             return store(parse_word<log::Format>(
                              t, {{"text", log::Format::text}, {"json", log::Format::json}}),
                          c.log_format);
           }},
      {.name = "STATUS_ADDRESS",
       .default_text = "127.0.0.1:9797",
       .allowed = "host:port with IPv6 in brackets, or off",
       .help = "Where the status page, /status, /livez, /readyz and /metrics are served over HTTP.",
       .apply = config::apply_status_address},
      {.name = "STATUS_TOKEN",
       .default_note = "none: the page cannot act",
       .allowed = "16 to 256 visible ASCII characters",
       .help = "Who knows it may replay and drop dead letters on the status page; and then alone "
               "sees payloads and pictures there.",
       .secret = true,
       .apply = config::apply_status_token,
       .keep_file = [](Config& c, const std::string& f) { c.status.token_file = f; }},
      {.name = "STATUS_THUMBNAILS",
       .default_text = "auto",
       .allowed = "auto, True or False",
       .help = "The last pictures on the status page; auto: where STATUS_ADDRESS is on the "
               "loopback.",
       .apply = config::apply_status_thumbnails},
  };
}

}  // namespace

std::span<const Setting> settings() {
  static const std::vector<Setting> table = [] {
    std::vector<Setting> all;
    for (auto* part : {original_settings, mqtt_settings, broker_tls_settings, pipeline_settings,
                       store_and_life_settings, store_tls_settings}) {
      std::ranges::move(part(), std::back_inserter(all));
    }
    return all;
  }();
  return table;
}

std::string flag_of(std::string_view setting_name) {
  std::string flag = "--" + ascii_lower(setting_name);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

}  // namespace m2b
