#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <stop_token>

#include "m2b/upload/bandwidth_limit.hpp"
#include "m2b/upload/object_store.hpp"
#include "m2b/upload/options.hpp"

namespace m2b {

/// The difference between the store's clock and ours, shared by all connections. Corrected from the
/// store's Date header when it refuses our time (RequestTimeTooSkewed).
class ClockOffset {
 public:
  [[nodiscard]] std::chrono::seconds get() const noexcept {
    return std::chrono::seconds(seconds_.load(std::memory_order_relaxed));
  }
  void set(std::chrono::seconds offset) noexcept {
    seconds_.store(offset.count(), std::memory_order_relaxed);
  }

 private:
  std::atomic<std::chrono::seconds::rep> seconds_{0};
};

/// ObjectStore over libcurl: one kept-alive connection, path-style addressing, AWS Signature V4
/// with the SHA-256 of the body. A missing bucket is created on the way and the object put again; a
/// refused time is corrected and the request repeated once.
class S3Store final : public ObjectStore {
 public:
  /// All of them outlive the store. Without `bandwidth` bodies go out as fast as they can.
  S3Store(const StoreOptions& options, ClockOffset& clock_offset,
          BandwidthLimit* bandwidth = nullptr);
  ~S3Store() override;

  [[nodiscard]] PutResult put(const Object& object, std::stop_token abort) override;
  [[nodiscard]] PutResult ensure_bucket(std::stop_token abort) override;

 private:
  class Connection;  // keeps curl's header out of here
  std::unique_ptr<Connection> connection_;
};

/// libcurl's process-wide set-up; one object in main, before the first S3Store.
class CurlGlobal {
 public:
  CurlGlobal();
  ~CurlGlobal();
  CurlGlobal(const CurlGlobal&) = delete;
  CurlGlobal& operator=(const CurlGlobal&) = delete;
};

}  // namespace m2b
