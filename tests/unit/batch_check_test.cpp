#include "upload/batch_check.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "upload/digest.hpp"

namespace {

using m2b::BatchVerdict;
using m2b::HeadAnswer;
using m2b::Object;
using m2b::ObjectKey;

TEST_SUITE("check of a batch") {
  Object object(std::string body) {
    return {std::get<ObjectKey>(ObjectKey::from_image_id("id")),
            std::move(body),
            "image/jpeg",
            {{"image_id", "id"}, {"timestamp_ms", "1"}}};
  }

  HeadAnswer good(const Object& object) {
    return {200,
            object.body.size(),
            m2b::md5_hex(object.body).value(),
            {},
            false,
            "image/jpeg",
            {{"unknown", "1"}, {"timestamp_ms", "1"}, {"image_id", "id"}}};
  }
  HeadAnswer refused(int status, std::string code = {}) {
    return {status, 0, {}, std::move(code), false};
  }

  BatchVerdict verdict(const HeadAnswer& first, const HeadAnswer& second) {
    const Object one = object("1");
    const Object two = object("2");
    const std::vector<const Object*> objects{&one, &two};
    const std::vector<HeadAnswer> answers{first, second};
    return m2b::check_batch(objects, answers).verdict;
  }

  HeadAnswer one() { return good(object("1")); }
  HeadAnswer two() { return good(object("2")); }

  TEST_CASE("all as they should be are confirmed") {
    CHECK(verdict(one(), two()) == BatchVerdict::confirmed);
    CHECK(verdict(two(), one()) == BatchVerdict::useless);
  }

  TEST_CASE("however long an error code is, what is told of it is short") {
    const Object object_one = object("1");
    const std::vector<const Object*> objects{&object_one};
    const std::vector<HeadAnswer> answers{refused(403, std::string(10'000, 'x'))};
    CHECK(m2b::check_batch(objects, answers).detail.size() < 200);
  }

  TEST_CASE("a size that is not told confirms nothing") {
    HeadAnswer silent = two();
    silent.content_length.reset();
    CHECK(verdict(one(), silent) == BatchVerdict::useless);
  }

  TEST_CASE("the same bytes with the metadata of an earlier message confirm nothing") {
    HeadAnswer earlier = two();
    earlier.metadata[1].second = "0";
    CHECK(verdict(one(), earlier) == BatchVerdict::passing);
    HeadAnswer bare = two();
    bare.metadata.clear();
    CHECK(verdict(one(), bare) == BatchVerdict::passing);
    HeadAnswer other_type = two();
    other_type.content_type = "image/png";
    CHECK(verdict(one(), other_type) == BatchVerdict::passing);
  }

  TEST_CASE("one missing object is a matter of its own, all missing are the store's") {
    CHECK(verdict(one(), refused(404)) == BatchVerdict::passing);
    CHECK(verdict(refused(404), refused(404)) == BatchVerdict::useless);
    const auto no_bucket = refused(404, "NoSuchBucket");
    CHECK(verdict(no_bucket, no_bucket) == BatchVerdict::passing);
    const Object alone = object("1");
    const Object* const pointer = &alone;
    const HeadAnswer missing = refused(404);
    CHECK(m2b::check_batch({&pointer, 1}, {&missing, 1}).verdict == BatchVerdict::passing);
  }

  TEST_CASE("what a busy store says passes, every other refusal stays") {
    for (const int status : {408, 429, 500, 503}) {
      CHECK(verdict(one(), refused(status)) == BatchVerdict::passing);
    }
    for (const int status : {204, 206, 301, 400, 401, 403, 405}) {
      CHECK(verdict(one(), refused(status)) == BatchVerdict::useless);
    }
  }
}

}  // namespace
