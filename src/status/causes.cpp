#include "status/causes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace m2b {
namespace {

/// `“a/#” (not authorised), “b/#” (no SUBACK)`; the first few.
std::string list_of(std::span<const FilterStatus> filters, bool with_meanings) {
  constexpr std::size_t kTold = 5;
  std::string text;
  for (const FilterStatus& filter : filters.first(std::min(filters.size(), kTold))) {
    text += fmt::format("{}“{}”", text.empty() ? "" : ", ", filter.filter);
    if (with_meanings) {
      text += fmt::format(" ({})", filter.meaning());
    }
  }
  if (filters.size() > kTold) {
    text += fmt::format(" and {} more", filters.size() - kTold);
  }
  return text;
}

/// `the topic filter “a/#”`, `2 of 9 topic filters`
std::string number_of(std::span<const FilterStatus> filters, std::size_t all) {
  return filters.size() == 1 && all == 1
             ? "the topic filter"
             : fmt::format("{} of {} topic filters", filters.size(), all);
}

}  // namespace

Cause cause_of(const BrokerTrouble& trouble, const StatusNames& names) {
  using Kind = BrokerTrouble::Kind;
  const std::string said = fmt::format(" ({})", trouble.meaning);
  const bool is_login = trouble.meaning.find("password") != std::string::npos ||
                        trouble.meaning.find("not authorised") != std::string::npos;
  switch (trouble.kind) {
    case Kind::no_answer:
      if (trouble.needs_a_person) {
        return {"broker_unreachable", "No connection to the broker",
                names.broker + " cannot be reached as it is set up." + said,
                "This will not pass by itself: what mends it stands in the brackets. The settings "
                "are BROKER_URL, BROKER_PORT and those that begin with MQTT_."};
      }
      break;
    case Kind::refused:
      if (is_login) {
        return {"broker_refuses_login", "Broker refuses our login",
                names.broker + " does not accept our user name and password." + said,
                "Set MQTT_USERNAME and MQTT_PASSWORD to what the broker expects."};
      }
      return {"broker_refuses", "Broker refuses us",
              names.broker + " refuses our connection." + said,
              trouble.needs_a_person ? "See what the broker says, and its log; then correct the "
                                       "MQTT settings here or there."
                                     : "Nothing, if this passes; otherwise see the broker's log."};
    case Kind::lost:
      if (trouble.needs_a_person) {
        return {"broker_ended", "Broker ended our session", names.broker + " ended it." + said,
                "If two bridges use one MQTT_CLIENT_ID, give each its own. Otherwise see the "
                "broker's log."};
      }
      break;
    case Kind::not_subscribed:
      return {"broker_refuses_subscription", "Broker does not give us the topics",
              names.broker + " has not granted our subscription." + said,
              "Let our user read the topics (the broker's access rules), or correct TOPIC."};
  }
  return {"broker_unreachable", "Broker unreachable",
          "There is no connection to " + names.broker + "." + said,
          "See whether the broker runs, and whether this machine reaches it (network, firewall, "
          "BROKER_URL, BROKER_PORT). Cameras that publish at QoS 1 keep trying; what the broker "
          "holds for us comes once it is back."};
}

Cause cause_of(FilterStatus::State state, std::span<const FilterStatus> filters, std::size_t all,
               const StatusNames& names) {
  using State = FilterStatus::State;
  const std::string which = number_of(filters, all);
  const std::string others =
      filters.size() < all ? " The other topic filters are asked for first." : "";
  if (state == State::disconnected) {
    return {"subscribe_ends_connection", "Broker ends the connection when we subscribe to " + which,
            fmt::format("{} ended the connection right after SUBSCRIBE for {}.{}", names.broker,
                        list_of(filters, true), others),
            "Let our user read these topics (the broker's access rules), correct TOPIC, or raise "
            "the broker's limit of subscriptions. The broker's log may tell which. The network is "
            "not the cause."};
  }
  if (state == State::no_answer) {
    return {"subscribe_unanswered", "Broker does not answer our SUBSCRIBE for " + which,
            fmt::format("{} has sent no SUBACK for {}.{}", names.broker, list_of(filters, false),
                        others),
            "See the broker's log, and whether it hangs."};
  }
  return {"broker_refuses_subscription", "Broker refuses " + which,
          fmt::format("{} refuses {}.{}", names.broker, list_of(filters, true),
                      filters.size() < all ? " The other topic filters are served." : ""),
          "Let our user read these topics (the broker's access rules), or correct TOPIC. We ask "
          "again by ourselves."};
}

Cause cause_of_qos_0(std::span<const FilterStatus> filters, std::size_t all,
                     const StatusNames& names) {
  return {"qos_0_granted", "Broker guarantees nothing for " + number_of(filters, all),
          fmt::format("{} grants QoS 0 alone for {}, where MQTT_QOS asks for {}: what is lost on "
                      "the way is not sent again, and what comes while we are away is gone.",
                      names.broker, list_of(filters, false), filters.front().wanted_qos),
          "Let the broker grant QoS 1 (its maximum QoS, or our user's). With MQTT_QOS=0 this "
          "warning ends, and nothing is guaranteed all the same."};
}

Cause cause_of_silence(const StatusNames& names) {
  return {"broker_silent", "Nothing heard from the broker",
          "The connection to " + names.broker +
              " is open, but for one and a half intervals of MQTT_KEEPALIVE nothing has come over "
              "it, nor an answer to our ping.",
          "See whether the broker hangs, and whether the network to it passes anything. The "
          "connection is made anew by itself; what the broker holds for us comes then."};
}

Cause cause_of_no_suback(const StatusNames& names) {
  return {"subscribe_unanswered", "Broker has not answered our SUBSCRIBE",
          names.broker + " has accepted the connection, and has sent no SUBACK.",
          "Nothing, if this passes; otherwise see the broker's log, and whether it hangs."};
}

Cause cause_of(Intake intake, const StatusNames& names, bool waits) {
  const std::string later =
      " Until then the broker keeps new pictures, as long as its own queue and disk allow.";
  const std::string make_room =
      (waits ? "Make room on that disk." : "Make room on that disk: no pictures fill it.") + later;
  switch (intake) {
    case Intake::open:
      break;
    case Intake::at_cap:
      return {"queue_full", "Queue full", "The queue has reached SPOOL_MAX_BYTES.",
              "If pictures should wait longer than that, raise SPOOL_MAX_BYTES, as far as the disk "
              "has room." +
                  later};
    case Intake::at_floor:
      return {"disk_full", "Disk full",
              "The disk of " + names.spool + " has no more than SPOOL_MIN_FREE_BYTES left.",
              make_room};
    case Intake::disk_full:
      return {"disk_full", "Disk full", "The disk of " + names.spool + " has no room at all.",
              make_room};
    case Intake::disk_error:
      return {"disk_error", "Disk out of order", "Writing to " + names.spool + " fails.",
              "See the log here and of the system (dmesg), and replace the disk if it is broken. "
              "Keep the folder: what is in it is not lost." +
                  later};
    case Intake::no_memory:
      return {
          "no_memory", "Memory limit",
          "The process gets no memory or address space for the queue in " + names.spool +
              "; the disk is not the cause.",
          "Raise the limit of memory or address space (ulimit -v, LimitAS of systemd, memory of "
          "the container), or set a lower SPOOL_MAX_BYTES." +
              later};
  }
  return {};
}

}  // namespace m2b
