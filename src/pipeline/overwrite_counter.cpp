#include "pipeline/overwrite_counter.hpp"

#include <xxhash.h>

namespace m2b {

void OverwriteCounter::stored(std::uint64_t key_hash, std::string_view body) {
  const std::uint64_t body_hash = XXH3_64bits(body.data(), body.size());
  const std::lock_guard lock(mutex_);
  const auto [known, is_new] = by_key_.try_emplace(key_hash);
  if (!is_new) {
    if (known->second.body_hash == body_hash) {
      return;
    }
    ++counts_.total;
  }
  known->second.body_hash = body_hash;
  ++known->second.uploads;
  if (counts_.recent_uploads == keys_.size()) {
    const auto oldest = by_key_.find(keys_[next_]);
    if (--oldest->second.uploads == 0) {
      by_key_.erase(oldest);
    }
  } else {
    ++counts_.recent_uploads;
  }
  keys_[next_] = key_hash;
  next_ = (next_ + 1) % keys_.size();
  counts_.recent_keys = by_key_.size();
}

Overwrites OverwriteCounter::overwrites() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace m2b
