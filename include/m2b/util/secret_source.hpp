#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "m2b/util/repetition.hpp"
#include "m2b/util/secret.hpp"

namespace m2b {

/// A secret that may come from a file and be replaced there while we run. Thread-safe.
class SecretSource {
 public:
  /// Whether a file's bytes can be such a secret.
  using Check = bool (*)(std::string_view);

  /// `setting` names it in the log and outlives this. An empty `file`: it stays as it was `given`.
  SecretSource(std::string_view setting, Secret given, std::string file, Check is_one)
      : setting_(setting), file_(std::move(file)), is_one_(is_one), last_(std::move(given)) {}

  /// As the file has it by now; the last good one, and a warning, where it cannot be read or holds
  /// no such secret.
  [[nodiscard]] Secret current();

 private:
  void warn(std::string_view cause);

  const std::string_view setting_;
  const std::string file_;
  const Check is_one_;
  Repetition faults_;
  std::mutex mutex_;  // guards last_
  Secret last_;
};

}  // namespace m2b
