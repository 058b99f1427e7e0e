#include "m2b/upload/batch_support.hpp"

#include "m2b/util/log.hpp"

namespace m2b {
namespace {

constexpr std::string_view kLog = "upload";
constexpr int kMaxUnconfirmedInARow = 5;

}  // namespace

void BatchSupport::turn_off(std::string_view cause, std::string_view detail) noexcept {
  if (is_off_.exchange(true)) return;
  log::warn(kLog, "no more batches, each object is put alone until the next start",
            {{"cause", cause}, {"detail", detail}});
}

void BatchSupport::unconfirmed(std::string_view cause, std::string_view detail) noexcept {
  if (++unconfirmed_in_a_row_ >= kMaxUnconfirmedInARow) turn_off(cause, detail);
}

}  // namespace m2b
