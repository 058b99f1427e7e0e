#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "m2b/object/object.hpp"
#include "m2b/pipeline/options.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/repetition.hpp"
#include "pipeline/flow.hpp"

namespace m2b {

/// Uploads dead letters to the bucket, one at a time, among the other deliveries. One leaves the
/// dead letters once the store has confirmed it; one that the store refuses for its own reasons
/// stays, until the next start at least.
class DeadLetterUploader {
 public:
  /// The references outlive it.
  DeadLetterUploader(const PipelineOptions& options, Spool& spool, Flow& flow);

  /// Until stop is requested; on a thread of its own.
  void run(const std::stop_token& stop);

 private:
  void wake();
  void wait(const std::stop_token& stop, std::chrono::milliseconds most);
  /// Whether none was refused for a reason that may pass.
  [[nodiscard]] bool upload_all(const std::stop_token& stop);
  /// What became of it, as of Flow::upload_dead_letter().
  [[nodiscard]] RetryAction upload(const LetterInfo& letter);
  [[nodiscard]] std::shared_ptr<const Object> object_of(const LetterInfo& letter);
  void keep(const LetterInfo& letter);

  const std::string prefix_;
  const std::chrono::milliseconds pause_;
  Spool& spool_;
  Flow& flow_;
  std::set<SpoolId> kept_;  // refused by the store
  Repetition failures_;

  std::mutex mutex_;  // guards news_
  std::condition_variable_any woken_;
  bool news_ = true;
};

}  // namespace m2b
