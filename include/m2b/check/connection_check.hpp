#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "m2b/check/check_step.hpp"
#include "m2b/mqtt/options.hpp"
#include "m2b/spool/options.hpp"
#include "m2b/status/status_server.hpp"
#include "m2b/upload/options.hpp"

namespace m2b {

/// What the connection check is about.
struct ConnectionCheckOptions {
  MqttOptions mqtt;
  StoreOptions store;
  SpoolOptions spool;
  StatusNames names;    // for messages
  bool writes = false;  // a probe object is put, read back and removed
};

/// Calls broker and store as the bridge does, step by step, and says of each step what was seen and
/// what to do (docs/operations.md, "Check the connections"). A running bridge is not disturbed: the
/// client identifier and a shared subscription's group are the check's own, the session ends with
/// the connection, and the spool is not opened.
///
/// Each step has a limit of some seconds, all together 30 s.
class ConnectionCheck {
 public:
  /// Called for each step, in order, in the thread of run().
  using Report = std::function<void(const CheckStep& step)>;

  explicit ConnectionCheck(ConnectionCheckOptions options);
  /// Waits for calls that do not return in time, such as a name look-up: see Result.
  ~ConnectionCheck();
  ConnectionCheck(const ConnectionCheck&) = delete;
  ConnectionCheck& operator=(const ConnectionCheck&) = delete;

  struct Result {
    std::vector<CheckStep> steps;
    bool was_interrupted = false;
    bool has_ended = true;  // false: a call still hangs; end the process by _exit()
  };
  /// Once. Ends early when `interrupt_fd` becomes readable (-1: never); a probe object is removed
  /// even then.
  [[nodiscard]] Result run(const Report& report, int interrupt_fd);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
