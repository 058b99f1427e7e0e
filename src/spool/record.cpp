#include "m2b/spool/record.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace m2b {

void Record::forget(std::string_view part) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t begin = (at + page - 1) / page * page;
  const std::uintptr_t end = (at + part.size()) / page * page;
  const bool is_ours =
      part.data() >= message_.payload.data() &&
      part.data() + part.size() <= message_.payload.data() + message_.payload.size();
  if (is_ours && begin < end) {
    char* const first = buffer_.get() + (part.data() - buffer_.get()) + (begin - at);
    static_cast<void>(::madvise(first, end - begin, MADV_DONTNEED));
  }
}

}  // namespace m2b
