#include "upload/head_answer.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "m2b/util/ascii.hpp"
#include "upload/http_header.hpp"

namespace m2b {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

/// Takes the next line off the text.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find(kLineEnd), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + kLineEnd.size(), text.size()));
  return line;
}

/// `HTTP/1.1 200 OK`; the status of a final answer, or 0.
int parse_status(std::string_view line) {
  constexpr std::string_view kProtocol = "HTTP/1.";
  constexpr std::size_t kStatusAt = kProtocol.size() + 2;
  constexpr std::size_t kStatusDigits = 3;
  const std::size_t status_end = kStatusAt + kStatusDigits;
  if (!line.starts_with(kProtocol) || line.size() < status_end || line[kStatusAt - 1] != ' ' ||
      (line.size() > status_end && line[status_end] != ' ')) {
    return 0;
  }
  const auto status = parse_number<unsigned>(line.substr(kStatusAt, kStatusDigits));
  return status && *status >= 200 && *status <= 599 ? static_cast<int>(*status) : 0;
}

/// False where the text is there already, with another value.
bool take_once(std::string& text, std::string_view value) {
  if (!text.empty()) return text == value;
  text = value;
  return true;
}

/// False where the header makes the answer unfit.
bool take_header(HeadAnswer& answer, std::string_view name, std::string_view value) {
  constexpr std::size_t kMostMetadata = 64;  // ours has less than ten
  if (is_ascii_word(name, "content-length")) {
    if (answer.content_length) return false;
    answer.content_length = parse_number<std::uint64_t>(value);
    return answer.content_length.has_value();
  }
  if (is_ascii_word(name, "etag")) return take_once(answer.etag, value);
  if (is_ascii_word(name, "x-amz-checksum-sha256")) return take_once(answer.sha256, value);
  // What is compressed is not the object; we asked for it as it is.
  if (is_ascii_word(name, "content-encoding")) return is_ascii_word(value, "identity");
  // A cache tells of what was once, and not of what was just put.
  if (is_ascii_word(name, "age")) return value.find_first_not_of('0') == std::string_view::npos;
  if (is_ascii_word(name, "content-type")) answer.content_type = value;
  constexpr std::string_view kMetadata = "x-amz-meta-";
  if (is_ascii_word(name.substr(0, kMetadata.size()), kMetadata)) {
    if (answer.metadata.size() == kMostMetadata) return false;
    answer.metadata.emplace_back(ascii_lower(name.substr(kMetadata.size())), value);
  }
  if (is_ascii_word(name, "connection")) answer.last = answer.last || is_ascii_word(value, "close");
  if (is_ascii_word(name, "x-minio-error-code")) answer.code = value;
  return true;
}

}  // namespace

std::optional<HeadAnswer> parse_head_answer(std::string_view head) {
  HeadAnswer answer;
  const std::string_view status_line = take_line(head);
  answer.status = parse_status(status_line);
  if (answer.status == 0) return std::nullopt;
  answer.last = status_line.starts_with("HTTP/1.0");
  while (!head.empty()) {
    const std::string_view line = take_line(head);
    const std::size_t colon = line.find(':');
    const bool is_header = colon != std::string_view::npos && colon > 0 &&
                           line.find_first_of(" \t") > colon &&
                           line.find_first_of("\r\n") == std::string_view::npos;
    if (!is_header) return std::nullopt;
    if (!take_header(answer, line.substr(0, colon), trimmed(line.substr(colon + 1)))) {
      return std::nullopt;
    }
  }
  answer.etag = std::string(strong_etag(answer.etag));
  return answer;
}

}  // namespace m2b
