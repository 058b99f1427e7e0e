#pragma once

#include <atomic>
#include <chrono>
#include <string_view>

namespace m2b {

/// Whether batches are worth trying with this store; shared by all connections. What S3Store finds
/// out is kept here: only MinIO extracts archives, and not every MinIO lets us see that it did.
/// Any thread may call it.
class BatchSupport {
 public:
  /// How many batches in a row, over all connections, fail before there is a pause.
  static constexpr int kFailuresBeforePause = 5;

  BatchSupport() = default;
  explicit BatchSupport(std::chrono::milliseconds pause) : pause_(pause) {}

  [[nodiscard]] bool worth_trying() const noexcept;

  /// Who gave the last answer. A balancer's own error page is not MinIO's, for as long as it lasts.
  void saw_server(bool is_minio) noexcept { is_minio_ = is_minio; }

  /// Batches stay off until the process ends; the cause is logged, once.
  void turn_off(std::string_view cause, std::string_view detail) noexcept;

  /// A batch was confirmed as a whole.
  void confirmed() noexcept { failures_in_a_row_ = 0; }

  /// A batch was sent in vain, for a reason that may pass. If that goes on, batches pause, which is
  /// logged: meanwhile everything would be sent twice.
  void failed(std::string_view cause, std::string_view detail) noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  const Clock::duration pause_ = std::chrono::minutes(10);
  std::atomic<bool> is_minio_ = false;
  std::atomic<bool> is_off_ = false;
  std::atomic<int> failures_in_a_row_ = 0;
  std::atomic<Clock::rep> paused_until_ = 0;
};

}  // namespace m2b
