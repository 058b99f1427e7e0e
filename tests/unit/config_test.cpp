#include "m2b/config/config.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "config/address.hpp"
#include "config/bucket_name.hpp"
#include "config/text.hpp"
#include "config/topic_filters.hpp"
#include "config/values.hpp"
#include "support/certificates.hpp"
#include "support/keys.hpp"
#include "support/temp_dir.hpp"

namespace m2b {
namespace {

using namespace std::chrono_literals;
using Texts = std::map<std::string, std::string>;

TEST_SUITE("config") {
  constexpr const char* kCanary = "canary-9f27";

  /// What users of the original service set, and nothing else.
  Texts original_environment() {
    return {{"BROKER_URL", "127.0.0.1"},
            {"BROKER_PORT", "1883"},
            {"TOPIC", "ia/rawImage/#"},
            {"MINIO_URL", "play.min.io"},
            {"MINIO_SECURE", "True"},
            {"MINIO_ACCESS_KEY", "access"},
            {"MINIO_SECRET_KEY", "secret of many"},
            {"BUCKET_NAME", "umh-images"},
            {"LOGGING_LEVEL", "DEBUG"}};
  }

  Texts with(Texts texts, const std::string& name, const std::string& value) {
    texts[name] = value;
    return texts;
  }

  Texts without(Texts texts, const std::string& name) {
    texts.erase(name);
    return texts;
  }

  std::variant<Config, std::vector<ConfigError>> load(const Texts& environment,
                                                      const Texts& flags = {}) {
    return load_config(
        [&](const std::string& name) {
          const auto found = environment.find(name);
          return found == environment.end() ? std::nullopt : std::optional(found->second);
        },
        flags);
  }

  std::vector<ConfigError> errors_of(const Texts& environment, const Texts& flags = {}) {
    const auto loaded = load(environment, flags);
    const auto* errors = std::get_if<std::vector<ConfigError>>(&loaded);
    return errors == nullptr ? std::vector<ConfigError>{} : *errors;
  }

  Config config_of(const Texts& environment, const Texts& flags = {}) {
    auto loaded = load(environment, flags);
    for (const auto& error : errors_of(environment, flags)) {
      FAIL_CHECK(error);
    }
    auto* config = std::get_if<Config>(&loaded);
    return config == nullptr ? Config{} : std::move(*config);
  }

  /// The only error of the original's environment with this one value changed.
  std::string error_of(const std::string& name, const std::string& value) {
    const auto errors = errors_of(with(original_environment(), name, value));
    CAPTURE(name);
    CAPTURE(value);
    CHECK(errors.size() == 1);
    return errors.empty() ? "" : errors.front();
  }

  std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const auto& text : texts) {
      all += "[" + text + "]";
    }
    return all;
  }

  /// Every field as text, by name.
  Texts fields_of(const Config& config) {
    const auto text = [](auto number) { return std::to_string(number); };
    return {
        {"mqtt.host", config.mqtt.host},
        {"mqtt.port", text(config.mqtt.port)},
        {"mqtt.version", text(static_cast<int>(config.mqtt.version))},
        {"mqtt.filters", joined(config.mqtt.filters)},
        {"mqtt.qos", text(config.mqtt.qos)},
        {"mqtt.client_id", config.mqtt.client_id},
        {"mqtt.max_packet_size", text(config.mqtt.max_packet_size)},
        {"mqtt.group_commit", text(config.mqtt.group_commit)},
        {"mqtt.username", config.mqtt.username},
        {"mqtt.password", config.mqtt.password.reveal()},
        {"mqtt.password_file", config.mqtt.password_file},
        {"mqtt.transport", text(static_cast<int>(config.mqtt.transport))},
        {"mqtt.websocket_path", config.mqtt.websocket_path},
        {"mqtt.tls.ca_file", config.mqtt.tls.ca_file},
        {"mqtt.tls.certificate_file", config.mqtt.tls.certificate_file},
        {"mqtt.tls.key_file", config.mqtt.tls.key_file},
        {"mqtt.tls.key_password", config.mqtt.tls.key_password.reveal()},
        {"mqtt.tls.server_name", config.mqtt.tls.server_name},
        {"mqtt.tls.min_version", text(static_cast<int>(config.mqtt.tls.min_version))},
        {"mqtt.keep_alive", text(config.mqtt.keep_alive.count())},
        {"mqtt.session_expiry", text(config.mqtt.session_expiry.count())},
        {"mqtt.connect_timeout", text(config.mqtt.connect_timeout.count())},
        {"mqtt.backoff.cap", text(config.mqtt.backoff.cap.count())},
        {"spool.directory", config.spool.directory.string()},
        {"spool.max_bytes", text(config.spool.max_bytes)},
        {"spool.key", config.spool.keys.encrypting() == nullptr
                          ? "none"
                          : to_string(config.spool.keys.encrypting()->id())},
        {"spool.min_free_bytes",
         config.spool.min_free_bytes ? text(*config.spool.min_free_bytes) : "unset"},
        {"spool.dead_letter_max_bytes",
         config.spool.dead_letter_max_bytes ? text(*config.spool.dead_letter_max_bytes) : "unset"},
        {"spool.dead_letter_max_age", text(config.spool.dead_letter_max_age.count())},
        {"pipeline.dead_letter_after", text(config.pipeline.dead_letter_after.count())},
        {"pipeline.dead_letter_prefix", config.pipeline.dead_letter_prefix},
        {"pipeline.decoders", text(config.pipeline.decoders)},
        {"pipeline.uploaders", text(config.pipeline.uploaders)},
        {"pipeline.batches", text(config.pipeline.batches)},
        {"pipeline.live_percent", text(config.pipeline.live_percent)},
        {"pipeline.in_flight_bytes", text(config.pipeline.in_flight_bytes)},
        {"pipeline.max_message_bytes", text(config.pipeline.max_message_bytes)},
        {"pipeline.backoff.cap", text(config.pipeline.backoff.cap.count())},
        {"store.host", config.store.host},
        {"store.port", text(config.store.port)},
        {"store.secure", text(config.store.secure)},
        {"store.access_key", config.store.credentials.access_key},
        {"store.secret_key", config.store.credentials.secret_key.reveal()},
        {"store.session_token", config.store.credentials.session_token.reveal()},
        {"store.access_key_file", config.store.credential_files.access_key},
        {"store.secret_key_file", config.store.credential_files.secret_key},
        {"store.session_token_file", config.store.credential_files.session_token},
        {"store.shared_file", config.store.credential_files.shared},
        {"store.profile", config.store.credential_files.profile},
        {"store.tls.ca_file", config.store.tls.ca_file},
        {"store.tls.certificate_file", config.store.tls.certificate_file},
        {"store.tls.key_file", config.store.tls.key_file},
        {"store.tls.key_password", config.store.tls.key_password.reveal()},
        {"store.tls.server_name", config.store.tls.server_name},
        {"store.tls.min_version", text(static_cast<int>(config.store.tls.min_version))},
        {"store.bucket", config.store.bucket},
        {"store.region", config.store.region},
        {"store.connect_timeout", text(config.store.connect_timeout.count())},
        {"store.stall_timeout", text(config.store.stall_timeout.count())},
        {"store.bandwidth_limit", text(config.store.bandwidth_limit)},
        {"status.enabled", text(config.status.enabled)},
        {"status.host", config.status.host},
        {"status.port", text(config.status.port)},
        {"status.token", config.status.token.reveal()},
        {"status.token_file", config.status.token_file},
        {"status.thumbnails", text(static_cast<int>(config.status.thumbnails))},
        {"log_level", text(static_cast<int>(config.log_level))},
        {"log_format", text(static_cast<int>(config.log_format))},
        {"shutdown_timeout", text(config.shutdown_timeout.count())},
    };
  }

  /// The fields in which the two differ, as the second has them.
  Texts changes(const Config& before, const Config& after) {
    const Texts old_fields = fields_of(before);
    Texts changed;
    for (const auto& [name, value] : fields_of(after)) {
      if (old_fields.at(name) != value) {
        changed[name] = value;
      }
    }
    return changed;
  }

  std::vector<std::string> warnings_of(const Texts& environment) {
    return config_of(environment).warnings;
  }

  struct SettingCase {
    std::string name;
    std::string value;  // valid, and not what original_environment() gives
    Texts changed;
    Texts beside = {};  // what the environment has to have as well
  };

