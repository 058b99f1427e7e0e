#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>

#include "m2b/decode/decoder.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/pulse.hpp"
#include "m2b/util/repetition.hpp"
#include "pipeline/flow.hpp"

namespace m2b {

/// One decoder thread: record in, object or dead letter out.
class DecodeWorker {
 public:
  /// The references outlive the worker.
  DecodeWorker(const PipelineOptions& options, const Spool& spool, Flow& flow, Pulse& pulse)
      : spool_(spool),
        flow_(flow),
        pulse_(pulse),
        decoder_(options.max_message_bytes),
        max_message_bytes_(options.max_message_bytes) {}

  /// Until the flow is closed.
  void run(const std::stop_token& stop);

 private:
  struct Result {
    std::string topic;
    /// Empty: the record has left the spool.
    std::variant<std::monostate, Object, Rejection> outcome;

    Result() = default;
    Result(std::string of_topic, Rejection rejection)
        : topic(std::move(of_topic)), outcome(std::move(rejection)) {}
    Result(std::string of_topic, std::variant<Object, Rejection> decoded)
        : topic(std::move(of_topic)) {
      std::visit([this](auto&& one) { outcome = std::forward<decltype(one)>(one); },
                 std::move(decoded));
    }
  };

  [[nodiscard]] std::optional<Result> decode(const Delivery& delivery, const std::stop_token& stop);
  void tell_of_missing_key(const Delivery& delivery, KeyId key);
  void hand_on(Delivery delivery, Result result);

  const Spool& spool_;
  Flow& flow_;
  Pulse& pulse_;
  Decoder decoder_;
  std::size_t max_message_bytes_;
  Repetition failures_;
};

}  // namespace m2b
