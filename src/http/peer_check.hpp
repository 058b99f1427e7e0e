#pragma once

#include <sys/socket.h>
#include <unistd.h>

namespace m2b {

/// Whether who listens behind a connected Unix socket is root or this process's own user: a tool
/// that root starts has the rights of the spool's owner by then. Anybody else who may write to the
/// spool's folder could have put a socket of his own there (unix(7), SO_PEERCRED).
[[nodiscard]] inline bool is_trusted_peer(int connected_socket) noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(connected_socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == ::geteuid());
}

}  // namespace m2b
