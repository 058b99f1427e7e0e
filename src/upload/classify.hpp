#pragma once

#include <string_view>

#include <curl/curl.h>

#include "m2b/upload/put_outcome.hpp"

namespace m2b {

/// The result of a request that was answered; `body` is what the store said.
[[nodiscard]] PutResult result_of_answer(int http_status, std::string_view body);

/// The result of a request that got no whole answer; `text` is libcurl's explanation.
[[nodiscard]] PutResult result_of_failure(CURLcode code, std::string_view text);

}  // namespace m2b
