#pragma once

#include "bench/connection_server.hpp"
#include "bench/discard_store.hpp"
#include "bench/sockets.hpp"

namespace m2b::bench {

/// Passes the bytes between bridge and store, and tells when the first byte of an answer goes back.
/// Relies on what the bridge does: one request at a time on a connection, without Expect.
class Relay {
 public:
  Relay(Address store, AnswerListener on_answer);

  [[nodiscard]] std::uint16_t port() const noexcept { return server_.port(); }

 private:
  void serve(int bridge) const;

  Address store_;
  AnswerListener on_answer_;
  ConnectionServer server_;  // last: its threads use the fields above
};

}  // namespace m2b::bench
