#pragma once

#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "m2b/object/object_key.hpp"
#include "pipeline/job.hpp"

namespace m2b {

/// Decides which objects may be uploaded: for one key one at a time, in the order of their ids,
/// although decoders finish in any order. Keys are registered in id order: an object is held until
/// every record admitted before it is decoded, and then until the earlier ones of its key are
/// finished. Also true after a crash, because the earlier record is in the spool whenever the later
/// one is. Not thread-safe.
class KeyOrder {
 public:
  /// A record goes to the decoders; ids ascend.
  void admit(SpoolId id);

  /// A record became an object. Returns what may be uploaded now, in order.
  [[nodiscard]] std::vector<UploadJob> decoded(UploadJob job);
  /// A record became nothing.
  [[nodiscard]] std::vector<UploadJob> dropped(SpoolId id);

  /// The upload of a record is over for good; the next one with its key may begin.
  [[nodiscard]] std::optional<UploadJob> finished(SpoolId id);

  [[nodiscard]] bool empty() const noexcept { return window_.empty() && running_.empty(); }

 private:
  struct Slot {
    SpoolId id{};
    bool decoded = false;
    std::optional<UploadJob> job;
  };

  Slot& slot_of(SpoolId id);
  [[nodiscard]] std::vector<UploadJob> release();

  std::deque<Slot> window_;                               // admitted, keys not registered; by id
  std::unordered_map<std::uint64_t, ObjectKey> running_;  // key of each record whose turn has come
  std::unordered_map<ObjectKey, std::deque<UploadJob>> waiting_;  // behind the running one, by key
};

}  // namespace m2b
