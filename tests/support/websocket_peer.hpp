#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "m2b/util/fd.hpp"
#include "support/loopback.hpp"

namespace m2b::test {

/// The broker's end of a WebSocket, driven step by step by a test. Knows short frames only (RFC
/// 6455, section 5.2: less than 126 bytes). Waits end after ten seconds with an exception. One
/// thread.
class WebSocketPeer {
 public:
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_.port; }

  void accept();
  /// The whole head of the client's request.
  [[nodiscard]] std::string read_request();
  /// accept(), read_request(), and the answer that grants the upgrade. Returns the request.
  std::string upgrade();

  struct Frame {
    int opcode = 0;
    std::string payload;
  };
  [[nodiscard]] Frame read_frame();
  /// One whole message, or a control frame.
  void send_frame(int opcode, std::string_view payload);

  void send(std::string_view bytes);
  /// Whether the client ends the connection now; what it says before is dropped.
  [[nodiscard]] bool sees_end();
  void close() { client_ = Fd(); }

  static constexpr int kText = 1;
  static constexpr int kBinary = 2;
  static constexpr int kClose = 8;

 private:
  [[nodiscard]] std::string read_bytes(std::size_t count);

  LoopbackListener listener_;
  Fd client_;
};

}  // namespace m2b::test
