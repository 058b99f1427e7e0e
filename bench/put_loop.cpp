#include "bench/put_loop.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/http_client.hpp"
#include "bench/stop.hpp"
#include "m2b/upload/s3_store.hpp"

namespace m2b::bench {
namespace {

using Clock = std::chrono::steady_clock;

StoreOptions options_of(const StoreAccess& store) {
  StoreOptions options;
  options.host = store.address.host;
  options.port = store.address.port;
  options.secure = false;
  options.access_key = store.access_key;
  options.secret_key = Secret(store.secret_key);
  options.bucket = store.bucket;
  return options;
}

void expect_stored(const PutResult& result) {
  if (result.outcome == PutOutcome::stopped) throw Interrupted();
  if (result.outcome != PutOutcome::stored) {
    throw std::runtime_error(fmt::format("the store refused: {} {} {}", to_string(result.outcome),
                                         result.code, result.detail));
  }
}

void put_signed(const StoreOptions& options, ClockOffset& clock, BatchSupport& batches,
                const Picture& picture, std::atomic<std::size_t>& next, std::size_t count,
                const std::stop_token& stop) {
  S3Store store(options, clock, batches);
  Object object = bare_object(picture, 0);
  for (std::size_t number = next++; number < count; number = next++) {
    throw_if_stopped(stop);
    object.key = bare_key(number);
    expect_stored(store.put(object, stop));
  }
}

void put_unsigned(const StoreAccess& store, const Picture& picture, std::atomic<std::size_t>& next,
                  std::size_t count, const std::stop_token& stop) {
  HttpClient client(store.address);
  for (std::size_t number = next++; number < count; number = next++) {
    throw_if_stopped(stop);
    client.put(fmt::format("/{}/{}", store.bucket, bare_key(number).str()), picture.decoded());
  }
}

}  // namespace

double bare_puts(const StoreAccess& store, const Picture& picture, std::size_t count,
                 unsigned threads, const std::stop_token& stop) {
  const StoreOptions options = options_of(store);
  ClockOffset clock;
  BatchSupport batches;
  if (store.is_signed) expect_stored(S3Store(options, clock, batches).ensure_bucket(stop));
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    if (store.is_signed) {
      put_signed(options, clock, batches, picture, next, count, stop);
    } else {
      put_unsigned(store, picture, next, count, stop);
    }
  };
  const auto begin = Clock::now();
  std::vector<std::future<void>> workers;
  for (unsigned i = 0; i < threads; ++i) workers.push_back(std::async(std::launch::async, work));
  for (std::future<void>& worker : workers) worker.wait();
  const std::chrono::duration<double> taken = Clock::now() - begin;
  for (std::future<void>& worker : workers) worker.get();
  return taken.count();
}

}  // namespace m2b::bench
