#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "m2b/mqtt/options.hpp"
#include "m2b/tls/connect_probe.hpp"

namespace m2b {

/// The first bytes of the answer to a WebSocket upgrade (RFC 6455, section 4.2.2), kept to say why
/// the upgrade failed. Holds at most kMaxBytes. One thread.
class UpgradeAnswer {
 public:
  /// An upgrade's head needs a few hundred bytes; Beast accepts no longer one.
  static constexpr std::size_t kMaxBytes = 8192;

  /// What came next; what goes beyond kMaxBytes is dropped.
  void add(std::string_view bytes);

  /// Nothing that may still come matters: this is no HTTP, or its whole head is there and does not
  /// say `101 Switching Protocols`.
  [[nodiscard]] bool is_refusal() const noexcept;

  /// Why the upgrade failed, and the remedy. `error`: what the WebSocket library says of it.
  [[nodiscard]] ConnectFault explain(const MqttOptions& options, std::string_view error) const;

 private:
  [[nodiscard]] bool is_http() const noexcept;  // as far as it has come
  [[nodiscard]] bool has_whole_head() const noexcept;
  /// 0: there is none.
  [[nodiscard]] int status() const noexcept;
  /// `404 Not Found`, shortened and safe to print.
  [[nodiscard]] std::string status_text() const;
  /// The first header of this name (in small letters), shortened and safe to print.
  [[nodiscard]] std::string header(std::string_view name) const;

  std::string bytes_;
};

/// The text as it may be printed, and not longer than this many bytes of it.
[[nodiscard]] std::string excerpt(std::string_view text, std::size_t most);

/// How a close frame is reported: code, its name and the peer's reason (RFC 6455, section 7.4.1).
[[nodiscard]] std::string describe_close(unsigned code, std::string_view reason);

}  // namespace m2b