  /// Files that settings name, twice with the same content where only the name is to change.
  struct NamedFiles {
    NamedFiles() {
      const m2b::test::Authority authority;
      const m2b::test::Identity own = authority.issue();
      for (const char* each : {"a", "b"}) {
        authority.write_certificate(path(std::string("ca-") + each));
        own.write_certificate(path(std::string("cert-") + each));
        own.write_key(path(std::string("key-") + each));
        std::ofstream(path(std::string("shared-") + each))
            << "[default]\naws_access_key_id = shared-key-" << each
            << "\naws_secret_access_key = shared-secret\n[factory]\naws_access_key_id = "
               "factory-key\n"
               "aws_secret_access_key = factory-secret\naws_session_token = factory-token\n";
      }
    }
    [[nodiscard]] std::string path(const std::string& name) const { return folder.path() / name; }
    m2b::test::TempDir folder;
  };

  const NamedFiles& named_files() {
    static const NamedFiles files;
    return files;
  }

  const std::vector<SettingCase>& setting_cases() {
    const auto path = [](const char* name) { return named_files().path(name); };
    const Texts broker_identity = {{"MQTT_TRANSPORT", "tls"},
                                   {"MQTT_CERT_FILE", path("cert-a")},
                                   {"MQTT_KEY_FILE", path("key-a")}};
    const Texts store_identity = {{"STORE_CERT_FILE", path("cert-a")},
                                  {"STORE_KEY_FILE", path("key-a")}};
    const Texts shared = {{"MINIO_ACCESS_KEY", ""},
                          {"MINIO_SECRET_KEY", ""},
                          {"AWS_SHARED_CREDENTIALS_FILE", path("shared-a")}};
    static const std::vector<SettingCase> cases = {
        {"BROKER_URL", "broker.lan", {{"mqtt.host", "broker.lan"}}},
        {"BROKER_PORT", "2883", {{"mqtt.port", "2883"}}},
        {"TOPIC", "a/+/b,c\\,d,$share/g/#", {{"mqtt.filters", "[a/+/b][c,d][$share/g/#]"}}},
        {"MINIO_URL", "10.0.0.5:9000", {{"store.host", "10.0.0.5"}, {"store.port", "9000"}}},
        {"MINIO_SECURE", "False", {{"store.secure", "0"}, {"store.port", "80"}}},
        {"MINIO_ACCESS_KEY", "AKIA/+=", {{"store.access_key", "AKIA/+="}}},
        {"MINIO_SECRET_KEY", "other", {{"store.secret_key", "other"}}},
        {"BUCKET_NAME", "my.pictures-2", {{"store.bucket", "my.pictures-2"}}},
        {"LOGGING_LEVEL", "critical", {{"log_level", "4"}}},
        {"MQTT_VERSION", "3.1.1", {{"mqtt.version", "1"}}},
        {"MQTT_QOS", "2", {{"mqtt.qos", "2"}}},
        {"MQTT_CLIENT_ID", "line-4 größe", {{"mqtt.client_id", "line-4 größe"}}},
        {"MQTT_GROUP_COMMIT", "False", {{"mqtt.group_commit", "0"}}},
        {"MQTT_MAX_PACKET_SIZE", "64MiB", {{"mqtt.max_packet_size", "67108864"}}},
        {"MQTT_USERNAME", "camera", {{"mqtt.username", "camera"}}},
        {"MQTT_PASSWORD", "p,w", {{"mqtt.password", "p,w"}}},
        {"MQTT_KEEPALIVE", "2m", {{"mqtt.keep_alive", "120"}}},
        {"MQTT_SESSION_EXPIRY", "never", {{"mqtt.session_expiry", "4294967295"}}},
        {"MQTT_CONNECT_TIMEOUT", "3", {{"mqtt.connect_timeout", "3"}}},
        {"MQTT_TRANSPORT", "wss", {{"mqtt.transport", "3"}}},
        {"MQTT_WEBSOCKET_PATH", "/ws?x=1", {{"mqtt.websocket_path", "/ws?x=1"}}},
        {"MQTT_CA_FILE",
         path("ca-b"),
         {{"mqtt.tls.ca_file", path("ca-b")}},
         {{"MQTT_TRANSPORT", "wss"}}},
        {"MQTT_CERT_FILE",
         path("cert-b"),
         {{"mqtt.tls.certificate_file", path("cert-b")}},
         broker_identity},
        {"MQTT_KEY_FILE", path("key-b"), {{"mqtt.tls.key_file", path("key-b")}}, broker_identity},
        {"MQTT_KEY_PASSWORD", "p", {{"mqtt.tls.key_password", "p"}}},
        {"MQTT_SERVER_NAME",
         "broker.plant",
         {{"mqtt.tls.server_name", "broker.plant"}},
         {{"MQTT_TRANSPORT", "tls"}}},
        {"SPOOL_DIR", "/spool", {{"spool.directory", "/spool"}}},
        {"SPOOL_MAX_BYTES", "20GB", {{"spool.max_bytes", "20000000000"}}},
        {"SPOOL_MIN_FREE_BYTES", "0", {{"spool.min_free_bytes", "0"}}},
        {"SPOOL_KEY", m2b::test::kOneKey, {{"spool.key", "9f1af927"}}},
        {"DEAD_LETTER_AFTER", "10m", {{"pipeline.dead_letter_after", "600"}}},
        {"DEAD_LETTER_MAX_BYTES", "1GB", {{"spool.dead_letter_max_bytes", "1000000000"}}},
        {"DEAD_LETTER_MAX_AGE", "30d", {{"spool.dead_letter_max_age", "2592000"}}},
        {"DEAD_LETTER_PREFIX", "bad/", {{"pipeline.dead_letter_prefix", "bad/"}}},
        {"MAX_MESSAGE_BYTES", "1MiB", {{"pipeline.max_message_bytes", "1048576"}}},
        {"DECODER_THREADS", "2", {{"pipeline.decoders", "2"}}},
        {"UPLOADER_THREADS", "256", {{"pipeline.uploaders", "256"}}},
        {"UPLOAD_BATCHES", "False", {{"pipeline.batches", "0"}}},
        {"UPLOAD_LIVE_SHARE", "0", {{"pipeline.live_percent", "0"}}},
        {"IN_FLIGHT_BYTES", "1GiB", {{"pipeline.in_flight_bytes", "1073741824"}}},
        {"MINIO_SESSION_TOKEN", "t/=", {{"store.session_token", "t/="}}},
        {"AWS_SHARED_CREDENTIALS_FILE",
         path("shared-b"),
         {{"store.shared_file", path("shared-b")}, {"store.access_key", "shared-key-b"}},
         shared},
        {"AWS_PROFILE",
         "factory",
         {{"store.profile", "factory"},
          {"store.access_key", "factory-key"},
          {"store.secret_key", "factory-secret"},
          {"store.session_token", "factory-token"}},
         shared},
        {"S3_REGION", "eu-central-1", {{"store.region", "eu-central-1"}}},
        {"STORE_CONNECT_TIMEOUT", "500ms", {{"store.connect_timeout", "500"}}},
        {"STORE_STALL_TIMEOUT", "5m", {{"store.stall_timeout", "300"}}},
        {"UPLOAD_BANDWIDTH_LIMIT", "512KiB", {{"store.bandwidth_limit", "524288"}}},
        {"RETRY_MAX_DELAY",
         "60s",
         {{"mqtt.backoff.cap", "60000"}, {"pipeline.backoff.cap", "60000"}}},
        {"SHUTDOWN_TIMEOUT", "0", {{"shutdown_timeout", "0"}}},
        {"LOG_FORMAT", "JSON", {{"log_format", "1"}}},
        {"STATUS_ADDRESS", "[::]:8080", {{"status.host", "[::]"}, {"status.port", "8080"}}},
        {"STATUS_TOKEN", "0123456789abcdef", {{"status.token", "0123456789abcdef"}}},
        {"STATUS_THUMBNAILS", "False", {{"status.thumbnails", "2"}}},
        {"STORE_CA_FILE", path("ca-b"), {{"store.tls.ca_file", path("ca-b")}}},
        {"STORE_CERT_FILE",
         path("cert-b"),
         {{"store.tls.certificate_file", path("cert-b")}},
         store_identity},
        {"STORE_KEY_FILE", path("key-b"), {{"store.tls.key_file", path("key-b")}}, store_identity},
        {"STORE_KEY_PASSWORD", "p", {{"store.tls.key_password", "p"}}},
        {"STORE_SERVER_NAME", "[::1]", {{"store.tls.server_name", "[::1]"}}},
        {"TLS_MIN_VERSION", "1.3", {{"mqtt.tls.min_version", "1"}, {"store.tls.min_version", "1"}}},
    };
    return cases;
  }

