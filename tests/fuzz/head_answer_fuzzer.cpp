// upload/head_answer, batch_check: the head of an HTTP answer that we read by ourselves. Only an
// answer that says exactly the right thing confirms an object.

#include <cstdint>
#include <string_view>
#include <variant>

#include "fuzz/checks.hpp"
#include "upload/batch_check.hpp"
#include "upload/digest.hpp"
#include "upload/head_answer.hpp"

namespace {

using namespace m2b;
using fuzz::require;

const Object& object() {
  static const Object instance{std::get<ObjectKey>(ObjectKey::from_image_id("a")),
                               "picture",
                               "image/jpeg",
                               {{"image_id", "a"}, {"mqtt_topic", "ia/x"}}};
  return instance;
}

bool is_one_line(std::string_view text) {
  return text.find_first_of("\r\n") == std::string_view::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Exact exact({reinterpret_cast<const char*>(data), size});
  const auto answer = parse_head_answer(exact.view());
  if (!answer) return 0;
  require(answer->status >= 200 && answer->status <= 599, "only final answers are taken");
  require(
      is_one_line(answer->etag) && is_one_line(answer->code) && is_one_line(answer->content_type),
      "a header is one line");
  for (const auto& [name, value] : answer->metadata) {
    require(is_one_line(name) && is_one_line(value), "a metadata header is one line");
  }

  const Object* const objects[] = {&object()};
  const HeadAnswer answers[] = {*answer};
  const BatchCheck check = check_batch(objects, answers);
  const bool is_right = answer->status == 200 && answer->content_length == object().body.size() &&
                        answer->etag == md5_hex(object().body);
  require(check.verdict != BatchVerdict::confirmed || is_right,
          "only the right object is confirmed");
  require(check.detail.size() <= 2000, "a detail is short");
  return 0;
}
