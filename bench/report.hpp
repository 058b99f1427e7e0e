#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "bench/drain.hpp"
#include "bench/fifo_bench.hpp"
#include "bench/pipeline.hpp"
#include "bench/receive.hpp"
#include "bench/refused_bench.hpp"
#include "bench/soak.hpp"
#include "bench/spool_bench.hpp"
#include "bench/stages.hpp"
#include "bench/start_bench.hpp"
#include "bench/usage.hpp"

namespace m2b::bench {

struct PutResultRow {
  std::size_t picture_bytes = 0;
  std::size_t messages = 0;
  unsigned threads = 0;
  std::size_t batch = 1;  // objects in one request
  double seconds = 0;
  std::optional<CpuTime> store_cpu;
  CpuTime bench_cpu;  // with --store discard, the store's as well

  [[nodiscard]] double per_second() const { return static_cast<double>(messages) / seconds; }
};

/// One run as machines read it; times in seconds unless the name says otherwise. What was not
/// measured is null.
[[nodiscard]] nlohmann::json to_json(const PipelineResult& result);
[[nodiscard]] nlohmann::json to_json(const SoakResult& result);
[[nodiscard]] nlohmann::json to_json(const ReceiveResult& result);
[[nodiscard]] nlohmann::json to_json(const DrainResult& result);
[[nodiscard]] nlohmann::json to_json(const StartResult& result);
[[nodiscard]] nlohmann::json to_json(const RefusedResult& result);
[[nodiscard]] nlohmann::json to_json(const SpoolResult& result);
[[nodiscard]] nlohmann::json to_json(const FifoResult& result);
[[nodiscard]] nlohmann::json to_json(const StagesResult& result);
[[nodiscard]] nlohmann::json to_json(const PutResultRow& result);

/// All runs of one command as people read them.
[[nodiscard]] std::string table(const std::vector<PipelineResult>& results);
[[nodiscard]] std::string table(const std::vector<SoakResult>& results);
[[nodiscard]] std::string table(const std::vector<ReceiveResult>& results);
[[nodiscard]] std::string table(const std::vector<DrainResult>& results);
[[nodiscard]] std::string table(const std::vector<StartResult>& results);
[[nodiscard]] std::string table(const std::vector<RefusedResult>& results);
[[nodiscard]] std::string table(const std::vector<SpoolResult>& results);
[[nodiscard]] std::string table(const std::vector<FifoResult>& results);
[[nodiscard]] std::string table(const std::vector<StagesResult>& results);
[[nodiscard]] std::string table(const std::vector<PutResultRow>& results);

}  // namespace m2b::bench