  /// A file that is gone with the test.
  class TempFile {
   public:
    explicit TempFile(const std::string& content) {
      std::string name = (std::filesystem::temp_directory_path() / "m2b-config-XXXXXX").string();
      const int descriptor = mkstemp(name.data());
      REQUIRE(descriptor >= 0);
      close(descriptor);
      path_ = name;
      std::ofstream(path_, std::ios::binary) << content;
    }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;
    ~TempFile() { std::filesystem::remove(path_); }

    [[nodiscard]] const std::string& path() const { return path_; }

   private:
    std::string path_;
  };

  /// The variables of the original, the access key and secret key aside, and this file for the key.
  Texts with_secret_file(const std::string& path) {
    return with(without(original_environment(), "MINIO_SECRET_KEY"), "MINIO_SECRET_KEY_FILE", path);
  }

  std::string fault_of_topic(const std::string& text) {
    const auto parsed = config::parse_topic_filters(text);
    const auto* fault = std::get_if<config::Fault>(&parsed);
    return fault == nullptr ? "" : fault->text;
  }

  std::string filters_of(const std::string& text) {
    const auto parsed = config::parse_topic_filters(text);
    const auto* filters = std::get_if<std::vector<std::string>>(&parsed);
    return filters == nullptr ? "refused" : joined(*filters);
  }

  bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  TEST_CASE("the original's variables are enough") {
    const Config config = config_of(original_environment());
    CHECK(config.mqtt.host == "127.0.0.1");
    CHECK(config.mqtt.port == 1883);
    CHECK(config.mqtt.filters == std::vector<std::string>{"ia/rawImage/#"});
    CHECK(config.mqtt.username == "MQTT_TO_BLOB");
    CHECK(config.mqtt.password.empty());
    CHECK(config.mqtt.qos == 1);
    CHECK(config.mqtt.version == MqttVersion::automatic);
    CHECK(config.store.host == "play.min.io");
    CHECK(config.store.port == 443);
    CHECK(config.store.secure);
    CHECK(config.store.credentials.access_key == "access");
    CHECK(config.store.credentials.secret_key.reveal() == "secret of many");
    CHECK(config.store.bucket == "umh-images");
    CHECK(config.log_level == log::Level::debug);
    CHECK(config.spool.directory == "/var/lib/mqtt-to-blob");
    CHECK_FALSE(config.spool.min_free_bytes);
  }

  TEST_CASE("MINIO_SECURE=False is HTTP, which the original got wrong") {
    for (const char* no : {"False", "false", "0", "no", "off", "OFF"}) {
      CAPTURE(no);
      const Config config = config_of(with(original_environment(), "MINIO_SECURE", no));
      CHECK_FALSE(config.store.secure);
      CHECK(config.store.port == 80);
    }
    for (const char* yes : {"True", "true", "1", "yes", "on", "TRUE"}) {
      CAPTURE(yes);
      const Config config = config_of(with(original_environment(), "MINIO_SECURE", yes));
      CHECK(config.store.secure);
      CHECK(config.store.port == 443);
    }
  }

  TEST_CASE("every setting changes its field, by the environment and by its flag") {
    for (const auto& setting : setting_cases()) {
      CAPTURE(setting.name);
      CAPTURE(setting.value);
      Texts environment = original_environment();
      for (const auto& [name, value] : setting.beside) {
        environment[name] = value;
      }
      const Config before = config_of(environment);
      CHECK(changes(before, config_of(with(environment, setting.name, setting.value))) ==
            setting.changed);
      CHECK(changes(before, config_of(environment, {{setting.name, setting.value}})) ==
            setting.changed);
    }
  }

  TEST_CASE("no setting is missing from the table above") {
    std::vector<std::string> tested;
    for (const auto& setting : setting_cases()) {
      tested.push_back(setting.name);
    }
    std::vector<std::string> known;
    for (const auto& setting : settings()) {
      known.emplace_back(setting.name);
    }
    CHECK(tested == known);
  }

  TEST_CASE("the default that is shown is the one that holds") {
    const Config defaults = config_of(without(original_environment(), "LOGGING_LEVEL"));
    for (const auto& setting : settings()) {
      CAPTURE(setting.name);
      CHECK((setting.required ? 1 : 0) + (setting.default_text.empty() ? 0 : 1) +
                (setting.default_note.empty() ? 0 : 1) ==
            1);
      if (!setting.default_text.empty()) {
        Config config = defaults;
        CHECK_FALSE(setting.apply(config, setting.default_text));
        CHECK(changes(defaults, config).empty());
      }
    }
  }

  TEST_CASE("a flag hides the environment, which hides the default") {
    const auto environment = with(original_environment(), "DECODER_THREADS", "3");
    CHECK(config_of(original_environment()).pipeline.decoders == 1);
    CHECK(config_of(environment).pipeline.decoders == 3);
    CHECK(config_of(environment, {{"DECODER_THREADS", "5"}}).pipeline.decoders == 5);
    CHECK(config_of(environment, {{"DECODER_THREADS", ""}}).pipeline.decoders == 3);
  }

  TEST_CASE("a broken variable does not matter behind a flag") {
    const auto environment = with(original_environment(), "BROKER_PORT", "many");
    CHECK(config_of(environment, {{"BROKER_PORT", "1884"}}).mqtt.port == 1884);
  }

  TEST_CASE("an error names the variable, its value and what is allowed") {
    CHECK(error_of("BROKER_PORT", "70000") ==
          "BROKER_PORT=\"70000\": must be a port number from 1 to 65535");
    CHECK(errors_of(original_environment(), {{"BROKER_PORT", "x"}}) ==
          std::vector<ConfigError>{
              "BROKER_PORT=\"x\" (--broker-port): must be a port number from 1 to 65535"});
    CHECK(errors_of(without(original_environment(), "BUCKET_NAME")) ==
          std::vector<ConfigError>{"BUCKET_NAME is not set: must be a bucket name: 3 to 63 lower "
                                   "case letters, digits, dots and hyphens"});
    CHECK(errors_of({}, {{"NO_SUCH", "1"}}).front() == "\"NO_SUCH\" is not a setting");
    CHECK(errors_of({}, {{std::string(2500, 'x'), "1"}}).front().size() < 200);
  }

  TEST_CASE("every mistake is reported at once") {
    CHECK(errors_of({}).size() == 6);
    CHECK(errors_of({{"BROKER_PORT", "0"},
                     {"TOPIC", "a/#/b"},
                     {"MINIO_SECURE", "maybe"},
                     {"LOGGING_LEVEL", "LOUD"},
                     {"MQTT_QOS", "3"}})
              .size() == 5 + 5);
    Texts all;
    for (const auto& setting : settings()) {
      all[std::string(setting.name)] = "\x01";
    }
    CHECK(errors_of(all).size() == settings().size());
  }

