#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>

#include "bench/bridge.hpp"
#include "bench/publishers.hpp"

namespace m2b::bench {

/// What is waited for, and how often it is asked.
struct Watch {
  std::string what;                     // for people: "stored"
  std::size_t Bridge::Account::*count;  // where the account has it
  std::size_t messages = 0;
  std::chrono::milliseconds poll{20};
};

struct Watched {
  std::size_t count = 0;
  double publish_seconds = 0;            // first publish to last acknowledgement
  double seconds = 0;                    // first publish to the last one counted
  std::uint64_t peak_private_bytes = 0;  // of the bridge
};

/// Waits until all is published and counted; throws when nothing comes any more, when a message is
/// lost, and when stopped.
[[nodiscard]] Watched wait_for_all(Publishers& publishers, Bridge& bridge, const Watch& watch,
                                   const std::stop_token& stop);

}  // namespace m2b::bench
