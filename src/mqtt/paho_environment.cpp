// Paho 1.3.12 sends every connection, also one to the loopback, to the proxy that http_proxy or
// https_proxy names, even where no_proxy forbids it, and has no option against it. The variables
// are meant for the store's HTTP, and libcurl, which is linked dynamically, must go on to see them.
// So the linker puts this function before getenv() in what is linked statically: Paho and our own
// code, which does not read them.

#ifdef M2B_LATE_ACK  // with Paho's static library, whose calls the linker can redirect

#include <string_view>

// The linker's --wrap: who is linked statically calls the first, and the second is libc's own.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {
char* __wrap_getenv(const char* name);
char* __real_getenv(const char* name);
}

char* __wrap_getenv(const char* name) {
  const std::string_view text(name);
  return text == "http_proxy" || text == "https_proxy" ? nullptr : __real_getenv(name);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#endif
