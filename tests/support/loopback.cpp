#include "support/loopback.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <stdexcept>

namespace m2b::test {

LoopbackListener::LoopbackListener() : socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (!socket || ::bind(socket.get(), generic, length) != 0 || ::listen(socket.get(), 16) != 0 ||
      ::getsockname(socket.get(), generic, &length) != 0) {
    throw std::runtime_error("cannot listen on the loopback");
  }
  port = ntohs(address.sin_port);
}

}  // namespace m2b::test
