#include "service/notify_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

namespace m2b {

NotifySocket::NotifySocket(std::string address)
    : address_(std::move(address)), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  if (address_.starts_with('@')) {
    address_.front() = '\0';
  }
}

bool NotifySocket::tell(std::string_view assignments) const noexcept {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (address_.empty() || address_.size() >= sizeof to.sun_path) {
    errno = EINVAL;
    return false;
  }
  std::memcpy(to.sun_path, address_.data(), address_.size());
  const auto* const generic = reinterpret_cast<const sockaddr*>(&to);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // Without MSG_DONTWAIT a service manager that stands still would stop us.
  return ::sendto(socket_.get(), assignments.data(), assignments.size(),
                  MSG_NOSIGNAL | MSG_DONTWAIT, generic, size) >= 0;
}

}  // namespace m2b