  TEST_CASE("values that are not allowed are refused") {
    const std::vector<std::pair<std::string, std::vector<std::string>>> wrong = {
        {"BROKER_PORT", {"0", "65536", "-1", "+1", "18 83", "0x75", "1e3", "18.83", "s"}},
        {"MINIO_SECURE", {"maybe", "2", "Tru", "y", " "}},
        {"MINIO_ACCESS_KEY", {"a b", "a,b", "a\nb", "ä"}},
        {"MINIO_SECRET_KEY", {"a\nb", "a\tb"}},
        {"LOGGING_LEVEL", {"TRACE", "10", "warnings", "WARN ING"}},
        {"LOG_FORMAT", {"xml", "JSON5"}},
        {"MQTT_VERSION", {"4", "3.1", "v5", "latest"}},
        {"MQTT_QOS", {"3", "-1", "one"}},
        {"MQTT_CLIENT_ID", {"a\tb", "\xff", std::string(65'536, 'a'), "a\xc2\x85"}},
        {"MQTT_USERNAME", {"a\nb", "\xc0\xaf", std::string(65'536, 'a')}},
        {"MQTT_PASSWORD", {std::string(65'536, 'a'), "a\x1b"}},
        {"MQTT_KEEPALIVE", {"4s", "65536s", "0", "5500ms", "1d", "never"}},
        {"MQTT_SESSION_EXPIRY", {"0", "999ms", "4294967295", "49711d", "ever"}},
        {"MQTT_CONNECT_TIMEOUT", {"0", "11m", "1500ms"}},
        {"SPOOL_MAX_BYTES", {"-1", "1.5GiB", "64K", "64M", "20Gb", "18446744073709551616"}},
        {"SPOOL_MIN_FREE_BYTES", {"5%", "16777216TiB"}},
        {"DEAD_LETTER_AFTER", {"0", "1500ms", "36501d", "never"}},
        {"DEAD_LETTER_MAX_BYTES", {"-1", "10%"}},
        {"DEAD_LETTER_MAX_AGE", {"1500ms", "36501d", "never", "1M"}},
        {"DEAD_LETTER_PREFIX", {"/bad/", "a//b", "../", "a\x01", std::string(513, 'a')}},
        {"MAX_MESSAGE_BYTES", {"0", "268435456", "256MiB"}},
        {"DECODER_THREADS", {"0", "65"}},
        {"UPLOADER_THREADS", {"-1", "257"}},
        {"IN_FLIGHT_BYTES", {"0", "1MB", "1048575"}},
        {"S3_REGION", {"us east", "1a", "a/b", "-"}},
        {"STORE_CONNECT_TIMEOUT", {"99ms", "601s"}},
        {"STORE_STALL_TIMEOUT", {"0", "1500ms", "2h"}},
        {"UPLOAD_BANDWIDTH_LIMIT", {"1", "1kB", "1023", "-1", "1MiB/s", "none"}},
        {"RETRY_MAX_DELAY", {"0", "61m"}},
        {"SHUTDOWN_TIMEOUT", {"-1s", "61m"}},
        {"STATUS_ADDRESS", {"127.0.0.1", "127.0.0.1:0", "localhost:", "9797", "::1:80", "*:9797"}},
        {"STATUS_TOKEN", {"short", "0123456789abcdé", "0123456789 abcdef"}},
        {"STATUS_THUMBNAILS", {"sometimes", "-1"}},
    };
    for (const auto& [name, values] : wrong) {
      for (const auto& value : values) {
        const auto error = error_of(name, value);
        CAPTURE(error);
        CHECK(error.starts_with(name + "="));
        CHECK(contains(error, ": must "));
      }
    }
  }

  TEST_CASE("control characters are refused in every setting") {
    for (const auto& setting : setting_cases()) {
      for (const std::string& wrong :
           {setting.value + "\r", "\x7f" + setting.value, std::string(1, '\0') + setting.value}) {
        Texts environment = with(original_environment(), setting.name, wrong);
        environment.insert(setting.beside.begin(), setting.beside.end());
        const auto errors = errors_of(environment);
        CAPTURE(setting.name);
        // The lines of SPOOL_KEY may end so.
        CHECK(std::ranges::any_of(errors, [&](const std::string& error) {
                return error.starts_with(setting.name + "=") &&
                       contains(error, ": must not have a control character, but has ");
              }) == (setting.name != "SPOOL_KEY"));
      }
    }
    CHECK(error_of("TOPIC", "ia/#\r") ==
          "TOPIC=\"ia/#\\x0d\": must not have a control character, but has a carriage return (CR) "
          "at its end: convert a file with Windows line ends (dos2unix)");
    CHECK(error_of("MQTT_PASSWORD", "canary\n") ==
          "MQTT_PASSWORD=***: must not have a control character, but has a line feed (LF) at its "
          "end: leave it out (echo -n, in YAML |- in place of |)");
  }

  TEST_CASE("quotes and what nobody sees at the ends are refused in every setting") {
    for (const auto& setting : setting_cases()) {
      const auto& known = *std::ranges::find(settings(), setting.name, &Setting::name);
      for (const auto& [before, after] :
           std::vector<std::pair<std::string, std::string>>{{"\"", "\""},
                                                            {"'", "'"},
                                                            {"\xc2\xa0", ""},
                                                            {"", "\xe2\x80\x8b"},
                                                            {"\xef\xbb\xbf", ""},
                                                            {"\xe2\x80\x9c", "\xe2\x80\x9d"}}) {
        Texts environment =
            with(original_environment(), setting.name, before + setting.value + after);
        for (const auto& [name, value] : setting.beside) {
          environment.emplace(name, value);
        }
        CAPTURE(setting.name);
        CAPTURE(before);
        const bool may_be_meant = known.secret && known.original;
        CHECK(std::ranges::any_of(errors_of(environment), [&](const std::string& error) {
                return error.starts_with(setting.name + "=") && contains(error, ": must not have ");
              }) == !may_be_meant);
      }
    }
    CHECK(error_of("TOPIC", "\"ia/#\"") ==
          "TOPIC=\"\\\"ia/#\\\"\": must not have quotes around it, which docker --env-file and "
          "lists in YAML keep as a part of the value: remove them");
    CHECK(
        error_of("MQTT_PASSWORD", "'canary'") ==
        "MQTT_PASSWORD=***: must not have quotes around it, which docker --env-file and lists in "
        "YAML keep as a part of the value: remove them, or, where they belong to the secret, give "
        "it by MQTT_PASSWORD_FILE");
    CHECK(contains(error_of("MQTT_PASSWORD_FILE", "\"/run/secret\""), "must not have quotes"));
  }

  TEST_CASE("blanks at the ends are removed where no value has any, and refused elsewhere") {
    for (const auto& setting : setting_cases()) {
      const auto& known = *std::ranges::find(settings(), setting.name, &Setting::name);
      Texts environment = original_environment();
      for (const auto& [name, value] : setting.beside) {
        environment[name] = value;
      }
      const Config before = config_of(environment);
      const Texts blanks = with(environment, setting.name, " " + setting.value + "  ");
      CAPTURE(setting.name);
      if (!known.any_text) {
        CHECK(changes(before, config_of(blanks)) == setting.changed);
        // Whoever takes a text with its blanks is any_text.
        Config config = before;
        CHECK(known.apply(config, " " + setting.value).has_value() != known.several_lines);
      } else if (!known.original || !known.secret) {
        CHECK(contains(errors_of(blanks).at(0), ": must not have a blank at its start, which"));
      }
    }
    CHECK(config_of(with(original_environment(), "MINIO_SECURE", "True ")).store.secure);
  }

  TEST_CASE("a secret that may really have quotes or blanks is taken with a warning") {
    Texts environment = original_environment();
    CHECK(warnings_of(environment).empty());
    environment["MINIO_SECRET_KEY"] = "'canary'";
    CHECK(config_of(environment).store.credentials.secret_key.reveal() == "'canary'");
    CHECK(
        warnings_of(environment) ==
        std::vector<std::string>{"MINIO_SECRET_KEY=***: is taken with quotes around it, as a part "
                                 "of the secret: remove them unless they belong there"});
    const TempFile file("canary \n");
    environment = with(original_environment(), "MQTT_PASSWORD_FILE", file.path());
    CHECK(config_of(environment).mqtt.password.reveal() == "canary ");
    CHECK(warnings_of(environment) ==
          std::vector<std::string>{"MQTT_PASSWORD_FILE=\"" + file.path() +
                                   "\": what it holds is taken with a blank at its end, as a "
                                   "part of the secret: remove it unless it belongs there"});
  }

  TEST_CASE("keys in quotes in a shared credentials file are taken with a warning") {
    const TempFile file("[default]\naws_access_key_id = key\naws_secret_access_key = 'canary'\n");
    Texts environment = with(original_environment(), "AWS_SHARED_CREDENTIALS_FILE", file.path());
    environment.erase("MINIO_ACCESS_KEY");
    environment.erase("MINIO_SECRET_KEY");
    CHECK(config_of(environment).store.credentials.secret_key.reveal() == "'canary'");
    CHECK(
        warnings_of(environment) ==
        std::vector<std::string>{"AWS_SHARED_CREDENTIALS_FILE=\"" + file.path() +
                                 "\": its aws_secret_access_key is taken with quotes around it, as "
                                 "a part of the secret: remove them unless they belong there"});
  }

  TEST_CASE("files that Windows wrote are named as such") {
    const TempFile utf16(std::string("\xff\xfe\x63\0\x61\0", 6));
    CHECK(contains(errors_of(with_secret_file(utf16.path())).at(0), ": is UTF-16"));
    const TempFile marked("\xef\xbb\xbf\x63\x61");
    CHECK(contains(errors_of(with_secret_file(marked.path())).at(0),
                   ": begins with a byte order mark"));
  }

  TEST_CASE("usual spellings of words are accepted") {
    const auto level = [](const char* text) {
      return config_of(with(original_environment(), "LOGGING_LEVEL", text)).log_level;
    };
    for (const char* text : {"WARNING", "warning", "WARN", "Warn", " warn "}) {
      CHECK(level(text) == log::Level::warning);
    }
    for (const char* text : {"ERROR", "err", "Err "}) {
      CHECK(level(text) == log::Level::error);
    }
    for (const char* text : {"CRITICAL", "crit", "FATAL"}) {
      CHECK(level(text) == log::Level::critical);
    }
    CHECK(level("info") == log::Level::info);
    CHECK(error_of("LOGGING_LEVEL", "LOUD") ==
          "LOGGING_LEVEL=\"LOUD\": must be DEBUG, INFO, WARNING (or WARN), ERROR (or ERR) or "
          "CRITICAL (or FATAL)");
    const auto transport = [](const char* text) {
      return config_of(with(original_environment(), "MQTT_TRANSPORT", text)).mqtt.transport;
    };
    CHECK(transport("mqtt") == MqttTransport::tcp);
    CHECK(transport("SSL") == MqttTransport::tls);
    CHECK(transport("mqtts") == MqttTransport::tls);
    CHECK(config_of(with(original_environment(), "TLS_MIN_VERSION", "TLSv1.3"))
              .store.tls.min_version == TlsVersion::v1_3);
  }

  TEST_CASE("an empty variable counts as not set") {
    Texts environment = original_environment();
    for (const auto& setting : settings()) {
      environment.try_emplace(std::string(setting.name));
      environment.try_emplace(std::string(setting.name) + "_FILE");
    }
    environment.erase("MQTT_USERNAME");
    CHECK(changes(config_of(original_environment()), config_of(environment)).empty());
    CHECK(contains(error_of("TOPIC", ""), "TOPIC is not set"));
    CHECK(contains(error_of("MINIO_SECRET_KEY", ""),
                   "MINIO_SECRET_KEY is not set, nor is MINIO_SECRET_KEY_FILE"));
  }

  TEST_CASE("an empty MQTT_USERNAME means none") {
    auto environment = with(original_environment(), "MQTT_USERNAME", "");
    CHECK(config_of(environment).mqtt.username.empty());
    environment["MQTT_PASSWORD"] = "";
    CHECK(config_of(environment).mqtt.username.empty());
    CHECK(config_of(original_environment(), {{"MQTT_USERNAME", ""}}).mqtt.username.empty());
  }

  TEST_CASE("a password needs a user name") {
    auto environment = with(original_environment(), "MQTT_PASSWORD", kCanary);
    CHECK(config_of(environment).mqtt.password.reveal() == kCanary);
    environment["MQTT_USERNAME"] = "";
    const auto errors = errors_of(environment);
    REQUIRE(errors.size() == 1);
    CHECK(contains(errors.front(), "MQTT_PASSWORD=***: needs MQTT_USERNAME"));
  }

  TEST_CASE("the form of the log is known whatever else is wrong") {
    const auto format = [](const Texts& environment, const Texts& flags = {}) {
      return load_log_format(
          [&](const std::string& name) {
            const auto found = environment.find(name);
            return found == environment.end() ? std::nullopt : std::optional(found->second);
          },
          flags);
    };
    CHECK(format({}) == log::Format::text);
    CHECK(format({{"LOG_FORMAT", "json"}, {"BROKER_PORT", "no"}}) == log::Format::json);
    CHECK(format({{"LOG_FORMAT", "text"}}, {{"LOG_FORMAT", "json"}}) == log::Format::json);
    CHECK(format({{"LOG_FORMAT", "xml"}}) == log::Format::text);
  }

  TEST_CASE("QoS 2 is refused with MQTT 3.1.1 alone") {
    auto environment = with(original_environment(), "MQTT_QOS", "2");
    CHECK(config_of(environment).mqtt.qos == 2);
    environment["MQTT_VERSION"] = "5";
    CHECK(config_of(environment).mqtt.qos == 2);
    environment["MQTT_VERSION"] = "3.1.1";
    const auto errors = errors_of(environment);
    REQUIRE(errors.size() == 1);
    CHECK(contains(errors.front(), "MQTT_QOS=\"2\": "));
    CHECK(contains(errors.front(), "write MQTT_QOS=1 or MQTT_VERSION=5"));
  }

  TEST_CASE("a secret can come from a file, without the line ends after it") {
    for (const char* content : {"from a file", "from a file\n", "from a file\r\n\n"}) {
      const TempFile file(content);
      const auto environment = with_secret_file(file.path());
      CHECK(config_of(environment).store.credentials.secret_key.reveal() == "from a file");
      CHECK(config_of(without(original_environment(), "MINIO_SECRET_KEY"),
                      {{"MINIO_SECRET_KEY_FILE", file.path()}})
                .store.credentials.secret_key.reveal() == "from a file");
    }
    const TempFile lines("two\nlines");
    CHECK(errors_of(with_secret_file(lines.path())) ==
          std::vector<ConfigError>{"MINIO_SECRET_KEY_FILE=\"" + lines.path() +
                                   "\": what it holds must not have a control character, but has a "
                                   "line feed (LF) inside: leave it out (echo -n, in YAML |- in "
                                   "place of |)"});
  }

  TEST_CASE("every secret can come from a file, and nothing else can") {
    const TempFile file(m2b::test::kOneKey);  // which could be any of them
    for (const auto& setting : settings()) {
      const std::string name(setting.name);
      CAPTURE(name);
      Texts environment = without(original_environment(), name);
      environment[name + "_FILE"] = file.path();
      const auto loaded = load(environment);
      CHECK(std::holds_alternative<Config>(loaded) == (setting.secret || !setting.required));
      CHECK(errors_of(original_environment(), {{name + "_FILE", file.path()}}).empty() ==
            setting.secret);
    }
  }

  TEST_CASE("a secret's file that cannot serve is named") {
    const TempFile empty("\n");
    CHECK(errors_of(with_secret_file(empty.path())) ==
          std::vector<ConfigError>{"MINIO_SECRET_KEY_FILE=\"" + empty.path() +
                                   "\": is an empty file"});
    CHECK(
        errors_of(with_secret_file("/no/such/file")) ==
        std::vector<ConfigError>{
            "MINIO_SECRET_KEY_FILE=\"/no/such/file\": cannot be read: No such file or directory"});
    CHECK(errors_of(with_secret_file("/")) ==
          std::vector<ConfigError>{"MINIO_SECRET_KEY_FILE=\"/\": cannot be read: Is a directory"});
    CHECK(contains(errors_of(with_secret_file("/dev/zero")).at(0), "is too long"));
  }

  TEST_CASE("a secret given twice is refused, but a flag hides the environment") {
    const TempFile file("held");
    const auto both = with(original_environment(), "MINIO_SECRET_KEY_FILE", file.path());
    CHECK(errors_of(both) ==
          std::vector<ConfigError>{"MINIO_SECRET_KEY and MINIO_SECRET_KEY_FILE are both set: set "
                                   "one of them"});
    CHECK(config_of(both, {{"MINIO_SECRET_KEY", "flag"}}).store.credentials.secret_key.reveal() ==
          "flag");
    CHECK(config_of(original_environment(), {{"MINIO_SECRET_KEY_FILE", file.path()}})
              .store.credentials.secret_key.reveal() == "held");
  }

  TEST_CASE("a secret's file is kept where it is read again") {
    const TempFile file("held-in-the-file");
    Texts environment = original_environment();
    for (const char* name : {"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"}) {
      environment.erase(name);
    }
    for (const char* name :
         {"MINIO_ACCESS_KEY_FILE", "MINIO_SECRET_KEY_FILE", "MINIO_SESSION_TOKEN_FILE",
          "MQTT_PASSWORD_FILE", "STATUS_TOKEN_FILE"}) {
      environment[name] = file.path();
    }
    const Config config = config_of(environment);
    CHECK(config.store.credential_files.access_key == file.path());
    CHECK(config.store.credential_files.secret_key == file.path());
    CHECK(config.store.credential_files.session_token == file.path());
    CHECK(config.mqtt.password_file == file.path());
    CHECK(config.mqtt.password.reveal() == "held-in-the-file");
    CHECK(config.status.token_file == file.path());
  }

  TEST_CASE("the AWS tools' names of the keys serve where ours are not given") {
    Texts environment = original_environment();
    environment["AWS_ACCESS_KEY_ID"] = "AWS";
    environment["AWS_SECRET_ACCESS_KEY"] = "aws";
    environment["AWS_SESSION_TOKEN"] = "token";
    // Keys are never mixed, nor is a token put beside keys that it does not belong to.
    const Credentials ours = config_of(environment).store.credentials;
    CHECK(ours == Credentials{"access", Secret("secret of many"), {}});
    environment.erase("MINIO_ACCESS_KEY");
    environment.erase("MINIO_SECRET_KEY");
    CHECK(config_of(environment).store.credentials ==
          Credentials{"AWS", Secret("aws"), Secret("token")});
    environment.erase("AWS_SECRET_ACCESS_KEY");
    CHECK(contains(errors_of(environment).at(0), "MINIO_SECRET_KEY is not set"));
  }

  TEST_CASE("a shared credentials file stands for the keys, and not beside them") {
    Texts environment = original_environment();
    environment["AWS_SHARED_CREDENTIALS_FILE"] = named_files().path("shared-a");
    CHECK(contains(errors_of(environment).at(0), "are both set: set one of them"));
    environment.erase("MINIO_ACCESS_KEY");
    environment.erase("MINIO_SECRET_KEY");
    CHECK(config_of(environment).store.credentials.access_key == "shared-key-a");
    environment["AWS_PROFILE"] = "none";
    const auto errors = errors_of(environment);
    REQUIRE(errors.size() == 1);
    CHECK(errors.front() == "AWS_SHARED_CREDENTIALS_FILE=\"" + named_files().path("shared-a") +
                                "\" has no profile [none]");
  }

  TEST_CASE("the port follows the transport unless it is given") {
    const std::map<std::string, int> ports = {
        {"tcp", 1883}, {"tls", 8883}, {"ws", 80}, {"wss", 443}};
    for (const auto& row : ports) {
      CAPTURE(row.first);
      auto environment =
          with(without(original_environment(), "BROKER_PORT"), "MQTT_TRANSPORT", row.first);
      CHECK(config_of(environment).mqtt.port == row.second);
      environment["BROKER_PORT"] = "1234";
      CHECK(config_of(environment).mqtt.port == 1234);
    }
  }

  TEST_CASE("certificates without TLS, halves and files that cannot serve are refused") {
    const auto path = [](const char* name) { return named_files().path(name); };
    CHECK(error_of("MQTT_CA_FILE", path("ca-a")) ==
          "MQTT_CA_FILE=\"" + path("ca-a") +
              "\": has no effect without TLS: write MQTT_TRANSPORT=tls or wss, or take it away");
    CHECK(error_of("STORE_CERT_FILE", path("cert-a")) ==
          "STORE_CERT_FILE and STORE_KEY_FILE belong together: set both or none");
    CHECK(error_of("STORE_CA_FILE", "/no/such/file") ==
          "STORE_CA_FILE=\"/no/such/file\": cannot be read: No such file or directory");
    CHECK(contains(error_of("STORE_SERVER_NAME", "https://x"), "must be a DNS name"));
    CHECK(contains(error_of("MQTT_WEBSOCKET_PATH", "mqtt"), "must be a path that begins with /"));
    auto environment = with(original_environment(), "STORE_CA_FILE", path("ca-a"));
    environment["MINIO_SECURE"] = "False";
    CHECK(contains(errors_of(environment).at(0), "write MINIO_SECURE=True, or take it away"));
  }

  TEST_CASE("no error ever shows a secret") {
    const std::string canary(kCanary);
    const TempFile file(canary + "\x01," + std::string(70'000, 'x'));
    for (const auto& setting : settings()) {
      if (!setting.secret) {
        continue;
      }
      const std::string name(setting.name);
      CAPTURE(name);
      for (const auto& text :
           {canary + "\x01,", canary + std::string(70'000, '\x01'), "\"" + canary + "\n\""}) {
        for (const auto& error : errors_of(with(original_environment(), name, text))) {
          CHECK_FALSE(contains(error, canary));
          CHECK(error.starts_with(name + "=***: must "));
        }
        for (const auto& error : errors_of(original_environment(), {{name, text}})) {
          CHECK_FALSE(contains(error, canary));
        }
      }
      const auto environment =
          with(without(original_environment(), name), name + "_FILE", file.path());
      const auto errors = errors_of(environment);
      CHECK(errors.size() == 1);
      for (const auto& error : errors) {
        CHECK_FALSE(contains(error, canary));
      }
    }
    CHECK_FALSE(contains(error_of("MINIO_URL", "https://key:" + canary + "@store:9000"), canary));
    CHECK_FALSE(contains(error_of("BROKER_URL", "tcp://user:" + canary + "@broker"), canary));
  }

  TEST_CASE("a broker's host is a name or an address") {
    const auto host = [](const std::string& text) {
      return config_of(with(original_environment(), "BROKER_URL", text)).mqtt.host;
    };
    for (const char* good : {"localhost", "my_broker", "broker.example.org.", "10.0.0.5", "1a.b-c",
                             "xn--mller-kva.example"}) {
      CHECK(host(good) == good);
    }
    CHECK(host("::1") == "[::1]");
    CHECK(host("[fe80::1]") == "[fe80::1]");
    for (const char* wrong :
         {" ", "a b", "-a", "a-", "a..b", ".", "10.0.0.256", "10.0.0", "1883",
          "host:", "[10.0.0.1]", "[::1", "::g", "[]", "müller", "host:port", "host:0", "*"}) {
      CHECK_FALSE(config::parse_host(wrong));
      CHECK(contains(error_of("BROKER_URL", wrong), "must be a DNS name or an IP address"));
    }
    CHECK_FALSE(config::parse_host(std::string(64, 'a')));
    CHECK_FALSE(config::parse_host(std::string("::1\0", 4)));
  }

  /// Host, port, transport and path of the broker's address, without BROKER_PORT beside it.
  std::string broker_of(const std::string& url, const Texts& beside = {}) {
    auto environment = with(without(original_environment(), "BROKER_PORT"), "BROKER_URL", url);
    environment.insert(beside.begin(), beside.end());
    const MqttOptions mqtt = config_of(environment).mqtt;
    return mqtt.host + " " + std::to_string(mqtt.port) + " " +
           std::string(config::name_of(mqtt.transport)) + " " + mqtt.websocket_path;
  }

  TEST_CASE("a URL gives host, port, transport and path of the broker") {
    const std::map<std::string, std::string> urls = {
        {"host", "host 1883 tcp /mqtt"},
        {"host:1884", "host 1884 tcp /mqtt"},
        {"[::1]:1884", "[::1] 1884 tcp /mqtt"},
        {"mqtt://host", "host 1883 tcp /mqtt"},
        {"tcp://host:1884/", "host 1884 tcp /mqtt"},
        {"mqtts://host", "host 8883 tls /mqtt"},
        {"ssl://10.0.0.5:1234", "10.0.0.5 1234 tls /mqtt"},
        {"tls://[fe80::1]:8884", "[fe80::1] 8884 tls /mqtt"},
        {"MQTTS://Host:8883", "Host 8883 tls /mqtt"},
        {"ws://host", "host 80 ws /mqtt"},
        {"ws://host:9001/", "host 9001 ws /mqtt"},
        {"ws://host:9001/broker/ws", "host 9001 ws /broker/ws"},
        {"wss://host/", "host 443 wss /mqtt"},
        {"wss://[::1]:8443/mqtt/?a=b/c", "[::1] 8443 wss /mqtt/?a=b/c"},
        {"WSS://host?a=b", "host 443 wss /?a=b"},
    };
    for (const auto& row : urls) {
      CAPTURE(row.first);
      CHECK(broker_of(row.first) == row.second);
    }
  }

  TEST_CASE("what the broker's URL does not say is given by the settings, which may say the same") {
    CHECK(broker_of("host", {{"MQTT_TRANSPORT", "wss"}}) == "host 443 wss /mqtt");
    CHECK(broker_of("mqtts://host", {{"BROKER_PORT", "1884"}}) == "host 1884 tls /mqtt");
    CHECK(broker_of("ws://host:80/", {{"MQTT_WEBSOCKET_PATH", "/"}}) == "host 80 ws /");
    CHECK(broker_of("host:1884", {{"MQTT_TRANSPORT", "tls"}}) == "host 1884 tls /mqtt");
    CHECK(broker_of("wss://host:443/a", {{"MQTT_WEBSOCKET_PATH", "/a"},
                                         {"MQTT_TRANSPORT", "WSS"},
                                         {"BROKER_PORT", "443"}}) == "host 443 wss /a");
  }

  TEST_CASE("a URL and a setting that contradict each other are both named") {
    CHECK(error_of("BROKER_URL", "mqtt://host:1884") ==
          "BROKER_URL=\"mqtt://host:1884\" and BROKER_PORT=\"1883\" contradict each other: the "
          "first means BROKER_PORT=1884: remove one of them");
    auto environment = with(original_environment(), "BROKER_URL", "ws://host:1883/a");
    environment["MQTT_TRANSPORT"] = "wss";
    const auto errors = errors_of(environment, {{"MQTT_WEBSOCKET_PATH", "/b"}});
    REQUIRE(errors.size() == 2);
    CHECK(errors.at(0) ==
          "BROKER_URL=\"ws://host:1883/a\" and MQTT_TRANSPORT=\"wss\" contradict each other: the "
          "first means MQTT_TRANSPORT=ws: remove one of them");
    CHECK(errors.at(1) ==
          "BROKER_URL=\"ws://host:1883/a\" and MQTT_WEBSOCKET_PATH=\"/b\" "
          "(--mqtt-websocket-path) contradict each other: the first means MQTT_WEBSOCKET_PATH=/a: "
          "remove one of them");
    CHECK(error_of("MINIO_URL", "http://minio:9000") ==
          "MINIO_URL=\"http://minio:9000\" and MINIO_SECURE=\"True\" contradict each other: the "
          "first means MINIO_SECURE=False: remove one of them");
    // A setting that is a mistake by itself is told once.
    CHECK(error_of("BROKER_PORT", "many").find("contradict") == std::string::npos);
  }

  TEST_CASE("a URL that cannot be the broker's is refused with what to write") {
    for (const char* wrong : {"http://host", "mqtt:/host", "mqtt://", "mqtt://:1883", "://host",
                              "mqtt://host:0", "mqtt://::1", "wss+mqtt://host", "mqtt://a b"}) {
      CHECK(contains(error_of("BROKER_URL", wrong), "a URL that begins with mqtt://, mqtts://"));
    }
    for (const char* wrong : {"mqtt://host/ia/#", "tls://host/a", "host/a", "mqtt://host?a=b"}) {
      CHECK(contains(error_of("BROKER_URL", wrong), "must be without a path"));
    }
    CHECK(contains(error_of("BROKER_URL", "ws://host/a#b"), "a path of visible ASCII"));
    CHECK(contains(error_of("BROKER_URL", "ws://host/ü"), "a path of visible ASCII"));
    for (const char* wrong : {"mqtt://me:canary@host:1883", "mqtt://canary@host", "me:canary@host",
                              "mqtt://me:can/ary@host"}) {
      const std::string error = error_of("BROKER_URL", wrong);
      CHECK(contains(error, "MQTT_USERNAME and MQTT_PASSWORD_FILE"));
      CHECK_FALSE(contains(error, "canary"));
    }
    CHECK(contains(error_of("BROKER_PORT", "tcp://10.43.0.7:1883"), "enableServiceLinks"));
  }

  TEST_CASE("a store's address gets its port from MINIO_SECURE, an IP address needs one") {
    const auto place = [](const std::string& text) {
      const Config config = config_of(with(original_environment(), "MINIO_URL", text));
      return config.store.host + " " + std::to_string(config.store.port);
    };
    CHECK(place("play.min.io") == "play.min.io 443");
    CHECK(place("minio:9000") == "minio 9000");
    CHECK(place("10.0.0.5:80") == "10.0.0.5 80");
    CHECK(place("[::1]:9000") == "[::1] 9000");
    CHECK(contains(error_of("MINIO_URL", "10.0.0.5"), "write for example MINIO_URL=10.0.0.5:9000"));
    CHECK(contains(error_of("MINIO_URL", "[::1]"), "must have its port"));
    CHECK(contains(error_of("MINIO_URL", "::1"), "write for example MINIO_URL=[::1]:9000"));
    for (const char* wrong :
         {"minio:0", "minio:65536", "minio:", ":9000", "a b:9000", "s3://bucket", "https://"}) {
      CHECK(contains(error_of("MINIO_URL", wrong), "must be host or host:port"));
    }
  }

  TEST_CASE("a URL gives host, port and MINIO_SECURE of the store") {
    const auto place = [](const std::string& text) {
      const StoreOptions store =
          config_of(with(without(original_environment(), "MINIO_SECURE"), "MINIO_URL", text)).store;
      return store.host + " " + std::to_string(store.port) + (store.secure ? " HTTPS" : " HTTP");
    };
    CHECK(place("https://play.min.io") == "play.min.io 443 HTTPS");
    CHECK(place("http://minio:9000/") == "minio 9000 HTTP");
    CHECK(place("HTTPS://10.0.0.5") == "10.0.0.5 443 HTTPS");
    CHECK(place("http://[::1]") == "[::1] 80 HTTP");
    CHECK(place("minio:9000/") == "minio 9000 HTTPS");
    CHECK(config_of(with(original_environment(), "MINIO_URL", "https://a:1")).store.port == 1);
  }

  TEST_CASE("a URL that cannot be the store's is refused with what to write") {
    CHECK(error_of("MINIO_URL", "https://play.min.io/pictures") ==
          "MINIO_URL=\"https://play.min.io/pictures\": must be without a path: write "
          "MINIO_URL=https://play.min.io; the bucket is given by BUCKET_NAME, and a store below a "
          "path cannot be reached");
    const std::string error = error_of("MINIO_URL", "https://access:canary@minio:9000");
    CHECK(contains(error, "MINIO_ACCESS_KEY_FILE"));
    CHECK_FALSE(contains(error, "canary"));
  }

  TEST_CASE("the status listener can be switched off and wants both host and port") {
    const auto off = config_of(with(original_environment(), "STATUS_ADDRESS", "Off"));
    CHECK_FALSE(off.status.enabled);
    CHECK(contains(error_of("STATUS_ADDRESS", ":9797"), "write for example 0.0.0.0:9797"));
  }

  TEST_CASE("pictures beyond the loopback need a token") {
    auto environment = with(original_environment(), "STATUS_ADDRESS", "0.0.0.0:9797");
    CHECK_FALSE(shows_pictures(config_of(environment).status));
    environment = with(environment, "STATUS_THUMBNAILS", "True");
    const auto errors = errors_of(environment);
    REQUIRE(errors.size() == 1);
    CHECK(contains(errors.front(), "needs STATUS_TOKEN"));
    const auto allowed = config_of(with(environment, "STATUS_TOKEN", "0123456789abcdef"));
    CHECK(shows_pictures(allowed.status));
  }

  TEST_CASE("topic filters are split at commas and otherwise taken as they stand") {
    CHECK(filters_of("a") == "[a]");
    CHECK(filters_of("#") == "[#]");
    CHECK(filters_of("+/b/+,/,a//b/") == "[+/b/+][/][a//b/]");
    CHECK(filters_of("a\\,b,c\\d") == "[a,b][c\\d]");
    CHECK(filters_of(" a b ") == "[ a b ]");
    CHECK(filters_of("$SYS/#,$share/g/a/#,größe") == "[$SYS/#][$share/g/a/#][größe]");
    CHECK(filters_of("$shared/x,$share/g//") == "[$shared/x][$share/g//]");
    CHECK(filters_of(std::string(65'535, 'a')) == "[" + std::string(65'535, 'a') + "]");
  }

  TEST_CASE("topic filters that MQTT does not allow are refused with the reason") {
    for (const char* text : {"a/#/b", "#/a", "a#", "a/b#", "##", "$share/g/a#"}) {
      CAPTURE(text);
      CHECK(fault_of_topic(text) == "may have # only as the whole last level");
    }
    for (const char* text : {"a+", "a/+b/c", "++", "$share/g/+a"}) {
      CAPTURE(text);
      CHECK(fault_of_topic(text) == "may have + only as a whole level");
    }
    for (const char* text : {"$share", "$share/", "$share/g", "$share/g/", "$share//a"}) {
      CAPTURE(text);
      CHECK(fault_of_topic(text) == "must have the form $share/<group>/<filter>");
    }
    for (const char* text : {"$share/+/a", "$share/g#/a"}) {
      CAPTURE(text);
      CHECK(contains(fault_of_topic(text), "a group without + and #"));
    }
    for (const std::string& text : {std::string("\xff"), std::string("a\0b", 3),
                                    std::string("\xed\xa0\x80"), std::string(65'536, 'a')}) {
      CHECK(contains(fault_of_topic(text), "valid UTF-8"));
    }
    for (const char* text : {",", "a,", ",a", "a,,b"}) {
      CAPTURE(text);
      CHECK(fault_of_topic(text) == "its filter \"\" is empty");
    }
    CHECK(fault_of_topic("a,b#") == "its filter \"b#\" may have # only as the whole last level");
    CHECK(contains(fault_of_topic("a, b"), "its filter \" b\" has a blank at its start, which"));
    CHECK(contains(fault_of_topic("a ,b"), "its filter \"a \" has a blank at its end, which"));
    CHECK(contains(fault_of_topic("a,'b'"), "its filter \"'b'\" has quotes around it, which"));
  }

  TEST_CASE("bucket names follow the rules of S3 and MinIO") {
    for (const char* name : {"abc", "a.b.c", "1a2", "umh-images", "a--b"}) {
      CAPTURE(name);
      CHECK_FALSE(config::bucket_name_fault(name));
    }
    CHECK_FALSE(config::bucket_name_fault(std::string(63, 'a')));
    for (const char* name : {"ab", "Abc", "a_b", "a b", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b",
                             "a-.b", "10.0.0.5", "xn--abc", "abc-s3alias", "ä-b", "a/b"}) {
      CAPTURE(name);
      CHECK(config::bucket_name_fault(name));
      CHECK(contains(error_of("BUCKET_NAME", name), ": must "));
    }
    CHECK(config::bucket_name_fault(std::string(64, 'a')));
  }

  TEST_CASE("durations have a unit or are seconds") {
    const auto parse = [](std::string_view text) { return config::parse_duration(text, 0ms, 24h); };
    for (const char* text : {"500ms", "500MS", "500 msec"}) {
      CHECK(parse(text) == 500ms);
    }
    for (const char* text : {"8", "8s", "8S", "8 s", "8sec", "8 Seconds"}) {
      CHECK(parse(text) == 8s);
    }
    for (const char* text : {"5m", "5min", "5 minutes", "5MIN"}) {
      CHECK(parse(text) == 5min);
    }
    for (const char* text : {"24h", "24H", "24 hours", "1d", "1 day"}) {
      CHECK(parse(text) == 24h);
    }
    for (const char* text : {"", "s", "-1s", "+1s", "1.5s", "1w", "5M", "5 M", "25h", "86400001ms",
                             "1m30s", "8 ", "18446744073709551615d", "99999999999999999999s"}) {
      CAPTURE(text);
      CHECK_FALSE(parse(text));
    }
    CHECK_FALSE(config::parse_duration("1s", 2s, 3s));
    CHECK_FALSE(config::parse_seconds("1001ms", 1s, 3s));
    CHECK(config::parse_seconds("2000ms", 1s, 3s) == 2s);
  }

  TEST_CASE("sizes are bytes or have a binary or decimal unit") {
    constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
    const auto parse = [](std::string_view text) { return config::parse_size(text, 0, kMax); };
    CHECK(parse("0") == 0U);
    CHECK(parse("1048576") == 1'048'576U);
    CHECK(parse("10B") == 10U);
    for (const char* text : {"64KiB", "64Ki", "64 KiB", "64kib"}) {
      CHECK(parse(text) == 65'536U);
    }
    CHECK(parse("64MiB") == std::uint64_t{64} << 20);
    CHECK(parse("2Gi") == std::uint64_t{2} << 30);
    CHECK(parse("3TiB") == std::uint64_t{3} << 40);
    for (const char* text : {"1kB", "1KB", "1kb", "1 kB"}) {
      CHECK(parse(text) == 1'000U);
    }
    CHECK(parse("1MB") == 1'000'000U);
    CHECK(parse("20gb") == 20'000'000'000U);
    CHECK(parse("1TB") == 1'000'000'000'000U);
    CHECK(parse("18446744073709551615") == kMax);
    CHECK(parse("16777215TiB") == std::uint64_t{16'777'215} << 40);
    for (const char* text : {"", "B", "1b", "1K", "1k", "1M", "1G", "1Mb", "1 Kb", "1MIb", "-1",
                             "1.5MiB", "1 MiB/s", "16777216TiB", "18446744073709551616"}) {
      CAPTURE(text);
      CHECK_FALSE(parse(text));
    }
  }

  TEST_CASE("a value is shown on one line, escaped and cut") {
    CHECK(config::shown("a b") == "\"a b\"");
    CHECK(config::shown("a\"\\\n\x7f") == "\"a\\\"\\\\\\x0a\\x7f\"");
    CHECK(config::shown("gr\xc3\xb6\xc3\x9f\x65 \xff \xc2\x85") == "\"größe \\xff \\xc2\\x85\"");
    CHECK(config::shown(std::string(100, 'a')) == "\"" + std::string(100, 'a') + "\"");
    CHECK(config::shown(std::string(101, 'a')) ==
          "\"" + std::string(100, 'a') + "\"... (101 bytes)");
    CHECK(config::shown(std::string(99, 'a') + "öb") ==
          "\"" + std::string(99, 'a') + "ö\"... (102 bytes)");
    CHECK(config::shown("http://me:pw@host") == "\"http://***@host\"");
    CHECK(config::shown("me:p@w@host:9000") == "\"***@host:9000\"");
    CHECK(config::shown("me@host:9000") == "\"me@host:9000\"");
    CHECK(config::shown("mqtt://token@host") == "\"mqtt://***@host\"");
  }

  TEST_CASE("UTF-8 is checked as MQTT wants it") {
    for (const char* good :
         {"", "a", "ö", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"}) {
      CHECK(config::is_mqtt_string(good));
    }
    for (const char* bad :
         {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "a\xc3", "\xe2\x28\xa1"}) {
      CHECK_FALSE(config::is_mqtt_string(bad));
    }
  }

  TEST_CASE("a flag is made from the name of the setting") {
    CHECK(flag_of("BROKER_URL") == "--broker-url");
    CHECK(flag_of("S3_REGION") == "--s3-region");
  }

  TEST_CASE("the table of settings has a line of four columns for each") {
    const std::string table = settings_table();
    CHECK(static_cast<std::size_t>(std::ranges::count(table, '\n')) == settings().size() + 2);
    CHECK(contains(table,
                   "| `BROKER_PORT` | 1883; by MQTT_TRANSPORT 8883, 80 or 443 | a port number from "
                   "1 to 65535 |"));
    CHECK(contains(table,
                   "| `MINIO_SECRET_KEY` or `MINIO_SECRET_KEY_FILE`, or "
                   "`AWS_SECRET_ACCESS_KEY` | **required**, or "
                   "`AWS_SHARED_CREDENTIALS_FILE` |"));
    std::size_t pipes = 0;
    for (const char byte : table) {
      pipes += byte == '|' ? 1 : 0;
    }
    CHECK(pipes == 5 * (settings().size() + 2));
  }

  TEST_CASE("a health check needs no setting but the address") {
    const auto loaded = load_status_options([](const std::string&) { return std::nullopt; },
                                            {{"STATUS_ADDRESS", "127.0.0.1:1234"}});
    REQUIRE(std::holds_alternative<StatusOptions>(loaded));
    CHECK(std::get<StatusOptions>(loaded).port == 1234);
    CHECK(std::holds_alternative<std::vector<ConfigError>>(load_status_options(
        [](const std::string&) { return std::nullopt; }, {{"STATUS_ADDRESS", "nowhere"}})));
  }

  TEST_CASE("README.md holds exactly the table that --settings prints") {
    const std::string begin = "<!-- settings: generated by mqtt-to-blob --settings -->\n";
    std::ifstream file(M2B_SOURCE_DIR "/README.md", std::ios::binary);
    REQUIRE(file);
    const std::string readme{std::istreambuf_iterator<char>(file), {}};
    const auto start = readme.find(begin);
    const auto end = readme.find("<!-- /settings -->");
    REQUIRE(start != std::string::npos);
    REQUIRE(end != std::string::npos);
    const auto table = readme.substr(start + begin.size(), end - start - begin.size());
    const auto trimmed = [](std::string text) {
      text.erase(0, text.find_first_not_of('\n'));
      text.erase(text.find_last_not_of('\n') + 1);
      return text;
    };
    CHECK(trimmed(table) == trimmed(settings_table()));
  }
}

}  // namespace

}  // namespace m2b
