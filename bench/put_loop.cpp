#include "bench/put_loop.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

#include "bench/clock.hpp"
#include "bench/http_client.hpp"
#include "bench/stop.hpp"
#include "m2b/upload/s3_store.hpp"

namespace m2b::bench {
namespace {

StoreOptions options_of(const StoreAccess& store) {
  StoreOptions options;
  options.host = store.address.host;
  options.port = store.address.port;
  options.secure = false;
  options.credentials.access_key = store.access_key;
  options.credentials.secret_key = Secret(store.secret_key);
  options.bucket = store.bucket;
  return options;
}

void expect_stored(const PutResult& result) {
  if (result.outcome == PutOutcome::stopped) throw Interrupted();
  if (result.outcome != PutOutcome::stored) {
    throw std::runtime_error(fmt::format("the store refused: {} {} {}", to_string(result.scope),
                                         result.code, result.detail));
  }
}

/// What the threads share.
struct Work {
  const StoreAccess& access;
  const Picture& picture;
  const PutRun& run;
  const std::stop_token& stop;
  StoreContext& context;
  std::size_t end = run.first + run.count;
  std::atomic<std::size_t> next = run.first;  // number of an object
};

void put_signed(Work& work) {
  S3Store store(work.context);
  Object object = bare_object(work.picture, 0);
  for (std::size_t number = work.next++; number < work.end; number = work.next++) {
    throw_if_stopped(work.stop);
    object.key = bare_key(number);
    expect_stored(store.put(object, work.stop));
  }
}

void put_batches(Work& work) {
  S3Store store(work.context);
  std::vector<Object> objects(work.run.batch, bare_object(work.picture, 0));
  if (!store.takes_batches() || !store.fits_batch(objects.front())) {
    throw std::invalid_argument(
        fmt::format("--batch: the store takes no batches, or none of pictures of {} bytes; batches "
                    "are for MinIO and pictures of at most {} bytes",
                    objects.front().body.size(), S3Store::kMaxBatchedBytes));
  }
  const std::size_t step = work.run.batch;
  for (std::size_t number = work.next.fetch_add(step); number < work.end;
       number = work.next.fetch_add(step)) {
    throw_if_stopped(work.stop);
    std::vector<const Object*> batch;
    for (std::size_t i = 0; i < std::min(step, work.end - number); ++i) {
      objects[i].key = bare_key(number + i);
      batch.push_back(&objects[i]);
    }
    expect_stored(store.put_batch(batch, work.stop));
  }
}

void put_unsigned(Work& work) {
  HttpClient client(work.access.address);
  for (std::size_t number = work.next++; number < work.end; number = work.next++) {
    throw_if_stopped(work.stop);
    client.put(fmt::format("/{}/{}", work.access.bucket, bare_key(number).str()),
               work.picture.decoded());
  }
}

void put_all(Work& work) {
  if (work.run.batch > 1) {
    put_batches(work);
  } else if (work.access.is_signed) {
    put_signed(work);
  } else {
    put_unsigned(work);
  }
}

}  // namespace

void make_bucket(const StoreAccess& store, const std::stop_token& stop) {
  const StoreOptions options = options_of(store);
  StoreContext context(options);
  expect_stored(S3Store(context).ensure_bucket(stop));
}

double bare_puts(const StoreAccess& store, const Picture& picture, const PutRun& run,
                 const std::stop_token& stop) {
  const StoreOptions options = options_of(store);
  StoreContext context(options);
  Work work{store, picture, run, stop, context};
  if (store.is_signed) {
    // Its answer tells as well whether this is a MinIO, which takes batches.
    expect_stored(S3Store(context).ensure_bucket(stop));
  }
  const auto begin = Clock::now();
  std::vector<std::future<void>> workers;
  for (unsigned i = 0; i < run.threads; ++i) {
    workers.push_back(std::async(std::launch::async, [&work] { put_all(work); }));
  }
  for (std::future<void>& worker : workers) worker.wait();
  const std::chrono::duration<double> taken = Clock::now() - begin;
  for (std::future<void>& worker : workers) worker.get();
  return taken.count();
}

}  // namespace m2b::bench
