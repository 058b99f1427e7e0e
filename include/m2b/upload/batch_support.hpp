#pragma once

#include <atomic>
#include <string_view>

namespace m2b {

/// Whether batches are worth trying with this store; shared by all connections. What S3Store finds
/// out is kept here: only MinIO extracts archives, and not every MinIO lets us see that it did.
/// Any thread may call it.
class BatchSupport {
 public:
  [[nodiscard]] bool worth_trying() const noexcept { return is_minio_ && !is_off_; }

  /// Who gave the last answer. A balancer's own error page is not MinIO's, for as long as it lasts.
  void saw_server(bool is_minio) noexcept { is_minio_ = is_minio; }

  /// Batches stay off until the process ends; `cause` is logged, once.
  void turn_off(std::string_view cause, std::string_view detail) noexcept;

  /// A batch was confirmed as a whole.
  void confirmed() noexcept { unconfirmed_in_a_row_ = 0; }

  /// A batch was taken but not confirmed as a whole, for a reason that may pass. Several in a row
  /// turn batches off: then each is sent twice, for nothing.
  void unconfirmed(std::string_view cause, std::string_view detail) noexcept;

 private:
  std::atomic<bool> is_minio_ = false;
  std::atomic<bool> is_off_ = false;
  std::atomic<int> unconfirmed_in_a_row_ = 0;
};

}  // namespace m2b
