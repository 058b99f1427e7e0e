#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "m2b/mqtt/receiver.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/status/status_server.hpp"

namespace m2b {

/// A failure in the words of somebody on site.
struct Cause {
  std::string id;        // stable, for programs
  std::string headline;  // to be followed by "for 12 min"
  std::string cause;     // what was seen
  std::string remedy;    // what to do
};

/// Pure.
[[nodiscard]] Cause cause_of(const BrokerTrouble& trouble, const StatusNames& names);
/// Of filters that failed, all in the same `state`; `all`: of how many there are.
[[nodiscard]] Cause cause_of(FilterStatus::State state, std::span<const FilterStatus> filters,
                             std::size_t all, const StatusNames& names);
/// Of filters that were granted with QoS 0 although more was asked for.
[[nodiscard]] Cause cause_of_qos_0(std::span<const FilterStatus> filters, std::size_t all,
                                   const StatusNames& names);
/// Of a broker that is connected, and silent beyond its keep-alive.
[[nodiscard]] Cause cause_of_silence(const StatusNames& names);
/// Of a broker that is connected, and has not answered SUBSCRIBE.
[[nodiscard]] Cause cause_of_no_suback(const StatusNames& names);
/// `waits`: whether anything is in the queue.
[[nodiscard]] Cause cause_of(Intake intake, const StatusNames& names, bool waits);

}  // namespace m2b
