#pragma once

#include <cstdint>

#include "m2b/util/fd.hpp"

namespace m2b::test {

/// A TCP listener on a free port of the loopback.
struct LoopbackListener {
  LoopbackListener();

  Fd socket;
  std::uint16_t port = 0;
};

/// A port that is free at this moment.
[[nodiscard]] inline std::uint16_t free_port() { return LoopbackListener().port; }

}  // namespace m2b::test
