#include "bench/start_bench.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string_view>
#include <system_error>

#include "bench/bridge.hpp"
#include "bench/broker.hpp"
#include "bench/clock.hpp"
#include "bench/pictures.hpp"
#include "bench/spool_bench.hpp"
#include "bench/store.hpp"
#include "bench/temporary_folder.hpp"
#include "bench/watch.hpp"
#include "m2b/util/fd.hpp"

namespace m2b::bench {
namespace {

constexpr std::size_t kWaiters = 1000;
/// Enough for the memory to be what it will be.
constexpr std::size_t kWatched = 5000;

std::uint64_t bytes_below(const std::filesystem::path& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    bytes += entry.is_regular_file() ? entry.file_size() : 0;
  }
  return bytes;
}

/// What is on disk may be dropped from the cache by anybody who may read it.
void drop_from_page_cache(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const Fd file(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || ::fsync(file.get()) != 0) {
      throw std::system_error(errno, std::generic_category(), entry.path().native());
    }
    if (const int error = ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED)) {
      throw std::system_error(error, std::generic_category(), "posix_fadvise");
    }
  }
}

}  // namespace

StartResult run_start(const PipelineRun& run, std::size_t picture_bytes, bool cold,
                      const std::stop_token& stop) {
  StartResult result;
  result.picture_bytes = picture_bytes;
  result.messages = run.messages;
  result.cold = cold;
  const TemporaryFolder folder(run.folder);
  const std::filesystem::path spool = folder.path() / kSpoolFolder;
  result.fill_seconds = append_pictures(spool, picture_bytes, run.messages, kWaiters, stop);
  result.spool_bytes = bytes_below(spool);

  std::atomic<Clock::time_point> first_upload{Clock::time_point::max()};
  StoreChoice discard;
  discard.kind = "discard";
  const std::unique_ptr<Store> store = make_store(
      discard, folder.path(),
      [&first_upload](std::string_view request) {
        auto none = Clock::time_point::max();
        if (picture_number(request)) first_upload.compare_exchange_strong(none, Clock::now());
      },
      stop);
  const Broker broker(run.broker, folder.path(), stop);
  if (cold) drop_from_page_cache(spool);

  const auto begin = Clock::now();
  Bridge bridge(daemon_program(run.bridge, {broker.address(), "mqtt-to-blob-bench/start", run.qos,
                                            store->access(), folder.path()}),
                stop);
  result.ready_seconds = seconds_since(begin);
  Watcher watcher(bridge, {"stored", &Bridge::Account::stored, std::min(run.messages, kWatched)},
                  stop);
  do {
    watcher.look();
  } while (watcher.count() < std::min(run.messages, kWatched));
  result.first_upload_seconds = std::chrono::duration<double>(first_upload.load() - begin).count();
  result.peak_private_bytes = watcher.peak_private_bytes();
  return result;
}

}  // namespace m2b::bench
