#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "m2b/object/object_key.hpp"
#include "pipeline/early_uploads.hpp"
#include "pipeline/job.hpp"

namespace m2b {

/// Decides which objects may be uploaded: for one key one at a time, in the order of their ids,
/// although decoders finish in any order. Keys are registered in id order: an object is held until
/// every record admitted before it is decoded, and then until the earlier ones of its key are
/// finished. Also true after a crash, because the earlier record is in the spool whenever the later
/// one is.
///
/// A record may also be uploaded ahead of its turn, to be seen early. It keeps its turn, and when
/// that has come its upload either still holds or is done again. Not thread-safe.
class KeyOrder {
 public:
  /// What a call has set free.
  struct Release {
    std::vector<UploadJob> ready = {};           // may be uploaded now, in order
    std::optional<DecodeJob> to_decode = {};     // has to be read now
    std::optional<DecodeJob> stored_early = {};  // its turn has come and needs no upload: remove it
    std::size_t freed_bytes = 0;                 // budget of objects that gave up their memory
  };

  /// The turn of a record; ids ascend.
  [[nodiscard]] Release admit(const DecodeJob& job);

  /// A record became an object. One that comes round again keeps its turn; one that had become
  /// nothing before takes its turn behind its key.
  [[nodiscard]] Release decoded(UploadJob job);
  /// A record became nothing.
  [[nodiscard]] Release dropped(SpoolId id);

  /// Whether another record may be read ahead of its turn, and that it is; their ids ascend as
  /// well.
  [[nodiscard]] bool may_admit_early() const noexcept { return early_.has_room(); }
  void admit_early(SpoolId id) { early_.begin(id); }
  /// Whether it may be uploaded: only while nothing else with its key is under way.
  [[nodiscard]] bool claim_early(SpoolId id, const ObjectKey& key);
  /// The early upload is over, or it never came to one.
  [[nodiscard]] Release ended_early(SpoolId id, bool stored);
  /// What `stored_early` asked for is done.
  [[nodiscard]] Release removed_early();

  /// The running object of this id is tried again much later. Those that wait behind its key give
  /// up their memory, and so does whoever joins them: one stuck key must not fill the budget.
  [[nodiscard]] std::size_t postponed(SpoolId id);

  /// The upload of a record is over for good; the next one with its key may begin.
  [[nodiscard]] std::optional<UploadJob> finished(SpoolId id);

  /// Objects that wait without their memory.
  [[nodiscard]] std::size_t parked() const noexcept { return parked_; }

 private:
  static constexpr std::size_t kMaxEarly = 100'000;

  struct Slot {
    SpoolId id{};
    bool decoded = false;
    std::optional<UploadJob> job;
    std::optional<DecodeJob> early;  // while it may turn out to be stored already
  };
  struct Line {
    bool stuck = false;
    std::deque<UploadJob> waiting;  // behind the running one
  };

  Slot& slot_of(SpoolId id);
  [[nodiscard]] Release release_window();
  void settle_early(Slot& front, Release& release);
  void register_key(UploadJob job, Release& release);
  [[nodiscard]] std::size_t park(UploadJob& job);

  std::deque<Slot> window_;                               // admitted, keys not registered; by id
  std::unordered_map<std::uint64_t, ObjectKey> running_;  // key of each record whose turn has come
  std::unordered_map<ObjectKey, Line> lines_;             // by key, while one of it runs
  std::size_t parked_ = 0;
  EarlyUploads early_{kMaxEarly};
};

}  // namespace m2b
