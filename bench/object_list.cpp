#include "bench/object_list.hpp"

#include <chrono>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "upload/sigv4.hpp"

namespace m2b::bench {
namespace {

constexpr std::string_view kRegion = "us-east-1";
constexpr long kNotFound = 404;

/// In a query '/' is encoded as well.
std::string encode_value(std::string_view value) {
  std::string text;
  for (const char byte : encode_path(value)) {
    if (byte == '/') {
      text += "%2F";
    } else {
      text += byte;
    }
  }
  return text;
}

/// No key of the bench has a character that XML would write otherwise.
void append_keys(std::string_view xml, std::vector<std::string>& keys) {
  constexpr std::string_view kBegin = "<Key>";
  constexpr std::string_view kEnd = "</Key>";
  for (std::size_t at = xml.find(kBegin); at != std::string_view::npos; at = xml.find(kBegin, at)) {
    at += kBegin.size();
    keys.emplace_back(xml.substr(at, xml.find(kEnd, at) - at));
  }
}

}  // namespace

ObjectList::ObjectList(StoreAccess store) : store_(std::move(store)), client_(store_.address) {}

std::string ObjectList::page(std::string_view prefix, std::string_view after) {
  const std::string path = encode_path("/" + store_.bucket);
  const std::string query = fmt::format("list-type=2&prefix={}&start-after={}",
                                        encode_value(prefix), encode_value(after));
  const std::string no_body = sha256_hex("");
  SigningRequest request{"GET", path, query, {{"Host", store_.address.text()}}, no_body};
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto signature =
      RequestSigner({store_.access_key, store_.secret_key, kRegion}).sign(request, now);
  const auto answer = client_.get(fmt::format("{}?{}", path, query), signature);
  if (answer && answer->status == kNotFound) return {};
  if (!answer || answer->status != 200) {
    throw std::runtime_error(
        fmt::format("the store does not list its objects: {}",
                    answer ? fmt::format("{} {}", answer->status, answer->body) : "no answer"));
  }
  return answer->body;
}

std::vector<std::string> ObjectList::keys(std::string_view prefix, std::string_view after) {
  std::vector<std::string> keys;
  while (true) {
    const std::string xml = page(prefix, keys.empty() ? after : keys.back());
    append_keys(xml, keys);
    if (xml.find("<IsTruncated>true<") == std::string::npos) return keys;
  }
}

}  // namespace m2b::bench
