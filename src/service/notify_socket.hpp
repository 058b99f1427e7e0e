#pragma once

#include <string>
#include <string_view>

#include "m2b/util/fd.hpp"

namespace m2b {

/// systemd's notification socket (sd_notify(3), whose protocol is stable and meant to be spoken
/// without its library): a datagram of `NAME=value` lines each.
class NotifySocket {
 public:
  /// A path, or a name in the abstract namespace after `@`.
  explicit NotifySocket(std::string address);

  /// False when nobody takes it, with errno. Any thread.
  [[nodiscard]] bool tell(std::string_view assignments) const noexcept;

 private:
  std::string address_;
  Fd socket_;
};

}  // namespace m2b
