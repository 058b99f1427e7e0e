#pragma once

#include <cstddef>
#include <stop_token>

#include "bench/pictures.hpp"
#include "bench/store.hpp"

namespace m2b::bench {

struct PutRun {
  std::size_t count = 0;
  unsigned threads = 1;   // each with a connection of its own and nothing else to do
  std::size_t batch = 1;  // objects that go in one request; 1: by a plain PUT
  std::size_t first = 0;  // number of the first object: each has its own key
};

/// Makes the bucket unless it is there; throws what the store says against it.
void make_bucket(const StoreAccess& store, const std::stop_token& stop);

/// Puts objects of the picture into the store; returns the seconds that it took. The bucket is made
/// if need be. Throws what the store refused, also where it takes no batches.
[[nodiscard]] double bare_puts(const StoreAccess& store, const Picture& picture, const PutRun& run,
                               const std::stop_token& stop);

}  // namespace m2b::bench
