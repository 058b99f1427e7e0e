#pragma once

#include <stop_token>

#include "m2b/object/object.hpp"
#include "m2b/upload/put_outcome.hpp"

namespace m2b {

/// A bucket into which objects are put. The seam between pipeline and store. One instance belongs
/// to one thread; calls block until there is an answer, the connection fails or `abort` is
/// requested (noticed within about a second). They never throw for what network or store do.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Puts the object, replacing one of the same key. `stored` only after the store confirmed it,
  /// with an ETag: a captive portal or a proxy says 200 as well.
  [[nodiscard]] virtual PutResult put(const Object& object, std::stop_token abort) = 0;

  /// Creates the bucket if it does not exist. `stored` when it is there. `doubtful` when it cannot
  /// be told, above all because the credentials may write objects but neither see nor create the
  /// bucket: callers go on, the first put() decides.
  [[nodiscard]] virtual PutResult ensure_bucket(std::stop_token abort) = 0;
};

}  // namespace m2b
