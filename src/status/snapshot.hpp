#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "m2b/mqtt/receiver.hpp"
#include "m2b/pipeline/pipeline.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/status/last_pictures.hpp"
#include "m2b/status/status_server.hpp"
#include "status/history.hpp"

namespace m2b {

/// Everything the status page shows, as it was at one moment; plain data.
struct StatusSnapshot {
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t kMaxLetters = 20;

  Time at = {};
  WallTime wall_time = {};
  std::chrono::seconds up_for{0};
  StatusNames names;

  struct Broker {
    bool connected = false;
    bool subscribed = false;
    std::vector<FilterStatus> filters = {};  // in the order of TOPIC
    std::optional<BrokerTrouble> trouble = {};
    std::optional<Time> silent_since = {};  // connected, and for too long nothing has come from it
    std::optional<Time> session_lost_at = {};
    std::optional<Time> last_message_at = {};  // nothing: none has come since the start
    std::uint64_t received = 0;                // redeliveries included
    std::uint64_t empty = 0;                   // of these, without payload: ignored
    std::uint64_t acknowledged = 0;
    std::uint64_t connects = 0;
    std::uint64_t connect_failures = 0;
    std::uint64_t connections_lost = 0;
    std::uint64_t sessions_lost = 0;
  };
  Broker broker;

  struct Queue {
    SpoolTotals totals = {};
    Intake intake = Intake::open;
    std::optional<Time> closed_since = {};
    std::optional<SpoolRoom> room = {};  // nothing when the disk did not answer
    WallTime oldest = {};                // when the oldest was received; 1970: nothing waits
    std::chrono::seconds oldest_age{0};  // by the wall clock; 0 when nothing waits
    std::uint64_t files_set_aside = 0;
    std::optional<KeyId> missing_key = {};  // of a message that waits for it
  };
  Queue queue;

  struct Letters {
    std::uint64_t kept = 0;
    LettersDropped dropped = {};
    std::vector<std::pair<DeadLetterReason, std::uint64_t>> buried = {};  // since the start
    std::vector<LetterInfo> latest = {};  // at most kMaxLetters, the newest first
  };
  Letters letters;

  struct Store {
    StoreState state = StoreState::unknown;
    std::optional<StoreTrouble> trouble = {};
    std::vector<Refusal> refusals = {};                     // those of most messages first
    std::optional<std::chrono::seconds> clock_offset = {};  // ahead of ours; of the last answer
    std::uint64_t uploads_stored = 0;
    std::map<Scope, std::uint64_t> uploads_refused = {};         // where there are any
    std::map<std::string, std::uint64_t> refusals_by_code = {};  // likewise
    std::uint64_t uploaded_bytes = 0;
    Overwrites overwrites = {};
    std::size_t slots = 0;
    std::uint64_t outages = 0;  // times that `trouble` began
  };
  Store store;

  std::vector<PictureInfo> pictures = {};

  /// Threads of ours that were asked for a sign of life and have given none.
  struct StuckThread {
    std::string name;
    std::chrono::seconds silent_for;
  };
  std::vector<StuckThread> stuck_threads = {};

  /// Of our own certificates.
  struct CertificateEnd {
    std::string peer;  // that it is shown to: `broker` or `store`
    std::chrono::sys_seconds at;
  };
  std::vector<CertificateEnd> certificate_ends = {};

  /// Of those that wait: refused while others are stored.
  [[nodiscard]] std::uint64_t refused_messages() const noexcept;

  [[nodiscard]] Sample sample() const noexcept;
};

/// Reads the disk for what it shows of it, and waits for nothing else.
[[nodiscard]] StatusSnapshot take_snapshot(const StatusSources& sources,
                                           std::chrono::steady_clock::time_point started_at);

/// Of those connections for which we have a certificate.
[[nodiscard]] std::vector<StatusSnapshot::CertificateEnd> certificate_ends_of(
    const StatusSources& sources);

}  // namespace m2b
