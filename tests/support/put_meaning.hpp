#pragma once

#include <string>

#include "m2b/upload/put_outcome.hpp"

namespace m2b::test {

/// The outcome, and of a refusal in its place the scope and what else holds of it: "bucket, needs a
/// person". So a test's table has one line for each answer.
inline std::string meaning(const PutResult& result) {
  if (result.outcome != PutOutcome::refused) return std::string(to_string(result.outcome));
  std::string text(to_string(result.scope));
  if (result.needs_person) text += ", needs a person";
  if (result.may_be_object_fault) text += ", may be the object's fault";
  return text;
}

}  // namespace m2b::test
