#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "m2b/object/object.hpp"
#include "m2b/spool/message.hpp"

namespace m2b {

/// What a delivery has met at the store so far, in all its rounds.
struct RefusalHistory {
  using Time = std::chrono::steady_clock::time_point;

  std::uint32_t attempts = 0;  // requests that carried it
  std::uint32_t refusals = 0;
  /// Those since whose predecessor others were stored: they are about this object, or its group.
  std::uint32_t own_refusals = 0;
  /// Those since whose predecessor others of its prefix and of its size were stored: they are about
  /// this object alone.
  std::uint32_t proven_refusals = 0;
  std::uint64_t stored_mark = 0;  // CircuitBreakers::stored_count() at the last refusal
  Time first_refused_at{};
};

/// Which way to the store a delivery takes.
enum class Lane : std::uint8_t {
  in_turn,     ///< the order of arrival
  live,        ///< ahead of its turn; if that fails, its turn will come
  dead_letter  ///< of the dead letters, not of the spool
};

/// One record on its way from the spool to the store. Copies share the object.
struct Delivery {
  SpoolId id{};
  std::size_t record_bytes = 0;  // in the spool
  std::size_t budget_bytes = 0;  // its share of the byte budget of its lane
  RefusalHistory history = {};
  std::uint64_t key_hash = 0;    // known once it was decoded
  std::uint64_t begun_mark = 0;  // CircuitBreakers::stored_count() when its request began
  Lane lane = Lane::in_turn;
  bool has_turn = false;    // its key is taken by it
  bool is_late = false;     // was no object at its turn; takes the next one of its key
  bool is_solo = false;     // a postponed one that is tried by itself, outside of the budget
  bool is_probe = false;    // its outcome tells whether a circuit breaker closes
  bool goes_alone = false;  // was in a batch that failed
  std::shared_ptr<const Object> object = nullptr;  // none: it has to be read from the spool

  void set_object(std::shared_ptr<const Object> decoded) {
    object = std::move(decoded);
    key_hash = std::hash<ObjectKey>{}(object->key);
  }

  /// As InFlight::state(), while it is with InFlight. `stored_count`: that of CircuitBreakers.
  [[nodiscard]] std::string state(std::uint64_t stored_count) const;
};

}  // namespace m2b
