#include "upload/curl.hpp"

#include <new>
#include <stdexcept>

#include <fmt/format.h>

namespace m2b::curl {

EasyHandle make_easy() {
  EasyHandle handle(curl_easy_init());
  if (!handle) throw std::bad_alloc();
  return handle;
}

void append(Slist& list, const char* line) {
  curl_slist* const longer = curl_slist_append(list.get(), line);
  if (longer == nullptr) throw std::bad_alloc();
  static_cast<void>(list.release());  // now part of the longer list
  list.reset(longer);
}

void check(CURLcode code, const char* function) {
  if (code == CURLE_OK) return;
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  throw std::logic_error(fmt::format("{} failed: {}", function, curl_easy_strerror(code)));
}

const curl_header* response_header(const EasyHandle& handle, const char* name,
                                   std::size_t index) noexcept {
  constexpr int kLastRequest = -1;
  curl_header* header = nullptr;
  if (curl_easy_header(handle.get(), name, index, CURLH_HEADER, kLastRequest, &header) !=
      CURLHE_OK) {
    return nullptr;
  }
  return header;
}

}  // namespace m2b::curl
