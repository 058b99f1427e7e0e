#pragma once

#include <cstddef>

#include <curl/curl.h>

#include "m2b/util/handle.hpp"

/// The thinnest cover over libcurl: handles that free themselves, calls whose result is checked.
namespace m2b::curl {

using EasyHandle = Handle<CURL, &curl_easy_cleanup>;
using Slist = Handle<curl_slist, &curl_slist_free_all>;

/// Throws std::bad_alloc when curl_easy_init fails.
[[nodiscard]] EasyHandle make_easy();

/// Appends a copy of the line.
void append(Slist& list, const char* line);

/// Nothing when OK; std::bad_alloc when memory ran out; otherwise std::logic_error: an option that
/// libcurl refuses is a bug of ours or a libcurl too old.
void check(CURLcode code, const char* function);

template <class Value>
void set(const EasyHandle& handle, CURLoption option, Value value) {
  check(curl_easy_setopt(handle.get(), option, value), "curl_easy_setopt");
}

/// The header of that name in the last answer, and of several the one with that number; null if
/// there is none. Lives until the next call, its text until the handle is used again.
[[nodiscard]] const curl_header* response_header(const EasyHandle& handle, const char* name,
                                                 std::size_t index = 0) noexcept;

}  // namespace m2b::curl
