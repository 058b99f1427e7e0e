#include "m2b/upload/batch_support.hpp"

#include "m2b/util/log.hpp"

namespace m2b {

bool BatchSupport::worth_trying() const noexcept {
  return is_minio_ && !is_off_ && Clock::now().time_since_epoch().count() >= paused_until_;
}

void BatchSupport::turn_off(std::string_view cause, std::string_view detail) noexcept {
  if (is_off_.exchange(true)) return;
  log::warn("upload", "no more batches, each object is put alone until the next start",
            {{"cause", cause}, {"detail", detail}});
}

void BatchSupport::failed(std::string_view cause, std::string_view detail) noexcept {
  // Exactly one of several threads gets there.
  if (++failures_in_a_row_ != kFailuresBeforePause) return;
  paused_until_ = (Clock::now() + pause_).time_since_epoch().count();
  failures_in_a_row_ = 0;
  log::warn("upload", "batches fail one after the other; for a while each object is put alone",
            {{"cause", cause},
             {"detail", detail},
             {"seconds", std::chrono::duration_cast<std::chrono::seconds>(pause_).count()}});
}

}  // namespace m2b
