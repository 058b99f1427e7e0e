#include "m2b/util/repetition.hpp"

#include <utility>

namespace m2b {

std::optional<std::uint64_t> Repetition::admit(std::string_view kind, Clock::time_point now) {
  constexpr std::size_t kMaxKinds = 256;  // whatever comes in as a kind, memory stays bounded
  const std::lock_guard lock(mutex_);
  const auto known = kinds_.find(kind);
  if (known == kinds_.end()) {
    if (kinds_.size() >= kMaxKinds) {
      kinds_.clear();
    }
    kinds_.emplace(kind, Kind{now});
    return 0;
  }
  Kind& seen = known->second;
  if (now - seen.began >= quiet_) {
    seen.began = now;
    seen.lines = 1;
    return std::exchange(seen.held_back, 0);
  }
  if (seen.lines >= lines_) {
    ++seen.held_back;
    return std::nullopt;
  }
  ++seen.lines;
  return 0;
}

void Repetition::reset() {
  const std::lock_guard lock(mutex_);
  kinds_.clear();
}

}  // namespace m2b
