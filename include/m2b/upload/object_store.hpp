#pragma once

#include <span>
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

  /// Puts the object, replacing one of the same key. `stored` only on proof that the store has its
  /// bytes: a captive portal or a proxy says 200 as well.
  [[nodiscard]] virtual PutResult put(const Object& object, std::stop_token abort) = 0;

  /// Creates the bucket if it does not exist. `stored` when it is there. An ambiguous refusal that
  /// needs no person leaves it open, above all where the credentials may write objects but neither
  /// see nor create the bucket: callers go on, and the first put() decides.
  [[nodiscard]] virtual PutResult ensure_bucket(std::stop_token abort) = 0;

  /// Whether put_batch() is worth trying at this moment. May change with every answer of the store,
  /// also to one that another instance got.
  [[nodiscard]] virtual bool takes_batches() const { return false; }

  /// Whether the object may be in a batch: it is small, and its key one that arrives unchanged.
  [[nodiscard]] virtual bool fits_batch(const Object& /*object*/) const { return false; }

  /// Puts all of them in one go, at least one, each of which fits_batch(), no key twice: the store
  /// may write them in any order. `stored` only after each one was seen in the store with its size
  /// and checksum. A refusal, whatever its scope, says nothing about any single one of them, which
  /// may be in the store or not: put() each alone, and let that decide what to do with it.
  [[nodiscard]] virtual PutResult put_batch(
      std::span<const Object* const> /*objects*/,
      // As of put().
      std::stop_token /*abort*/) {  // NOLINT(performance-unnecessary-value-param)
    return refusal(Scope::ambiguous, 0, "no_batches");
  }
};

}  // namespace m2b
