#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "m2b/object/object.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/upload/object_store.hpp"
#include "m2b/util/repetition.hpp"
#include "pipeline/flow.hpp"
#include "pipeline/upload_worker.hpp"

namespace m2b {

/// Sends dead letters to the bucket, one at a time and behind the same gate as the pictures. One
/// leaves the dead letters once the store has confirmed it; one that the store refuses stays, until
/// the next start at least.
class LetterSender {
 public:
  /// The references outlive it.
  LetterSender(std::string prefix, Spool& spool, Flow& flow);

  /// Until `stop.begin_nothing`; on a thread of its own.
  void run(std::unique_ptr<ObjectStore> store, const UploadStop& stop);

 private:
  void wake();
  void wait(const std::stop_token& stop);
  void send_all(ObjectStore& store, const UploadStop& stop);
  /// Whether the store has it now.
  [[nodiscard]] bool send(const LetterInfo& letter, ObjectStore& store, const UploadStop& stop);
  [[nodiscard]] std::optional<Object> object_of(const LetterInfo& letter);
  void keep(const LetterInfo& letter, const std::string& cause);

  const std::string prefix_;
  Spool& spool_;
  Flow& flow_;
  std::set<SpoolId> kept_;  // refused by the store
  Repetition failures_;

  std::mutex mutex_;  // guards news_
  std::condition_variable_any woken_;
  bool news_ = true;
};

}  // namespace m2b
