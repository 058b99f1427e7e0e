#include "upload/sigv4.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "m2b/util/ascii.hpp"

namespace m2b {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr std::size_t kSha256Bytes = 32;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string hmac_sha256(std::string_view key, std::string_view data) {
  std::string mac(kSha256Bytes, '\0');
  std::size_t length = 0;
  if (EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(), bytes(data),
                data.size(), reinterpret_cast<unsigned char*>(mac.data()), mac.size(),
                &length) == nullptr) {
    throw_openssl_error("EVP_Q_mac");
  }
  return mac;
}

bool is_blank(char character) { return character == ' ' || character == '\t'; }

/// Trimmed, runs of blanks made one.
std::string fold(std::string_view value) {
  std::string folded;
  bool pending_blank = false;
  for (const char character : value) {
    if (is_blank(character)) {
      pending_blank = !folded.empty();
      continue;
    }
    if (pending_blank) folded += ' ';
    pending_blank = false;
    folded += character;
  }
  return folded;
}

/// Sorted by name; values of the same name joined by commas in their order.
std::map<std::string, std::string> canonical_headers(const std::vector<HttpHeader>& headers) {
  std::map<std::string, std::string> canonical;
  for (const auto& [name, value] : headers) {
    const auto [entry, is_new] = canonical.try_emplace(ascii_lower(name), fold(value));
    if (!is_new) entry->second.append(",").append(fold(value));
  }
  return canonical;
}

std::string signed_headers(const std::map<std::string, std::string>& canonical) {
  std::string names;
  for (const auto& [name, value] : canonical) {
    if (!names.empty()) names += ';';
    names += name;
  }
  return names;
}

struct Timestamp {
  std::string date;       // YYYYMMDD
  std::string date_time;  // YYYYMMDD'T'HHMMSS'Z'
};

Timestamp timestamp(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  Timestamp stamp;
  stamp.date = fmt::format("{:04}{:02}{:02}", static_cast<int>(date.year()),
                           static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  stamp.date_time = fmt::format("{}T{:02}{:02}{:02}Z", stamp.date, clock.hours().count(),
                                clock.minutes().count(), clock.seconds().count());
  return stamp;
}

std::string scope(std::string_view date, std::string_view region) {
  return fmt::format("{}/{}/s3/aws4_request", date, region);
}

std::string signing_key(const SigningCredentials& credentials, std::string_view date) {
  std::string key = fmt::format("AWS4{}", credentials.secret_key);
  for (const std::string_view part :
       {date, credentials.region, std::string_view("s3"), std::string_view("aws4_request")}) {
    key = hmac_sha256(key, part);
  }
  return key;
}

}  // namespace

std::string encode_path(std::string_view path) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  std::string encoded;
  encoded.reserve(path.size());
  for (const char character : path) {
    if (kPlain.find(character) != std::string_view::npos) {
      encoded += character;
    } else {
      fmt::format_to(std::back_inserter(encoded), "%{:02X}", static_cast<std::uint8_t>(character));
    }
  }
  return encoded;
}

std::string canonical_request(const SigningRequest& request) {
  const std::map<std::string, std::string> headers = canonical_headers(request.headers);
  std::string canonical = fmt::format("{}\n{}\n{}\n", request.method, request.path, request.query);
  for (const auto& [name, value] : headers) {
    canonical.append(name).append(":").append(value).append("\n");
  }
  canonical.append("\n").append(signed_headers(headers));
  canonical.append("\n").append(request.payload_sha256);
  return canonical;
}

std::string string_to_sign(std::string_view canonical_request, std::string_view region,
                           std::chrono::sys_seconds time) {
  const Timestamp stamp = timestamp(time);
  return fmt::format("{}\n{}\n{}\n{}", kAlgorithm, stamp.date_time, scope(stamp.date, region),
                     sha256_hex(canonical_request));
}

std::vector<HttpHeader> RequestSigner::sign(const SigningRequest& request,
                                            std::chrono::sys_seconds time) {
  const Timestamp stamp = timestamp(time);
  std::vector<HttpHeader> added{{"x-amz-content-sha256", std::string(request.payload_sha256)},
                                {"x-amz-date", stamp.date_time}};
  SigningRequest complete = request;
  complete.headers.insert(complete.headers.end(), added.begin(), added.end());

  const std::string text = string_to_sign(canonical_request(complete), credentials_.region, time);
  const std::string signature = hex(hmac_sha256(key_of(stamp.date), text));
  added.emplace_back("Authorization",
                     fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm,
                                 credentials_.access_key, scope(stamp.date, credentials_.region),
                                 signed_headers(canonical_headers(complete.headers)), signature));
  return added;
}

const std::string& RequestSigner::key_of(std::string_view date) {
  if (date != date_) {
    key_ = signing_key(credentials_, date);
    date_ = date;
  }
  return key_;
}

}  // namespace m2b
