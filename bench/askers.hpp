#pragma once

#include <atomic>
#include <cstddef>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "bench/sockets.hpp"

namespace m2b::bench {

/// How the bridge's status listener is asked while it is measured.
struct AskOptions {
  unsigned connections = 0;
  std::string path = "/status";
};

/// Each of the connections asks again as soon as it has its answer, in a thread of its own. They
/// have what others leave of the processors: what asking costs is not to be measured along with
/// what answering does.
class Askers {
 public:
  /// Throws where the path has no answer.
  Askers(const AskOptions& options, const Address& server);

  /// So far; refusals are none.
  [[nodiscard]] std::size_t answers() const noexcept { return answers_; }

 private:
  void ask(const Address& server, const std::string& path, const std::stop_token& stop);

  std::atomic<std::size_t> answers_ = 0;
  std::vector<std::jthread> threads_;  // last: they use the above
};

}  // namespace m2b::bench
