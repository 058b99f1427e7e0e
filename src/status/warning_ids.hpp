#pragma once

#include <array>
#include <string_view>

namespace m2b {

/// All ids that diagnose() gives to a warning: the labels of the metric `warning`, and the table in
/// docs/status.md.
inline constexpr std::array<std::string_view, 36> kWarningIds = {
    "broker_unreachable",
    "broker_ended",
    "broker_silent",
    "broker_refuses_login",
    "broker_refuses",
    "broker_refuses_subscription",
    "subscribe_ends_connection",
    "subscribe_unanswered",
    "qos_0_granted",
    "broker_unsteady",
    "session_lost",
    "store_unreachable",
    "store_busy",
    "store_full",
    "store_tls",
    "store_refuses_key",
    "store_refuses_time",
    "store_no_bucket",
    "store_refuses",
    "store_unsteady",
    "objects_refused",
    "nothing_stored",
    "oldest_waits",
    "thread_stuck",
    "clock_wrong",
    "certificate_ends",
    "queue_full",
    "disk_full",
    "disk_error",
    "no_memory",
    "key_missing",
    "queue_fills",
    "slow_line",
    "dead_letters",
    "dead_letters_dropped",
    "files_set_aside",
};

}  // namespace m2b
