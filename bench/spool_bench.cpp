#include "bench/spool_bench.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <future>
#include <stdexcept>
#include <string>
#include <system_error>

#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/stop.hpp"
#include "bench/temporary_folder.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/fd.hpp"

namespace m2b::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// The bare file is written round and round beyond this.
constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void expect_durable(std::future<Durability> ticket) {
  if (ticket.get() != Durability::durable) throw std::logic_error("the spool closed by itself");
}

/// The pictures' bytes must live until their ticket completes, so each open one has its own.
double append_all(const SpoolRun& run, std::size_t picture_bytes, std::size_t open_tickets,
                  const std::filesystem::path& folder, const std::stop_token& stop) {
  std::vector<Picture> pictures(open_tickets, Picture(picture_bytes));
  SpoolOptions options;
  options.directory = folder;
  Spool spool(options);
  const Progress progress("spool, " + std::to_string(open_tickets) + " at a time");
  std::deque<std::future<Durability>> tickets;
  const auto begin = Clock::now();
  for (std::size_t number = 0; number < run.messages; ++number) {
    throw_if_stopped(stop);
    if (tickets.size() == open_tickets) {
      expect_durable(std::move(tickets.front()));
      tickets.pop_front();
    }
    tickets.push_back(spool.append({.topic = "bench/picture",
                                    .payload = pictures[number % open_tickets].message(number),
                                    .received_at = wall_now(),
                                    .qos = 1}));
  }
  for (auto& ticket : tickets) expect_durable(std::move(ticket));
  const double taken = seconds_since(begin);
  if (spool.totals().received != run.messages) throw std::logic_error("the spool lost messages");
  return taken;
}

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

double write_all(const SpoolRun& run, std::size_t picture_bytes, const std::filesystem::path& path,
                 const std::stop_token& stop) {
  Picture picture(picture_bytes);
  const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  check(static_cast<bool>(file), "open");
  const Progress progress("bare writes");
  const std::size_t places =
      std::clamp<std::size_t>(kMaxFileBytes / picture.message_bytes(), 1, run.messages);
  // Written, not only reserved: the first write into a reserved block changes the file's map.
  for (std::size_t place = 0; place < places; ++place) {
    write_at(file, picture.message(0), place * picture.message_bytes());
  }
  check(::fsync(file.get()) == 0, "fsync");

  const auto begin = Clock::now();
  for (std::size_t number = 0; number < run.messages; ++number) {
    throw_if_stopped(stop);
    write_at(file, picture.message(number), number % places * picture.message_bytes());
    check(::fdatasync(file.get()) == 0, "fdatasync");
  }
  return seconds_since(begin);
}

}  // namespace

SpoolResult run_spool(const SpoolRun& run, std::size_t picture_bytes, const std::stop_token& stop) {
  SpoolResult result;
  result.picture_bytes = picture_bytes;
  result.message_bytes = Picture(picture_bytes).message_bytes();
  result.messages = run.messages;
  result.waiters = run.waiters;
  const auto in_fresh_folder = [&](auto measure) {
    const TemporaryFolder folder(run.folder);
    return measure(folder.path());
  };
  result.limit_seconds = in_fresh_folder(
      [&](const auto& folder) { return write_all(run, picture_bytes, folder / "bare", stop); });
  result.one_seconds = in_fresh_folder([&](const auto& folder) {
    return append_all(run, picture_bytes, 1, folder / "spool", stop);
  });
  result.many_seconds = in_fresh_folder([&](const auto& folder) {
    return append_all(run, picture_bytes, run.waiters, folder / "spool", stop);
  });
  return result;
}

}  // namespace m2b::bench
