#include "config/bucket_name.hpp"

#include <algorithm>

#include "config/address.hpp"

namespace m2b::config {
namespace {

bool is_alphanumeric(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
}

bool is_bucket_character(char byte) { return is_alphanumeric(byte) || byte == '-' || byte == '.'; }

bool is_reserved(std::string_view name) {
  for (const std::string_view prefix : {"xn--", "sthree-", "amzn-s3-demo-"}) {
    if (name.starts_with(prefix)) {
      return true;
    }
  }
  for (const std::string_view suffix : {"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"}) {
    if (name.ends_with(suffix)) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::optional<std::string> bucket_name_fault(std::string_view name) {
  if (name.size() < 3 || name.size() > 63 || !std::ranges::all_of(name, is_bucket_character)) {
    return "must be 3 to 63 lower case letters, digits, dots and hyphens";
  }
  if (!is_alphanumeric(name.front()) || !is_alphanumeric(name.back())) {
    return "must begin and end with a lower case letter or a digit";
  }
  for (const std::string_view pair : {"..", ".-", "-."}) {
    if (name.find(pair) != std::string_view::npos) {
      return "must not have a dot beside another dot or a hyphen";
    }
  }
  if (const auto host = parse_host(name); host && host->is_address) {
    return "must not look like an IP address";
  }
  if (is_reserved(name)) {
    return "must not begin or end with what Amazon S3 reserves (xn--, sthree-, -s3alias and such)";
  }
  return std::nullopt;
}

}  // namespace m2b::config
