#pragma once

namespace m2b::paho {

class Events;

/// Reports whenever something arrives on a connection, down to a part of a message or a PINGRESP,
/// of which Paho tells nobody: the only proof that a broker which is silent is still there. By the
/// linker, as LateAck. One object for one handle.
class Hearing {
 public:
  /// Whether this program was linked so that it can work; if not, nothing is reported.
  [[nodiscard]] static bool is_linked() noexcept;

  /// `events` outlives it.
  explicit Hearing(Events& events) noexcept : events_(events) {}
  /// Only once the handle is gone.
  ~Hearing();
  Hearing(const Hearing&) = delete;
  Hearing& operator=(const Hearing&) = delete;

  /// Called in Paho's callback for a connection that was accepted, on its thread.
  void begin() noexcept;

  /// Something has come from the socket of Paho's connection; on Paho's receiving thread.
  static void on_arrival(const void* connection) noexcept;

 private:
  Events& events_;
  const void* connection_ = nullptr;
};

}  // namespace m2b::paho
