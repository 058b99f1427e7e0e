// A library for LD_PRELOAD that makes a program's disk slow: each sync takes SYNC_DELAY_US
// microseconds longer, be it a call of its own or the end of a write to a file that was opened with
// O_DSYNC. A tracer could do that as well, but stops all threads of the program for it.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

namespace {

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

void delay() {
  static const char* const text = std::getenv("SYNC_DELAY_US");  // NOLINT(concurrency-mt-unsafe)
  static const std::chrono::microseconds delay{text != nullptr ? std::strtol(text, nullptr, 10)
                                                               : 0};
  std::this_thread::sleep_for(delay);
}

bool syncs_each_write(int fd) { return (::fcntl(fd, F_GETFL) & O_DSYNC) != 0; }

}  // namespace

extern "C" {

int fdatasync(int fd) {
  static const auto real = next<int (*)(int)>("fdatasync");
  const int result = real(fd);
  delay();
  return result;
}

int fsync(int fd) {
  static const auto real = next<int (*)(int)>("fsync");
  const int result = real(fd);
  delay();
  return result;
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  const ssize_t result = real(fd, data, size, offset);
  if (syncs_each_write(fd)) delay();
  return result;
}

}  // extern "C"
