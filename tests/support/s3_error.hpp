#pragma once

#include <string>
#include <string_view>

namespace m2b::test {

/// The body of an answer by which an S3 store refuses, as MinIO writes it.
inline std::string s3_error(std::string_view code) {
  return std::string("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>")
      .append(code)
      .append(
          "</Code><Message>Some text.</Message><Resource>/b/k</Resource>"
          "<RequestId>18EA71DCB814FC94</RequestId></Error>");
}

}  // namespace m2b::test
