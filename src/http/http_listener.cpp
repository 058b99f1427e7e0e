#include "http/http_listener.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "http/unix_address.hpp"

namespace m2b {
namespace {

constexpr int kBacklog = 128;

Fd listen_at(const addrinfo& address) {
  Fd socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  const int off = 0;
  // Not SO_REUSEPORT: the second bridge on a machine would get half of the first one's requests
  // instead of an error. `::` serves IPv4 as well.
  const bool listens =
      socket && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      (address.ai_family != AF_INET6 ||
       ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0) &&
      ::bind(socket.get(), address.ai_addr, address.ai_addrlen) == 0 &&
      ::listen(socket.get(), kBacklog) == 0;
  return listens ? std::move(socket) : Fd();
}

}  // namespace

Fd listen_on_tcp(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    errno = EADDRNOTAVAIL;
    return {};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    if (Fd socket = listen_at(*address)) {
      return socket;
    }
  }
  return {};
}

Fd listen_on_path(const std::filesystem::path& path) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const UnixAddress address(path);
  if (!socket || !address) {
    return {};
  }
  ::unlink(address.path());
  constexpr mode_t kOwnerAlone = 0600;
  const bool listens = ::fchmod(socket.get(), kOwnerAlone) == 0 &&  // of the file that bind() makes
                       ::bind(socket.get(), address.get(), address.size()) == 0 &&
                       ::listen(socket.get(), kBacklog) == 0;
  return listens ? std::move(socket) : Fd();
}

}  // namespace m2b
