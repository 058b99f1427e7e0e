#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>

#include "m2b/spool/message.hpp"

namespace m2b {

/// The records that are uploaded live, ahead of their turn, until their turn comes: whether that
/// upload still holds then, or has to be done again. Knows keys by their hashes: two keys with the
/// same one are taken for the same key, which costs an upload and harms nobody. Not thread-safe.
class LiveLane {
 public:
  enum class State : std::uint8_t {
    none,     ///< the record goes the usual way
    running,  ///< its live upload has not ended
    stored    ///< the store has it, and nothing else was put under its key since
  };

  /// Remembers at most so many, some 100 bytes each.
  explicit LiveLane(std::size_t most) noexcept : most_(most) {}

  /// Whether another one may begin.
  [[nodiscard]] bool has_room() const noexcept { return entries_.size() < most_; }
  /// A record is read ahead of its turn; ids ascend.
  void begin(SpoolId id);
  /// Its key is known now. False if another live upload has that key: the record must wait.
  [[nodiscard]] bool claim(SpoolId id, std::uint64_t key_hash);
  void end(SpoolId id, bool stored);
  /// Another record's object is going to be put under the key.
  void overwrite(std::uint64_t key_hash);

  [[nodiscard]] State state(SpoolId id) const;
  /// One that was stored has had its turn, and so have all before it.
  void forget(SpoolId id);

  /// As InFlight::state().
  [[nodiscard]] std::string state() const;

 private:
  struct Entry {
    SpoolId id{};
    State state = State::none;
    bool has_key = false;
    bool overwritten = false;
    std::uint64_t key_hash = 0;
  };

  /// Where its entry is; the end if it has none.
  [[nodiscard]] std::size_t index_of(SpoolId id) const;
  [[nodiscard]] Entry& entry_of(SpoolId id);
  /// It is of no use any more, and its key is free.
  void discard(Entry& entry);
  void drop_finished();

  std::size_t most_;
  std::deque<Entry> entries_;  // by id
  std::unordered_map<std::uint64_t, SpoolId> by_key_;
};

}  // namespace m2b
