#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace m2b {

/// Moments at which the fault laboratory (tests/laboratory) ends the process as a crash would.
/// Read by the laboratory as well, which has a case for each: one name a line.
inline constexpr std::array kFailPoints = std::to_array<std::string_view>({
    "mqtt.arrived",  // in Paho's callback; from the second passage on also: after the PUBACK before
    "mqtt.before_ack",  // on disk, PUBACK not sent
    "mqtt.before_connect",    "mqtt.before_subscribe",
    "append.before_commit",
    "append.after_commit",  // before anybody is told
    "append.before_part",
    "append.after_part",  // of a large record, which is not there yet
    "removal.before_commit",  "removal.after_commit",
    "letter.before_commit",
    "letter.after_commit",  // the record is still in the spool as well
    "letter.before_part",
    "letter.after_part",  // of a large one; with the last part it is there
    "letters.before_note",
    "letters.noted",  // their accounts have changed, they are still there
    "pipeline.read",          "pipeline.decoded",
    "upload.before_put",
    "upload.after_put",  // stored, its removal not queued yet
    "start.locked",
    "start.before_made",  // the environment is there, its mark is not
    "start.records_opened",   "start.dead_letters_opened",
    "start.before_client_id",
    "start.after_client_id",  // its note is on disk
    "mending.before_fill",    "mending.filled",
    "mending.marked",
    "mending.set_aside",  // no environment at its place
    "mending.renamed",        "stop.receiver",
    "stop.pipeline",          "stop.spool",
});

/// Ways to weaken LMDB, with which the laboratory proves that it would notice.
enum class Sabotage : std::uint8_t { no_sync, no_meta_sync };

/// A name from the table; another one does not compile.
class FailPoint {
 public:
  consteval FailPoint(const char* name) {  // NOLINT(google-explicit-constructor): reads as the name
    while (kFailPoints.at(index_) != name) {
      ++index_;
    }
  }
  [[nodiscard]] constexpr std::size_t index() const noexcept { return index_; }

 private:
  std::size_t index_ = 0;
};

#ifdef M2B_FAIL_POINTS

/// Ends the process by SIGKILL at the N-th passage of the point, all threads together, that
/// M2B_FAIL_POINT=name:N names in the environment.
void fail_point(FailPoint point) noexcept;

/// Whether M2B_SABOTAGE names it.
[[nodiscard]] bool is_sabotaged(Sabotage way) noexcept;

#else

inline void fail_point(FailPoint /*point*/) noexcept {}
[[nodiscard]] constexpr bool is_sabotaged(Sabotage /*way*/) noexcept { return false; }

#endif

}  // namespace m2b
