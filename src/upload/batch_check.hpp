#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "m2b/object/object.hpp"
#include "upload/head_answer.hpp"

namespace m2b {

/// What the store's objects say about a batch that it took.
enum class BatchVerdict {
  confirmed,  ///< each object is there, with its metadata, and size and MD5 of its body
  passing,    ///< the store was busy, or single objects are not as they should be
  useless     ///< of this store no batch can be confirmed
};

struct BatchCheck {
  BatchVerdict verdict = BatchVerdict::confirmed;
  int http_status = 0;          // of the object that decided
  std::string_view cause = {};  // a sentence of a bounded set, for the log
  std::string detail;           // which object and what the store said of it
};

/// Compares objects and answers to their HEADs, in the same order, one for each.
[[nodiscard]] BatchCheck check_batch(std::span<const Object* const> objects,
                                     std::span<const HeadAnswer> answers);

}  // namespace m2b
