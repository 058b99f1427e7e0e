// upload/s3_error, put_outcome, chunked_body: whatever a store, a proxy or a captive portal says,
// the answer has an outcome and a scope, none blames an object without a store's word, and its code
// can be a metric's label. Input: two bytes, the HTTP status; the body.

#include <cstdint>
#include <string_view>

#include "fuzz/checks.hpp"
#include "upload/chunked_body.hpp"
#include "upload/classify.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace m2b;
  using fuzz::require;
  if (size < 2) return 0;
  const int status = (data[0] << 8 | data[1]) % 1000;
  const fuzz::Exact exact({reinterpret_cast<const char*>(data + 2), size - 2});

  const S3Error error = parse_s3_error(exact.view());
  require(fuzz::is_visible_ascii(error.code) && error.code.size() <= 64, "a code is a short word");
  require(!error.code.empty() || (error.message.empty() && error.request_id.empty()),
          "without a code it is no error document");
  const PutResult result = result_of_answer(status, exact.view());
  require(result.http_status == status, "the status is kept");
  require(result.outcome == (status == 200 ? PutOutcome::stored : PutOutcome::refused),
          "only success stores");
  const bool is_refusal_by_store = status >= 400 && status < 500 && !error.code.empty();
  require(result.scope != Scope::object || is_refusal_by_store, "a store blames the object");
  require(!result.may_be_object_fault || is_refusal_by_store, "a store suspects the object");
  require(!result.may_be_object_fault || (result.scope == Scope::ambiguous && !result.needs_person),
          "a suspicion is no certainty");
  require(
      (result.scope != Scope::credentials && result.scope != Scope::bucket) || result.needs_person,
      "credentials and buckets need a person");
  require(fuzz::is_visible_ascii(result.code) && result.code.size() <= 64, "a label is short");
  require(result.detail.size() <= 1000, "a detail is short");
  require(!(looks_like_s3_error(exact.view()) && is_bucket_location(exact.view())),
          "a document is one thing");
  require(error.code.empty() || looks_like_s3_error(exact.view()), "a code stands in an error");

  const auto decoded = decode_chunked(exact.view());
  require(!decoded || decoded->size() < exact.view().size(), "chunks do not grow");
  return 0;
}
