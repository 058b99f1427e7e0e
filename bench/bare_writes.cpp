#include "bench/bare_writes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <system_error>

#include "bench/clock.hpp"
#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/stop.hpp"
#include "m2b/util/fd.hpp"

namespace m2b::bench {
namespace {

/// The file is written round and round beyond this.
constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;

void check(bool good, const char* function) {
  if (!good) throw std::system_error(errno, std::generic_category(), function);
}

void write_at(const Fd& file, std::string_view bytes, std::size_t offset) {
  while (!bytes.empty()) {
    const ssize_t written =
        ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    check(written > 0, "pwrite");
    bytes.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::size_t>(written);
  }
}

}  // namespace

double bare_writes(const std::filesystem::path& folder, std::size_t picture_bytes,
                   std::size_t messages, const std::stop_token& stop) {
  Picture picture(picture_bytes);
  const Fd file(::open((folder / "bare").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  check(static_cast<bool>(file), "open");
  const Progress progress("bare writes");
  std::size_t places = std::min(kMaxFileBytes / picture.message_bytes(), messages);
  if (places == 0) places = 1;
  // Written, not only reserved: the first write into a reserved block changes the file's map.
  for (std::size_t place = 0; place < places; ++place) {
    write_at(file, picture.message(0), place * picture.message_bytes());
  }
  check(::fsync(file.get()) == 0, "fsync");

  const auto begin = Clock::now();
  for (std::size_t number = 0; number < messages; ++number) {
    throw_if_stopped(stop);
    write_at(file, picture.message(number), number % places * picture.message_bytes());
    check(::fdatasync(file.get()) == 0, "fdatasync");
  }
  return seconds_since(begin);
}

}  // namespace m2b::bench
