#include "upload/batch_check.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <optional>

#include <fmt/format.h>

#include "upload/digest.hpp"

namespace m2b {
namespace {

constexpr std::size_t kLongestCode = 64;  // longer than any error code

bool is_busy(int status) { return status >= 500 || status == 408 || status == 429; }

BatchCheck fault(BatchVerdict verdict, std::string_view cause, const Object& object,
                 const HeadAnswer& answer) {
  return {verdict, answer.status, cause,
          fmt::format("HEAD {}: {} {}", object.key.str(), answer.status,
                      answer.code.substr(0, kLongestCode))};
}

bool has_metadata(const HeadAnswer& answer, const Metadata& metadata) {
  return std::all_of(metadata.begin(), metadata.end(), [&](const auto& expected) {
    return std::find(answer.metadata.begin(), answer.metadata.end(), expected) !=
           answer.metadata.end();
  });
}

/// What is wrong with one object; nothing if it is as it should be.
std::optional<BatchCheck> fault_of(const Object& object, const HeadAnswer& answer,
                                   bool all_are_missing) {
  if (is_busy(answer.status)) {
    return fault(BatchVerdict::passing, "the store is busy", object, answer);
  }
  if (answer.status == 404) {
    // One alone may be that object's matter; all of them are the store's.
    return fault(all_are_missing ? BatchVerdict::useless : BatchVerdict::passing,
                 all_are_missing ? "the store did not extract the archive"
                                 : "an object of the batch is missing",
                 object, answer);
  }
  if (answer.status != 200) {
    return fault(BatchVerdict::useless, "the store does not let us look at objects", object,
                 answer);
  }
  const std::optional<std::string> md5 = md5_hex(object.body);
  if (!md5) return fault(BatchVerdict::useless, "MD5 is not available here", object, answer);
  if (answer.etag != *md5) {
    return fault(BatchVerdict::useless, "the ETag of an object is not the MD5 of its bytes", object,
                 answer);
  }
  if (answer.content_length != object.body.size()) {
    return fault(BatchVerdict::useless, "an object has not the size of its bytes", object, answer);
  }
  // The same bytes may have been there before, from an earlier message.
  if (answer.content_type != object.content_type || !has_metadata(answer, object.metadata)) {
    return fault(BatchVerdict::passing, "an object has other metadata", object, answer);
  }
  return std::nullopt;
}

}  // namespace

BatchCheck check_batch(std::span<const Object* const> objects,
                       std::span<const HeadAnswer> answers) {
  assert(objects.size() == answers.size());
  // Of a single object one cannot tell whose matter it is.
  const bool all_are_missing =
      answers.size() > 1 && std::all_of(answers.begin(), answers.end(), [](const HeadAnswer& each) {
        return each.status == 404 && each.code != "NoSuchBucket";
      });
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (auto found = fault_of(*objects[i], answers[i], all_are_missing)) return std::move(*found);
  }
  return {};
}

}  // namespace m2b
