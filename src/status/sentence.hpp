#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "status/diagnosis.hpp"

namespace m2b {

/// A backlog is late when it is so long and so old.
inline constexpr std::uint64_t kLateMessages = 10;
inline constexpr std::chrono::seconds kLateAge{15};

/// What the sentence begins with, by stage; empty where there is no trouble.
struct SentenceClauses {
  std::string broker;
  std::string store;
  std::string queue;
  std::string threads;
  std::string key;
  std::string flow;
};

/// The sentence of a diagnosis that is complete otherwise. Pure.
[[nodiscard]] std::string sentence_of(const StatusSnapshot& snapshot, const Trends& trends,
                                      const Diagnosis& diagnosis, const SentenceClauses& clauses);

}  // namespace m2b
