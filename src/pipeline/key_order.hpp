#pragma once

#include <cstddef>
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
  /// What a call has set free.
  struct Release {
    std::vector<UploadJob> ready;  // may be uploaded now, in order
    std::size_t freed_bytes = 0;   // budget of objects that gave up their memory
  };

  /// A record goes to the decoders; ids ascend.
  void admit(SpoolId id);

  /// A record became an object. One that comes round again keeps its turn; one that had become
  /// nothing before takes its turn behind its key.
  [[nodiscard]] Release decoded(UploadJob job);
  /// A record became nothing.
  [[nodiscard]] Release dropped(SpoolId id);

  /// The running object of this id is tried again much later. Those that wait behind its key give
  /// up their memory, and so does whoever joins them: one stuck key must not fill the budget.
  [[nodiscard]] std::size_t postponed(SpoolId id);

  /// The upload of a record is over for good; the next one with its key may begin.
  [[nodiscard]] std::optional<UploadJob> finished(SpoolId id);

  /// Objects that wait without their memory.
  [[nodiscard]] std::size_t parked() const noexcept { return parked_; }

 private:
  struct Slot {
    SpoolId id{};
    bool decoded = false;
    std::optional<UploadJob> job;
  };
  struct Line {
    bool stuck = false;
    std::deque<UploadJob> waiting;  // behind the running one
  };

  Slot& slot_of(SpoolId id);
  [[nodiscard]] Release release_window();
  void register_key(UploadJob job, Release& release);
  [[nodiscard]] std::size_t park(UploadJob& job);

  std::deque<Slot> window_;                               // admitted, keys not registered; by id
  std::unordered_map<std::uint64_t, ObjectKey> running_;  // key of each record whose turn has come
  std::unordered_map<ObjectKey, Line> lines_;             // by key, while one of it runs
  std::size_t parked_ = 0;
};

}  // namespace m2b
