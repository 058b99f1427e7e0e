#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "pipeline/delivery.hpp"
#include "pipeline/live_lane.hpp"

namespace m2b {

/// Decides which deliveries have their turn: for one key one at a time, in the order of their ids,
/// although decoders finish in any order. Keys are registered in id order: a delivery is held until
/// every record admitted before it is decoded, and then until the earlier ones of its key are
/// finished. Also true after a crash, because the earlier record is in the spool whenever the later
/// one is.
///
/// A record may also be uploaded live, ahead of its turn. It keeps its turn, and when that has come
/// its upload either still holds or is done again. Knows keys by their hashes: two keys with the
/// same one share a queue. Not thread-safe.
class KeyOrder {
 public:
  KeyOrder() = default;
  KeyOrder(const KeyOrder&);
  KeyOrder& operator=(const KeyOrder&) = delete;

  /// What a call has set free.
  struct Release {
    std::vector<Delivery> ready = {};          // their turn has come, in order
    std::optional<Delivery> to_decode = {};    // has to be read now
    std::optional<Delivery> stored_live = {};  // its turn has come, needs no upload: remove it
    std::size_t freed_bytes = 0;               // budget of objects that gave up their memory
  };

  /// The turn of a record; ids ascend.
  [[nodiscard]] Release admit(const Delivery& delivery);

  /// A record was decoded. One that has its turn keeps it; one that is late takes the next turn.
  [[nodiscard]] Release decoded(Delivery delivery);
  /// A record that has no turn yet became nothing.
  [[nodiscard]] Release dropped(SpoolId id);

  /// Whether another record may be read ahead of its turn, and that it is; their ids ascend as
  /// well.
  [[nodiscard]] bool may_admit_live() const noexcept { return live_.has_room(); }
  void admit_live(SpoolId id) { live_.begin(id); }
  /// Whether it may be uploaded: only while nothing else with its key is under way.
  [[nodiscard]] bool claim_live(SpoolId id, std::uint64_t key_hash);
  /// The live upload is over, or it never came to one.
  [[nodiscard]] Release ended_live(SpoolId id, bool stored);
  /// What `stored_live` asked for is done.
  [[nodiscard]] Release removed_live();

  /// The delivery of this key whose turn it is comes round much later. Those that wait behind it
  /// give up their memory, and so does whoever joins them: one stuck key must not fill the budget.
  /// Returns what that frees.
  [[nodiscard]] std::size_t postponed(std::uint64_t key_hash);

  /// The delivery of this key whose turn it was is over for good; the next one's has come.
  [[nodiscard]] std::optional<Delivery> finished(std::uint64_t key_hash);

  /// Deliveries that wait behind their key without their memory.
  [[nodiscard]] std::size_t waiting_unloaded() const noexcept { return unloaded_; }

  /// As InFlight::state().
  [[nodiscard]] std::string state(std::uint64_t stored_count) const;

 private:
  static constexpr std::size_t kMaxLive = 100'000;

  struct Slot {
    SpoolId id{};
    bool decoded = false;
    std::optional<Delivery> delivery;
    std::optional<Delivery> live;  // while it may turn out to be stored already
  };
  /// Of one key, while it has its turn. Mostly nothing waits, and there are many.
  struct Queue {
    bool stuck = false;
    std::unique_ptr<std::deque<Delivery>> waiting;
  };

  Slot& slot_of(SpoolId id);
  [[nodiscard]] Release release_window();
  void end_live_turn(Slot& front, Release& release);
  void register_key(Delivery delivery, Release& release);
  [[nodiscard]] std::size_t unload(Delivery& delivery);

  std::deque<Slot> window_;                          // admitted, keys not registered; by id
  std::unordered_map<std::uint64_t, Queue> queues_;  // by key hash, while one of it has its turn
  std::size_t unloaded_ = 0;
  LiveLane live_{kMaxLive};
};

}  // namespace m2b
