#pragma once

#include <functional>
#include <string_view>

#include "bench/connection_server.hpp"

namespace m2b::bench {

/// Gets the head of a request at the moment when its answer begins, on any thread.
using AnswerListener = std::function<void(std::string_view request)>;

/// A store that keeps nothing: reads each PUT to its end, throwing the bytes away inside the
/// kernel, and confirms it as S3 does. Neither looks at signatures nor decodes anything.
class DiscardStore {
 public:
  explicit DiscardStore(AnswerListener on_answer);

  [[nodiscard]] std::uint16_t port() const noexcept { return server_.port(); }
  [[nodiscard]] CpuTime cpu() const { return server_.cpu(); }

 private:
  void serve(int socket) const;

  AnswerListener on_answer_;
  ConnectionServer server_;  // last: its threads use the listener
};

}  // namespace m2b::bench
