#pragma once

#include <stop_token>

#include "m2b/decode/decoder.hpp"
#include "m2b/spool/spool.hpp"
#include "pipeline/flow.hpp"

namespace m2b {

/// One decoder thread: record in, object or dead letter out.
class DecodeWorker {
 public:
  /// The references outlive the worker.
  DecodeWorker(const PipelineOptions& options, const Spool& spool, Flow& flow)
      : spool_(spool), flow_(flow), decoder_(options.max_message_bytes) {}

  /// Until the flow is closed.
  void run(const std::stop_token& stop);

 private:
  /// False when disk or memory did not allow it and it has to be tried again.
  [[nodiscard]] bool try_decode(const DecodeJob& job, bool last_try);
  void decode(const DecodeJob& job, const Record& record);

  const Spool& spool_;
  Flow& flow_;
  Decoder decoder_;
};

}  // namespace m2b
