#include "mqtt/upgrade_answer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "m2b/util/ascii.hpp"
#include "m2b/util/visible.hpp"

namespace m2b {
namespace {

constexpr std::string_view kStart = "HTTP/1.";  // a digit, a blank and the code follow
constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr std::size_t kMaxReasonBytes = 60;     // of a status line
constexpr std::size_t kMaxLocationBytes = 200;  // of a redirection
constexpr std::size_t kMaxForeignBytes = 40;    // of what is no HTTP
constexpr int kSwitchingProtocols = 101;

std::string where_it_should_be(const MqttOptions& options) {
  return fmt::format(
      "is port {} (BROKER_PORT) the broker's port for WebSocket, {} (MQTT_WEBSOCKET_PATH) its "
      "path, and {} (MQTT_TRANSPORT) right?",
      options.port, options.websocket_path, is_secure(options.transport) ? "wss" : "ws");
}

}  // namespace

void UpgradeAnswer::add(std::string_view bytes) {
  bytes_.append(bytes.substr(0, kMaxBytes - bytes_.size()));
}

bool UpgradeAnswer::has_whole_head() const noexcept {
  return bytes_.find(kEndOfHead) != std::string::npos;
}

bool UpgradeAnswer::is_http() const noexcept {
  return std::string_view(bytes_).substr(0, kStart.size()) == kStart.substr(0, bytes_.size());
}

bool UpgradeAnswer::is_refusal() const noexcept {
  return !is_http() || (has_whole_head() && status() != kSwitchingProtocols);
}

int UpgradeAnswer::status() const noexcept {
  constexpr std::size_t kCodeAt = kStart.size() + 2;
  constexpr std::size_t kCodeDigits = 3;
  if (!bytes_.starts_with(kStart) || bytes_.size() < kCodeAt + kCodeDigits) {
    return 0;
  }
  int code = 0;
  for (const char digit : std::string_view(bytes_).substr(kCodeAt, kCodeDigits)) {
    if (digit < '0' || digit > '9') {
      return 0;
    }
    code = 10 * code + (digit - '0');
  }
  return code;
}

std::string UpgradeAnswer::status_text() const {
  const std::string_view line = std::string_view(bytes_).substr(0, bytes_.find_first_of("\r\n"));
  return excerpt(line.substr(std::min(line.find(' ') + 1, line.size())), kMaxReasonBytes);
}

std::string UpgradeAnswer::header(std::string_view name) const {
  std::string_view rest = bytes_;
  rest = rest.substr(0, rest.find(kEndOfHead));
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find("\r\n"), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 2, rest.size()));
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && is_ascii_word(line.substr(0, colon), name)) {
      return excerpt(trimmed(line.substr(colon + 1)), kMaxLocationBytes);
    }
  }
  return {};
}

ConnectFault UpgradeAnswer::explain(const MqttOptions& options, std::string_view error) const {
  const int code = status();
  if (bytes_.empty()) {
    return ConnectFault::passing(fmt::format(
        "the connection was closed instead of an answer to the WebSocket upgrade ({}): {}", error,
        where_it_should_be(options)));
  }
  if (code == 0) {
    return ConnectFault::lasting(
        fmt::format("what answers the WebSocket upgrade speaks no HTTP (it says \"{}\"): {}",
                    excerpt(bytes_, kMaxForeignBytes), where_it_should_be(options)));
  }
  if (code == kSwitchingProtocols) {
    return ConnectFault::lasting(
        bytes_.size() >= kMaxBytes
            ? "the head of the answer to the WebSocket upgrade is longer than 8 KiB"
            : fmt::format("the answer to the WebSocket upgrade is not that of a WebSocket ({}): {}",
                          error, where_it_should_be(options)));
  }
  const std::string refused = "the WebSocket upgrade was refused: HTTP status " + status_text();
  if (code / 100 == 3) {
    return ConnectFault::lasting(
        fmt::format("{}, Location: {}: redirections are not followed; set BROKER_URL, BROKER_PORT, "
                    "MQTT_TRANSPORT and MQTT_WEBSOCKET_PATH to where the broker's WebSocket is",
                    refused, header("location")));
  }
  if (code == 401 || code == 403) {
    return ConnectFault::lasting(
        refused +
        ": what stands in front of the broker wants a login of its own or does not admit this "
        "address; MQTT_USERNAME is only sent once the WebSocket is open");
  }
  if (code == 407 || code == 511) {
    return ConnectFault::lasting(
        refused + ": a proxy on the way wants a login; the bridge has to reach the broker without");
  }
  if (code == 429 || code / 100 == 5) {
    return ConnectFault::passing(refused +
                                 ": does the broker run behind what answered? It is tried again");
  }
  return ConnectFault::lasting(refused + ": " + where_it_should_be(options));
}

std::string excerpt(std::string_view text, std::size_t most) {
  return visible(text.substr(0, most)) + (text.size() > most ? "..." : "");
}

std::string describe_close(unsigned code, std::string_view reason) {
  using Row = std::pair<unsigned, std::string_view>;
  constexpr std::array kNames{
      Row{1000, "normal"},           Row{1001, "going away"},      Row{1002, "protocol error"},
      Row{1003, "unsupported data"}, Row{1007, "invalid payload"}, Row{1008, "policy violation"},
      Row{1009, "message too big"},  Row{1011, "internal error"},  Row{1012, "service restart"},
      Row{1013, "try again later"},  Row{1014, "bad gateway"}};
  constexpr std::size_t kMaxCloseReasonBytes = 123;  // RFC 6455, section 5.5
  const auto* const known =
      std::ranges::find_if(kNames, [code](const Row& row) { return row.first == code; });
  return fmt::format("code {}{}{}", code == 0 ? "none" : std::to_string(code),
                     known != kNames.end() ? fmt::format(" ({})", known->second) : "",
                     reason.empty() ? "" : ": " + excerpt(reason, kMaxCloseReasonBytes));
}

}  // namespace m2b
