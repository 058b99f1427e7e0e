#pragma once

#include <functional>
#include <string_view>

#include "bench/connection_server.hpp"

namespace m2b::bench {

/// Gets the head of a request at the moment when its answer begins, on any thread.
using AnswerListener = std::function<void(std::string_view request)>;
/// Whether the PUT with this head is refused. Is called on any thread.
using RefusalRule = std::function<bool(std::string_view request)>;

/// A store that keeps nothing: reads each PUT to its end, throwing the bytes away inside the
/// kernel, and confirms it as S3 does, or refuses it with 403 AccessDenied. Neither looks at
/// signatures nor decodes anything.
class DiscardStore {
 public:
  /// Without a rule it refuses nothing.
  explicit DiscardStore(AnswerListener on_answer, RefusalRule is_refused = nullptr);

  [[nodiscard]] std::uint16_t port() const noexcept { return server_.port(); }
  [[nodiscard]] CpuTime cpu() const { return server_.cpu(); }

 private:
  void serve(int socket) const;

  AnswerListener on_answer_;
  RefusalRule is_refused_;
  ConnectionServer server_;  // last: its threads use the listener and the rule
};

}  // namespace m2b::bench
