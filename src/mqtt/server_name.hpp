#pragma once

#include <string>

namespace m2b::paho {

/// Paho verifies the broker's certificate against the host that it calls, and has no way to tell
/// the two apart. So it is made to call the name of the certificate, and the linker puts a function
/// of ours before its name look-up, which looks up the broker's real host instead.
class ServerName {
 public:
  /// Whether this program was linked so that it can work.
  [[nodiscard]] static bool is_linked() noexcept;

  /// While this object lives, look-ups of `name` are look-ups of `host`; one object at a time for a
  /// name. IPv6 without brackets.
  ServerName(std::string name, std::string host);
  ~ServerName();
  ServerName(const ServerName&) = delete;
  ServerName& operator=(const ServerName&) = delete;

 private:
  const std::string name_;
};

}  // namespace m2b::paho
