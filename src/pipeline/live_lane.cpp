#include "pipeline/live_lane.hpp"

#include <algorithm>
#include <cassert>

namespace m2b {
void LiveLane::begin(SpoolId id) {
  assert(entries_.empty() || entries_.back().id < id);
  entries_.push_back({.id = id, .state = State::running});
}

bool LiveLane::claim(SpoolId id, std::uint64_t key_hash) {
  Entry& entry = entry_of(id);
  assert(entry.state == State::running && !entry.has_key);
  entry.key_hash = key_hash;
  entry.has_key = by_key_.try_emplace(entry.key_hash, id).second;
  return entry.has_key;
}

void LiveLane::end(SpoolId id, bool stored) {
  Entry& entry = entry_of(id);
  assert(entry.state == State::running);
  if (stored && !entry.overwritten) {
    entry.state = State::stored;
  } else {
    discard(entry);
    drop_finished();
  }
}

void LiveLane::overwrite(std::uint64_t key_hash) {
  const auto live = by_key_.find(key_hash);
  if (live == by_key_.end()) {
    return;
  }
  Entry& entry = entry_of(live->second);
  if (entry.state == State::running) {
    entry.overwritten = true;  // which of both is put last cannot be known
  } else {
    discard(entry);
    drop_finished();
  }
}

LiveLane::State LiveLane::state(SpoolId id) const {
  const std::size_t index = index_of(id);
  return index < entries_.size() ? entries_[index].state : State::none;
}

void LiveLane::forget(SpoolId id) {
  for (Entry& each : entries_) {
    if (each.id > id) {
      break;
    }
    // An earlier one has left the spool in another way, and its turn did not come.
    if (each.state == State::stored) {
      discard(each);
    }
  }
  drop_finished();
}

std::string LiveLane::state() const {
  std::string text;
  for (const Entry& each : entries_) {
    text += " " + std::to_string(to_number(each.id)) + " " +
            std::to_string(static_cast<int>(each.state));
    if (each.has_key) {
      text += (each.overwritten ? "overwritten:" : ":") + std::to_string(each.key_hash);
    }
  }
  return text;
}

std::size_t LiveLane::index_of(SpoolId id) const {
  const auto found = std::ranges::lower_bound(entries_, id, {}, &Entry::id);
  const bool is_there = found != entries_.end() && found->id == id;
  return is_there ? static_cast<std::size_t>(found - entries_.begin()) : entries_.size();
}

LiveLane::Entry& LiveLane::entry_of(SpoolId id) {
  const std::size_t index = index_of(id);
  assert(index < entries_.size());
  return entries_[index];
}

void LiveLane::discard(Entry& entry) {
  if (entry.has_key) {
    by_key_.erase(entry.key_hash);
  }
  entry.has_key = false;
  entry.state = State::none;
}

void LiveLane::drop_finished() {
  while (!entries_.empty() && entries_.front().state == State::none) {
    entries_.pop_front();
  }
}

}  // namespace m2b
