#include "m2b/pipeline/pipeline.hpp"

#include <fmt/format.h>

#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "m2b/util/log.hpp"
#include "m2b/util/thread.hpp"
#include "pipeline/dead_letter_uploader.hpp"
#include "pipeline/decode_worker.hpp"
#include "pipeline/dispatcher.hpp"
#include "pipeline/flow.hpp"
#include "pipeline/uploader_pool.hpp"

namespace m2b {

const char* to_string(StoreState state) noexcept {
  switch (state) {
    case StoreState::unknown:
      return "unknown";
    case StoreState::reachable:
      return "reachable";
    case StoreState::away:
      return "away";
    case StoreState::blocked:
      return "blocked";
  }
  return "unknown";
}

std::string_view to_string(Refusal::Of of) noexcept {
  switch (of) {
    case Refusal::Of::prefix:
      return "prefix";
    case Refusal::Of::size:
      return "size";
    case Refusal::Of::alone:
      return "alone";
  }
  return "alone";
}

void PipelineStats::count_upload(const PutResult& result) {
  switch (result.outcome) {
    case PutOutcome::stored:
      stored_.fetch_add(1, std::memory_order_relaxed);
      break;
    case PutOutcome::refused:
      refused_.at(static_cast<std::size_t>(result.scope)).fetch_add(1, std::memory_order_relaxed);
      count_refusal(result.code);
      break;
    case PutOutcome::stopped:
      break;
  }
}

void PipelineStats::count_refusal(const std::string& code) {
  const std::lock_guard lock(mutex_);
  ++refusals_[code];
}

std::map<std::string, std::uint64_t> PipelineStats::refusals() const {
  const std::lock_guard lock(mutex_);
  return refusals_;
}

class Pipeline::Impl {
 public:
  Impl(const PipelineOptions& options, Spool& spool, StoreFactory make_store)
      : options_(options),
        spool_(spool),
        make_store_(std::move(make_store)),
        flow_(options, spool),
        dispatcher_(options, spool, flow_),
        dead_letter_uploader_(options, spool, flow_),
        uploaders_(options, flow_, make_store_, upload_stop()),
        decoder_pulses_(options.decoders) {}

  ~Impl() { stop(std::chrono::milliseconds(0)); }

  /// From the sink to the source, so that nobody pushes before somebody pops.
  void start() {
    uploaders_.start();
    start_decoders();
    if (!options_.dead_letter_prefix.empty()) {
      threads_.push_back(start_thread("dead-letters", [this](const std::stop_token&) {
        dead_letter_uploader_.run(begin_nothing_.get_token());
      }));
    }
    threads_.push_back(start_thread("dispatcher", [this](const std::stop_token&) {
      dispatcher_.run(begin_nothing_.get_token());
    }));
  }

  void stop(std::chrono::milliseconds finish_within) {
    begin_nothing_.request_stop();
    flow_.close();
    uploaders_.wait_until_idle(finish_within);
    abort_.request_stop();
    uploaders_.join();
    threads_.clear();  // joins
  }

  [[nodiscard]] Flow& flow() noexcept { return flow_; }
  [[nodiscard]] std::size_t upload_slots() const { return uploaders_.slots(); }

  [[nodiscard]] std::vector<NamedPulse> pulses() const {
    std::vector<NamedPulse> all = {{"dispatcher", &dispatcher_.pulse()}};
    for (std::size_t i = 0; i < decoder_pulses_.size(); ++i) {
      all.push_back({decoder_name(i), &decoder_pulses_[i]});
    }
    return all;
  }
  void poke() { dispatcher_.wake(); }

 private:
  void start_decoders() {
    for (std::size_t i = 0; i < options_.decoders; ++i) {
      try {
        threads_.push_back(start_thread(decoder_name(i), [this, i](const std::stop_token&) {
          DecodeWorker(options_, spool_, flow_, decoder_pulses_[i]).run(begin_nothing_.get_token());
        }));
      } catch (const std::system_error& error) {
        if (i == 0) {
          throw;
        }
        log::warn("pipeline", "no more threads can be had; goes on with fewer decoders",
                  {{"cause", error.what()}, {"decoders", i}, {"wanted", options_.decoders}});
        return;
      }
    }
  }

  static std::string decoder_name(std::size_t number) { return fmt::format("decode-{}", number); }

  [[nodiscard]] UploadStop upload_stop() const {
    return {begin_nothing_.get_token(), abort_.get_token()};
  }

  const PipelineOptions& options_;
  Spool& spool_;
  const StoreFactory make_store_;
  std::stop_source begin_nothing_;
  std::stop_source abort_;
  Flow flow_;
  Dispatcher dispatcher_;
  DeadLetterUploader dead_letter_uploader_;
  UploaderPool uploaders_;
  std::vector<Pulse> decoder_pulses_;
  std::vector<std::jthread> threads_;
};

Pipeline::Pipeline(const PipelineOptions& options, Spool& spool, StoreFactory make_store)
    : impl_(std::make_unique<Impl>(options, spool, std::move(make_store))) {}

Pipeline::~Pipeline() = default;

void Pipeline::start() { impl_->start(); }

void Pipeline::stop(std::chrono::milliseconds finish_within) { impl_->stop(finish_within); }

const PipelineStats& Pipeline::stats() const noexcept { return impl_->flow().stats(); }

std::vector<NamedPulse> Pipeline::pulses() const { return impl_->pulses(); }

void Pipeline::poke() { impl_->poke(); }

std::size_t Pipeline::upload_slots() const { return impl_->upload_slots(); }

StoreState Pipeline::store_state() const { return impl_->flow().store_state(); }

std::optional<StoreTrouble> Pipeline::store_trouble() const {
  return impl_->flow().store_trouble();
}

std::vector<Refusal> Pipeline::refusals() const { return impl_->flow().refusals(); }

Overwrites Pipeline::overwrites() const { return impl_->flow().overwrites(); }

void Pipeline::set_stored_listener(std::function<void(const Object&)> listener) {
  impl_->flow().set_stored_listener(std::move(listener));
}

}  // namespace m2b
