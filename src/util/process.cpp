#include "m2b/util/process.hpp"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "m2b/util/fd.hpp"

namespace m2b {

void reserve_standard_descriptors() noexcept {
  struct Substitute {
    const char* path;
    int flags;
  };
  // Whoever prints to a closed standard output has to learn that nobody gets it: /dev/full.
  constexpr std::array<Substitute, 3> kSubstitutes{
      {{"/dev/null", O_RDONLY}, {"/dev/full", O_WRONLY}, {"/dev/null", O_WRONLY}}};
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // open() gives the lowest number that is free: this one.
    const Substitute& substitute = kSubstitutes.at(static_cast<std::size_t>(fd));
    if (::open(substitute.path, substitute.flags) == -1 && ::open("/", O_PATH) == -1) {
      ::_exit(EX_OSERR);
    }
  }
}

void hide_from_process_list(std::span<const std::string> variables) {
  for (const std::string& name : variables) {
    // NOLINTBEGIN(concurrency-mt-unsafe): there are no threads yet
    char* const shown = std::getenv(name.c_str());
    if (shown == nullptr) continue;
    std::string value = shown;
    // The C library puts the new value elsewhere and leaves the old one as it is; a second call
    // finds it there.
    const bool copied = ::setenv(name.c_str(), value.c_str(), 1) == 0;
    if (copied && std::getenv(name.c_str()) != shown) ::explicit_bzero(shown, value.size());
    // NOLINTEND(concurrency-mt-unsafe)
    ::explicit_bzero(value.data(), value.size());
  }
}

void keep_memory_out_of_core_dumps() noexcept {
  constexpr std::string_view kElfHeadersAlone = "0x10";
  const Fd filter(::open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC));
  const bool filtered =
      filter && ::write(filter.get(), kElfHeadersAlone.data(), kElfHeadersAlone.size()) ==
                    static_cast<ssize_t>(kElfHeadersAlone.size());
  if (!filtered) {
    constexpr rlimit kNone{0, 0};
    ::setrlimit(RLIMIT_CORE, &kNone);
  }
}

}  // namespace m2b
