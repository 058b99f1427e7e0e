#include "bench/stages.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <variant>

#include <benchmark/benchmark.h>

#include "bench/pictures.hpp"
#include "bench/progress.hpp"
#include "bench/stop.hpp"
#include "m2b/decode/decoder.hpp"
#include "m2b/spool/spool.hpp"
#include "spool/record_codec.hpp"
#include "upload/digest.hpp"
#include "upload/sigv4.hpp"

namespace m2b::bench {
namespace {

constexpr SpoolId kId{1};

/// A stage once, of a message.
using Step = std::function<void()>;

void expect(bool as_it_should, std::string_view stage) {
  if (!as_it_should) throw std::logic_error("wrong result of stage: " + std::string(stage));
}

/// Takes Google Benchmark's figures and prints nothing.
class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& /*context*/) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred) throw Interrupted();
      results.push_back({run.benchmark_name(), run.GetAdjustedCPUTime(), 0,
                         static_cast<std::size_t>(run.iterations)});
    }
  }

  std::vector<StageResult> results;
};

/// As it lies in the spool, and as the spool hands it out.
class StoredMessage {
 public:
  explicit StoredMessage(std::string_view payload) {
    message_.topic = "bench/picture";
    message_.payload = payload;
    message_.received_at = wall_now();
    const EncodedRecord record = encode_record(kId, message_, nullptr);
    bytes_.assign(record.header.begin(), record.header.end());
    bytes_.append(record.topic).append(record.payload);
    header_ = decode_header(bytes_).value();
  }

  [[nodiscard]] const MessageView& message() const { return message_; }
  [[nodiscard]] bool is_intact() const { return checksum_matches(kId, header_, bytes_); }
  [[nodiscard]] std::size_t bytes() const { return bytes_.size(); }
  [[nodiscard]] Record record() const {
    auto buffer = std::make_unique<char[]>(bytes_.size() + Record::kPaddingBytes);
    std::ranges::copy(bytes_, buffer.get());
    const OpenedMessage opened = open_record(header_, {buffer.get(), bytes_.size()}, {});
    return {kId, std::move(buffer), std::get<MessageView>(opened)};
  }

 private:
  MessageView message_;
  RecordHeader header_;
  std::string bytes_;
};

std::string encrypted_record(const MessageView& message, const KeyRing& keys) {
  const EncodedRecord record = encode_record(kId, message, keys.encrypting());
  return std::string(record.header.begin(), record.header.end()) + record.encrypted;
}

std::vector<HttpHeader> sign(RequestSigner& signer, std::string_view payload_sha256) {
  SigningRequest request;
  request.method = "PUT";
  request.path = "/bucket/bench-0000000001.jpg";
  request.headers = {{"Host", "127.0.0.1:9000"}, {"Content-Type", "image/jpeg"}};
  request.payload_sha256 = payload_sha256;
  return signer.sign(request, std::chrono::floor<std::chrono::seconds>(wall_now()));
}

}  // namespace

StagesResult run_stages(double seconds, std::size_t picture_bytes, const std::stop_token& stop) {
  Picture picture(picture_bytes);
  const StoredMessage stored(picture.message(1));
  const Record record = stored.record();
  const std::string& decoded = picture.decoded();
  const std::string sha256 = sha256_hex(decoded);
  Decoder decoder(std::size_t{32} << 20);
  RequestSigner signer({"access", "secret", "us-east-1"});
  const KeyRing keys = std::get<KeyRing>(KeyRing::parse(std::string(43, 'A') + "="));
  const std::string encrypted = encrypted_record(stored.message(), keys);
  std::string copy(stored.bytes(), '\0');

  struct Stage {
    std::string_view name;
    std::size_t bytes;
    Step work;
  };
  const std::array<Stage, 8> stages{{
      {"copy", stored.bytes(),
       [&] {
         std::memcpy(copy.data(), stored.message().payload.data(), stored.message().payload.size());
         benchmark::DoNotOptimize(copy.data());
         benchmark::ClobberMemory();
       }},
      {"seal", stored.bytes(),
       [&] { benchmark::DoNotOptimize(encode_record(kId, stored.message(), nullptr)); }},
      {"encrypt", stored.bytes(),
       [&] { benchmark::DoNotOptimize(encode_record(kId, stored.message(), keys.encrypting())); }},
      {"decrypt", encrypted.size(),
       [&] {
         std::string bytes = encrypted;
         const OpenedMessage opened = open_message(bytes, keys);
         expect(std::holds_alternative<MessageView>(opened), "decrypt");
       }},
      {"check", stored.bytes(), [&] { expect(stored.is_intact(), "check"); }},
      {"decode", stored.bytes(),
       [&] {
         const auto result = decoder.decode(record);
         const auto* const object = std::get_if<Object>(&result);
         expect(object != nullptr && object->body.size() == picture_bytes, "decode");
       }},
      {"hash", picture_bytes, [&] { expect(sha256_hex(decoded).size() == 64, "hash"); }},
      {"sign", 0, [&] { expect(sign(signer, sha256).size() == 3, "sign"); }},
  }};

  const Progress progress("stages");
  benchmark::ClearRegisteredBenchmarks();
  for (const Stage& stage : stages) {
    benchmark::RegisterBenchmark(std::string(stage.name).c_str(), [&](benchmark::State& state) {
      for (auto _ : state) {
        if (stop.stop_requested()) {
          state.SkipWithError("interrupted");
          break;
        }
        stage.work();
      }
    })->MinTime(seconds);
  }
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);

  StagesResult result{picture_bytes, picture.message_bytes(), std::move(collector.results)};
  for (std::size_t at = 0; at < stages.size(); ++at) {
    result.stages.at(at).name = stages.at(at).name;  // without what Google Benchmark appends
    result.stages.at(at).bytes = stages.at(at).bytes;
  }
  return result;
}

}  // namespace m2b::bench
