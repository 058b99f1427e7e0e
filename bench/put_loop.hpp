#pragma once

#include <cstddef>
#include <stop_token>

#include "bench/pictures.hpp"
#include "bench/store.hpp"

namespace m2b::bench {

/// Puts `count` objects of the picture into the store from `threads` threads, each with a
/// connection of its own and nothing else to do; returns the seconds that it took. The bucket is
/// made if need be. Throws what the store refused.
[[nodiscard]] double bare_puts(const StoreAccess& store, const Picture& picture, std::size_t count,
                               unsigned threads, const std::stop_token& stop);

}  // namespace m2b::bench
