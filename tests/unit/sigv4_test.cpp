#include "upload/sigv4.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::chrono_literals;
using m2b::encode_path;
using m2b::HttpHeader;
using m2b::sha256_hex;
using m2b::SigningCredentials;
using m2b::SigningRequest;
using namespace std::string_view_literals;

TEST_SUITE("signature version 4") {
  // The vectors are the four examples of "Signature Calculations for the Authorization Header:
  // Transferring Payload in a Single Chunk", Amazon S3 API reference (sig-v4-header-based-auth),
  // with the credentials, bucket and time given there.
  constexpr SigningCredentials kExample{"AKIAIOSFODNN7EXAMPLE",
                                        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"};
  constexpr std::chrono::sys_seconds kExampleTime =
      std::chrono::sys_days{std::chrono::year{2013} / 5 / 24};
  constexpr std::string_view kEmptySha256 =
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

  std::string header(const std::vector<HttpHeader>& headers, std::string_view name) {
    for (const auto& [each, value] : headers) {
      if (each == name) return value;
    }
    return {};
  }

  std::string authorization(const SigningRequest& request) {
    return header(m2b::RequestSigner(kExample).sign(request, kExampleTime), "Authorization");
  }

  std::string credential_and(std::string_view signed_headers, std::string_view signature) {
    return std::string(
               "AWS4-HMAC-SHA256 "
               "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=")
        .append(signed_headers)
        .append(", Signature=")
        .append(signature);
  }

  SigningRequest get(std::string_view path, std::string_view query = {}) {
    return {"GET", path, query, {{"Host", "examplebucket.s3.amazonaws.com"}}, kEmptySha256};
  }

  TEST_CASE("AWS example: GET Object") {
    SigningRequest request = get("/test.txt");
    request.headers.emplace_back("Range", "bytes=0-9");
    CHECK(authorization(request) ==
          credential_and("host;range;x-amz-content-sha256;x-amz-date",
                         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
  }

  TEST_CASE("AWS example: the steps of GET Object") {
    SigningRequest request = get("/test.txt");
    request.headers.emplace_back("Range", "bytes=0-9");
    request.headers.emplace_back("x-amz-content-sha256", kEmptySha256);
    request.headers.emplace_back("x-amz-date", "20130524T000000Z");
    const std::string canonical = m2b::canonical_request(request);
    CHECK(canonical ==
          "GET\n"
          "/test.txt\n"
          "\n"
          "host:examplebucket.s3.amazonaws.com\n"
          "range:bytes=0-9\n"
          "x-amz-content-sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
          "x-amz-date:20130524T000000Z\n"
          "\n"
          "host;range;x-amz-content-sha256;x-amz-date\n"
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(m2b::string_to_sign(canonical, "us-east-1", kExampleTime) ==
          "AWS4-HMAC-SHA256\n"
          "20130524T000000Z\n"
          "20130524/us-east-1/s3/aws4_request\n"
          "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972");
  }

  TEST_CASE("AWS example: PUT Object") {
    const std::string path = encode_path("/test$file.text");
    const std::string payload = sha256_hex("Welcome to Amazon S3.");
    CHECK(payload == "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
    const SigningRequest request{"PUT",
                                 path,
                                 {},
                                 {{"Host", "examplebucket.s3.amazonaws.com"},
                                  {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                                  {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                                 payload};
    CHECK(authorization(request) ==
          credential_and("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
  }

  TEST_CASE("AWS example: GET Bucket Lifecycle") {
    CHECK(authorization(get("/", "lifecycle=")) ==
          credential_and("host;x-amz-content-sha256;x-amz-date",
                         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
  }

  TEST_CASE("AWS example: Get Bucket (List Objects)") {
    CHECK(authorization(get("/", "max-keys=2&prefix=J")) ==
          credential_and("host;x-amz-content-sha256;x-amz-date",
                         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
  }

  TEST_CASE("the headers to send come with the signature") {
    const auto added =
        m2b::RequestSigner(kExample).sign(get("/test.txt"), kExampleTime + 13h + 5min + 9s);
    REQUIRE(added.size() == 3);
    CHECK(header(added, "x-amz-date") == "20130524T130509Z");
    CHECK(header(added, "x-amz-content-sha256") == kEmptySha256);
    CHECK_FALSE(header(added, "Authorization").empty());
  }

  TEST_CASE("a signer that lives on signs each day with that day's key") {
    m2b::RequestSigner signer(kExample);
    for (const auto time : {kExampleTime, kExampleTime + 1h, kExampleTime + 24h, kExampleTime}) {
      CHECK(signer.sign(get("/test.txt"), time) ==
            m2b::RequestSigner(kExample).sign(get("/test.txt"), time));
    }
  }

  TEST_CASE("header names are lowered and sorted, values trimmed and their blanks made one") {
    SigningRequest request = get("/");
    request.headers.emplace_back("X-Amz-Meta-B", "  a   b\t c  ");
    request.headers.emplace_back("x-amz-meta-a-b", "2");
    request.headers.emplace_back("x-amz-meta-a", "1");
    request.headers.emplace_back("X-AMZ-META-B", "second");
    CHECK(m2b::canonical_request(request) ==
          "GET\n/\n\n"
          "host:examplebucket.s3.amazonaws.com\n"
          "x-amz-meta-a:1\n"
          "x-amz-meta-a-b:2\n"
          "x-amz-meta-b:a b c,second\n"
          "\n"
          "host;x-amz-meta-a;x-amz-meta-a-b;x-amz-meta-b\n" +
              std::string(kEmptySha256));
  }

  TEST_CASE("paths keep the unreserved characters and the slash, all else is upper-case hex") {
    CHECK(encode_path("/bucket/AZaz09-._~") == "/bucket/AZaz09-._~");
    CHECK(encode_path("a b+c=d%e&f?g#h\\i:j*k") == "a%20b%2Bc%3Dd%25e%26f%3Fg%23h%5Ci%3Aj%2Ak");
    CHECK(encode_path("ü/日") == "%C3%BC/%E6%97%A5");
    CHECK(encode_path("\0\x7F\xFF"sv) == "%00%7F%FF");
    CHECK(encode_path("").empty());
  }

  TEST_CASE("SHA-256 matches the examples of FIPS 180") {
    CHECK(sha256_hex("") == kEmptySha256);
    CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  }
}

}  // namespace
