#include "status/diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <span>
#include <utility>

#include "m2b/util/visible.hpp"
#include "status/causes.hpp"
#include "status/sentence.hpp"
#include "status/store_failure_messages.hpp"
#include "status/words.hpp"

namespace m2b {
namespace {

using std::chrono::seconds;

/// A machine that starts connects in this time, or says why not.
constexpr seconds kStarting{10};
/// How long something that is over is still told.
constexpr std::chrono::hours kTold{24};
constexpr seconds kClockIsWrong{60};
constexpr std::chrono::days kCertificateEndsSoon{14};
/// A line is slow when its backlog has grown for that long.
constexpr double kTrendSeconds = 10;
/// What waits and is not refused must be stored, or something else, within this time.
constexpr std::chrono::minutes kStandsStill{3};
/// Of those of most messages; the others are summed up.
constexpr std::size_t kRefusalsTold = 5;
/// Others are stored meanwhile. A large one on a slow line takes this long as well.
constexpr std::chrono::minutes kOldestWaits{10};
constexpr double kNearlyFull = 0.9;
constexpr std::uint64_t kManyConnectionsLost = 5;
constexpr std::uint64_t kManyStoreOutages = 5;
constexpr std::string_view kSpoolWriter = "spool-writer";  // in StatusSources::pulses
constexpr std::chrono::hours kFarAhead{24 * 365};

class Diagnostician {
 public:
  Diagnostician(const StatusSnapshot& snapshot, const Trends& trends)
      : now_(snapshot), trends_(trends) {}

  Diagnosis diagnose() && {
    foretell();
    look_at_broker();
    look_at_store();
    look_at_refusals();
    look_at_queue();
    look_at_threads();
    look_at_keys();
    look_at_flow();
    look_at_clock();
    look_at_certificates();
    look_at_letters();
    look_at_disk();
    std::ranges::stable_sort(result_.warnings, std::greater<>(), &Warning::severity);
    for (const Warning& warning : result_.warnings) {
      result_.state = std::max(result_.state, warning.severity);
    }
    result_.sentence = sentence_of(now_, trends_, result_,
                                   {.broker = broker_clause_,
                                    .store = store_clause_,
                                    .queue = queue_clause_,
                                    .threads = threads_clause_,
                                    .key = key_clause_,
                                    .flow = flow_clause_});
    return std::move(result_);
  }

 private:
  [[nodiscard]] seconds ago(StatusSnapshot::Time since) const {
    return std::chrono::floor<seconds>(now_.at - since);
  }
  [[nodiscard]] std::string for_long(StatusSnapshot::Time since) const {
    return " for " + words::duration(std::max(ago(since), seconds(1)));
  }
  [[nodiscard]] std::uint64_t waiting() const { return now_.queue.totals.waiting(); }
  /// Those that wait and are not refused.
  [[nodiscard]] std::uint64_t others() const { return waiting() - now_.refused_messages(); }

  void warn(Health severity, Health& stage, Cause cause) {
    stage = std::max(stage, severity);
    result_.warnings.push_back({std::move(cause.id), severity, std::move(cause.headline),
                                std::move(cause.cause), std::move(cause.remedy)});
  }

  void foretell() {
    const Rates& rates = trends_.longer;
    if (rates.over.count() < kTrendSeconds) {
      return;
    }
    const auto in = [](double amount, double rate) -> std::optional<seconds> {
      const std::chrono::duration<double> span(rate > 0 ? amount / rate : -1);
      return span.count() >= 0 && span < kFarAhead
                 ? std::optional(std::chrono::floor<seconds>(span))
                 : std::nullopt;
    };
    if (now_.queue.room && now_.queue.intake == Intake::open) {
      result_.full_in = in(static_cast<double>(now_.queue.room->left), rates.used_bytes);
    }
    if (others() > 0) {
      result_.empty_in = in(static_cast<double>(others()), -rates.backlog);
    }
  }

  [[nodiscard]] bool is_starting() const { return !now_.broker.trouble && now_.up_for < kStarting; }

  template <class Predicate>
  [[nodiscard]] std::vector<FilterStatus> filters_that(Predicate predicate) const {
    std::vector<FilterStatus> filters;
    std::ranges::copy_if(now_.broker.filters, std::back_inserter(filters), predicate);
    return filters;
  }

  /// Whether filters are why there is no subscription: the broker is there, or has just ended the
  /// connection because of them.
  bool warn_of_filters() {
    using State = FilterStatus::State;
    const StatusSnapshot::Broker& broker = now_.broker;
    const bool is_their_fault =
        broker.connected ||
        (broker.trouble && broker.trouble->kind == BrokerTrouble::Kind::not_subscribed);
    bool warned = false;
    for (const State state : {State::refused, State::disconnected, State::no_answer}) {
      const std::vector<FilterStatus> failed = filters_that([state](const FilterStatus& filter) {
        return filter.has_failed() && filter.state == state;
      });
      if (failed.empty() || !is_their_fault) {
        continue;
      }
      Cause cause = cause_of(state, failed, broker.filters.size(), now_.names);
      cause.headline += for_long(std::ranges::min(failed, {}, &FilterStatus::since).since);
      if (!warned) {
        broker_clause_ = cause.headline;
      }
      warned = true;
      warn(Health::trouble, result_.broker, std::move(cause));
    }
    return warned;
  }

  /// Connected, and the broker has not answered SUBSCRIBE.
  [[nodiscard]] bool is_subscribing() const {
    const auto& trouble = now_.broker.trouble;
    return now_.broker.connected &&
           !(trouble && trouble->kind == BrokerTrouble::Kind::not_subscribed);
  }

  [[nodiscard]] bool is_stuck(std::string_view thread) const {
    using StuckThread = StatusSnapshot::StuckThread;
    return std::ranges::find(now_.stuck_threads, thread, &StuckThread::name) !=
           now_.stuck_threads.end();
  }

  /// Otherwise a message waits for the disk, nothing behind it is read from the socket, and the
  /// silence tells nothing about the broker.
  [[nodiscard]] bool reads_from_broker() const {
    return now_.queue.intake == Intake::open && !is_stuck(kSpoolWriter);
  }

  void look_at_broker() {
    const StatusSnapshot::Broker& broker = now_.broker;
    if (!broker.connected || !broker.subscribed) {
      if (is_starting()) {
        broker_clause_ = "Starting: connecting to the broker";
        result_.starting = true;
        result_.broker = Health::attention;
        result_.state = Health::attention;
      } else if (warn_of_filters()) {
        // It was told.
      } else {
        const BrokerTrouble trouble = broker.trouble.value_or(
            BrokerTrouble{.meaning = "no answer yet", .since = now_.at - now_.up_for});
        Cause cause =
            is_subscribing() ? cause_of_no_suback(now_.names) : cause_of(trouble, now_.names);
        cause.headline += for_long(trouble.since);
        broker_clause_ = cause.headline;
        warn(Health::trouble, result_.broker, std::move(cause));
      }
    } else if (broker.silent_since && reads_from_broker()) {
      Cause cause = cause_of_silence(now_.names);
      cause.headline += for_long(*broker.silent_since);
      broker_clause_ = cause.headline;
      warn(Health::trouble, result_.broker, std::move(cause));
    } else if (trends_.connections_lost >= kManyConnectionsLost) {
      warn(Health::attention, result_.broker,
           {"broker_unsteady", "The connection to the broker keeps breaking",
            fmt::format("It was lost {} times in the last ten minutes.{}", trends_.connections_lost,
                        broker.trouble ? " (" + broker.trouble->meaning + ")" : ""),
            "See the broker's log. If two bridges use one MQTT_CLIENT_ID, give each its own."});
    }
    const std::vector<FilterStatus> unguaranteed = filters_that(&FilterStatus::is_unguaranteed);
    if (broker.connected && !unguaranteed.empty()) {
      warn(Health::attention, result_.broker,
           cause_of_qos_0(unguaranteed, broker.filters.size(), now_.names));
    }
    if (broker.session_lost_at && ago(*broker.session_lost_at) < kTold) {
      warn(Health::attention, result_.broker,
           {"session_lost",
            fmt::format("The broker forgot our session {} ago",
                        words::duration(ago(*broker.session_lost_at))),
            "What the broker had kept for us while we were away may be lost there.",
            "Let the broker keep its sessions on disk (mosquitto: persistence true), and long "
            "enough for the longest outage."});
    }
  }

  void look_at_store() {
    if (!now_.store.trouble) {
      warn_of_outages();
      return;
    }
    Cause cause = cause_of(*now_.store.trouble, now_.names);
    cause.headline += for_long(now_.store.trouble->since);
    store_clause_ = cause.headline;
    result_.upload = Health::trouble;
    warn(Health::trouble, result_.store, std::move(cause));
  }

  void warn_of_outages() {
    if (trends_.store_outages < kManyStoreOutages) {
      return;
    }
    warn(Health::attention, result_.store,
         {"store_unsteady", "Uploads keep failing and starting again",
          fmt::format("{} times in the last ten minutes {} took nothing for a moment.",
                      trends_.store_outages, now_.names.store),
          "See the log here for the answers, the log of the store, and the network to it."});
  }

  void look_at_refusals() {
    const std::vector<Refusal>& refusals = now_.store.refusals;
    const std::size_t told = std::min(refusals.size(), kRefusalsTold);
    for (const Refusal& refusal : std::span(refusals).first(told)) {
      Cause cause = cause_of(refusal, now_.names);
      cause.headline += for_long(refusal.since) + ": " + answer_of(refusal.cause);
      if (!now_.store.trouble) {
        cause.cause = "Others flow. " + cause.cause;
      }
      warn(Health::attention, result_.store, std::move(cause));
    }
    if (refusals.size() == told) {
      return;
    }
    std::uint64_t messages = 0;
    for (const Refusal& refusal : std::span(refusals).subspan(told)) {
      messages += refusal.messages;
    }
    warn(Health::attention, result_.store,
         {"objects_refused",
          words::count(messages, "more picture is refused", "more pictures are refused"),
          fmt::format("They are in {}, with answers of their own.",
                      words::count(refusals.size() - told, "further group", "further groups")),
          "See store.refusals in /status, and the log."});
  }

  void look_at_queue() {
    const StatusSnapshot::Queue& queue = now_.queue;
    if (queue.intake != Intake::open) {
      Cause cause = cause_of(queue.intake, now_.names, waiting() > 0);
      if (now_.store.trouble && waiting() > 0 && queue.intake != Intake::disk_error &&
          queue.intake != Intake::no_memory) {
        cause.remedy =
            "First let the store take pictures again: the queue empties by itself then. " +
            cause.remedy;
      }
      if (queue.closed_since) {
        cause.headline += for_long(*queue.closed_since);
      }
      queue_clause_ = cause.headline;
      warn(Health::trouble, result_.queue, std::move(cause));
      return;
    }
    if (!queue.room) {
      warn(
          Health::trouble, result_.queue,
          {"disk_error", "The queue cannot be read", "Reading from " + now_.names.spool + " fails.",
           "See the log here and of the system (dmesg), and replace the disk if it is broken."});
      return;
    }
    const double used = static_cast<double>(queue.room->used);
    const double all = used + static_cast<double>(queue.room->left);
    if (used > kNearlyFull * all && waiting() >= kLateMessages) {
      warn(Health::attention, result_.queue,
           {"queue_fills", "Queue nearly full",
            fmt::format("{} of {} are taken.", words::bytes(used), words::bytes(all)),
            queue.room->bound == Intake::at_cap
                ? "Let pictures leave, or raise SPOOL_MAX_BYTES if the disk has room."
                : "Let pictures leave, or make room on the disk of " + now_.names.spool + "."});
    }
  }

  void look_at_threads() {
    if (now_.stuck_threads.empty()) {
      return;
    }
    std::vector<std::string_view> names;
    seconds longest{0};
    for (const StatusSnapshot::StuckThread& thread : now_.stuck_threads) {
      names.emplace_back(thread.name);
      longest = std::max(longest, thread.silent_for);
    }
    threads_clause_ = fmt::format("Thread {} {} not answered for {}", fmt::join(names, ", "),
                                  names.size() == 1 ? "has" : "have", words::duration(longest));
    warn(Health::trouble, is_stuck(kSpoolWriter) ? result_.queue : result_.decode,
         {"thread_stuck", threads_clause_,
          is_stuck(kSpoolWriter)
              ? fmt::format("A write to {} does not end. No message is acknowledged until it does.",
                            now_.names.spool)
              : "It should answer within seconds.",
          is_stuck(kSpoolWriter)
              ? "See the log of the system (dmesg) for the disk, and replace it if it is broken."
              : "Restart the bridge: what waits is on disk. Please report this, with the log."});
  }

  void look_at_keys() {
    if (!now_.queue.missing_key) {
      return;
    }
    const std::string key = to_string(*now_.queue.missing_key);
    key_clause_ = "A key of the queue is missing";
    warn(Health::trouble, result_.decode,
         {"key_missing", key_clause_,
          fmt::format("The oldest pictures are encrypted with key {}, which is not among those of "
                      "SPOOL_KEY. They wait, and all that came after them.",
                      key),
          "Add that key to SPOOL_KEY or SPOOL_KEY_FILE, behind the first one, and start again. If "
          "it is lost for good, add the line “lost " +
              key + "” instead: they become dead letters."});
  }

  /// Nothing else tells why.
  [[nodiscard]] bool stands_still() const {
    return trends_.stands_still_for >= kStandsStill && others() > 0 && !now_.store.trouble &&
           !now_.queue.missing_key;
  }

  [[nodiscard]] bool is_slow() const {
    // Refused ones that join the backlog, or leave it, tell nothing about the line.
    const Rates& rates = trends_.longer;
    return now_.store.state == StoreState::reachable && others() >= kLateMessages &&
           now_.queue.oldest_age >= kLateAge && rates.over.count() >= kTrendSeconds &&
           rates.backlog > 0 && rates.backlog > rates.refused;
  }

  /// One that is refused is named as such.
  [[nodiscard]] bool oldest_waits() const {
    return trends_.oldest_unchanged_for >= kOldestWaits && others() > 0 &&
           now_.store.refusals.empty() && !now_.store.trouble && !now_.queue.missing_key;
  }

  void warn_of_oldest() {
    const std::string waited = words::duration(trends_.oldest_unchanged_for);
    warn(Health::attention, result_.upload,
         {"oldest_waits",
          fmt::format("The oldest picture has waited for {} while others are stored", waited),
          "No answer of the store tells why. Its upload, or the one before it with the same key, "
          "has not ended.",
          fmt::format("See the log here, and whether the line to {} takes large pictures. "
                      "`mqtt-to-blob spool ls` shows the oldest first.",
                      now_.names.store)});
  }

  void look_at_flow() {
    if (stands_still()) {
      flow_clause_ = "Nothing was stored for " + words::duration(trends_.stands_still_for);
      warn(Health::trouble, result_.upload,
           {"nothing_stored", flow_clause_,
            fmt::format("{} for longer than that, and no answer of the store tells why.{}",
                        words::count(others(), "picture has waited", "pictures have waited"),
                        now_.store.refusals.empty()
                            ? ""
                            : " Some may wait behind refused ones with the same key."),
            fmt::format("See the log here, and whether the line to {} passes anything at all. "
                        "Where that does not help, restart the bridge: what waits is on disk.",
                        now_.names.store)});
      return;
    }
    if (oldest_waits()) {
      warn_of_oldest();
    }
    if (!is_slow()) {
      return;
    }
    const Rates& rates = trends_.longer;
    const std::string seen = fmt::format(
        "{} pictures a second come, {} leave ({} a second); the oldest has waited for {}.",
        words::per_second(rates.in), words::per_second(rates.out), words::bytes(rates.out_bytes),
        words::duration(now_.queue.oldest_age));
    const std::uint64_t limit = now_.names.bandwidth_limit;
    flow_clause_ = "Pictures come faster than they leave";
    warn(Health::attention, result_.upload,
         {"slow_line",
          limit != 0 ? "The limit of bandwidth is too low for what comes"
                     : "The line to the store is too slow for what comes",
          seen,
          limit != 0
              ? fmt::format("Raise UPLOAD_BANDWIDTH_LIMIT, which is {} a second, or let cameras "
                            "send less.",
                            words::bytes(static_cast<double>(limit)))
              : "Nothing, if this is a peak that passes. Otherwise a faster line to " +
                    now_.names.store + ", a faster store, or cameras that send less."});
  }

  void look_at_clock() {
    const seconds offset = now_.store.clock_offset.value_or(seconds(0));
    if (std::chrono::abs(offset) < kClockIsWrong || result_.warns_of("store_refuses_time")) {
      return;
    }
    warn(Health::attention, result_.upload,
         {"clock_wrong",
          fmt::format("Our clock is {} {} the store's", words::duration(std::chrono::abs(offset)),
                      offset.count() > 0 ? "behind" : "ahead of"),
          "The store refuses what is signed with a time more than 15 minutes from its own; then "
          "the store's time is used, and uploads go on. The times on this page, in the log and in "
          "the dead letters are ours.",
          "See which of the two clocks is wrong, set it, and let it follow a time server (NTP)."});
  }

  void look_at_certificates() {
    for (const StatusSnapshot::CertificateEnd& end : now_.certificate_ends) {
      const auto left = std::chrono::floor<seconds>(end.at - now_.wall_time);
      if (left >= kCertificateEndsSoon) {
        continue;
      }
      const bool is_of_broker = end.peer == "broker";
      warn(Health::attention, is_of_broker ? result_.broker : result_.store,
           {"certificate_ends",
            left.count() > 0 ? fmt::format("Our certificate for the {} ends in {}", end.peer,
                                           words::duration(left))
                             : fmt::format("Our certificate for the {} has ended", end.peer),
            fmt::format("After that the {} refuses us.", end.peer),
            fmt::format("Renew {}_CERT_FILE and {}_KEY_FILE; they are read again by themselves.",
                        is_of_broker ? "MQTT" : "STORE", is_of_broker ? "MQTT" : "STORE")});
    }
  }

  void look_at_letters() {
    const StatusSnapshot::Letters& letters = now_.letters;
    if (letters.kept > 0) {
      warn(Health::attention, result_.decode,
           {"dead_letters",
            words::count(letters.kept, "message could not become a picture",
                         "messages could not become pictures"),
            reasons_of(letters),
            "Look at them below: mend what sends them, then replay or drop them (mqtt-to-blob "
            "dead-letter replay, drop)."});
    }
    if (letters.dropped.count > 0 && ago(letters.dropped.last) < kTold) {
      warn(Health::attention, result_.decode,
           {"dead_letters_dropped",
            words::count(letters.dropped.count, "dead letter was dropped",
                         "dead letters were dropped"),
            fmt::format("They were over DEAD_LETTER_MAX_BYTES or DEAD_LETTER_MAX_AGE; the last one "
                        "{} ago.",
                        words::duration(ago(letters.dropped.last))),
            "Mend what sends them, or raise the limits if the disk has room."});
    }
  }

  /// The commonest first; those of the latest, as counting all of them takes long.
  [[nodiscard]] static std::string reasons_of(const StatusSnapshot::Letters& letters) {
    std::map<std::string_view, std::uint64_t> counts;
    for (const LetterInfo& letter : letters.latest) {
      ++counts[to_string(letter.rejection.reason)];
    }
    std::vector<std::pair<std::string_view, std::uint64_t>> sorted(counts.begin(), counts.end());
    std::ranges::stable_sort(sorted, std::greater<>(),
                             &std::pair<std::string_view, std::uint64_t>::second);
    std::string text;
    for (const auto& [reason, count] : sorted) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", reason, count);
    }
    if (letters.latest.empty()) {
      return "They are kept in the dead letters.";
    }
    const LetterInfo& latest = letters.latest.front();
    return fmt::format(
        "{}: {}. The latest: {}{}.",
        letters.kept > letters.latest.size()
            ? fmt::format("Of the latest {}", letters.latest.size())
            : "By reason",
        text, latest.rejection.detail.empty() ? "no detail" : latest.rejection.detail,
        // Unknown where the letter is encrypted and its key missing.
        latest.record.topic.empty() ? "" : fmt::format(" (topic {})", latest.record.topic));
  }

  void look_at_disk() {
    if (now_.queue.files_set_aside > 0) {
      warn(Health::attention, result_.queue,
           {"files_set_aside",
            words::count(now_.queue.files_set_aside, "damaged file was set aside",
                         "damaged files were set aside"),
            fmt::format(
                "The disk of {} damages files. {}", now_.names.spool,
                now_.queue.totals.set_aside == 0
                    ? "Nothing is known to be missing."
                    : words::count(now_.queue.totals.set_aside, "message is", "messages are") +
                          " only in there."),
            "Replace the disk. Keep the folder set-aside, and run mqtt-to-blob spool repair with "
            "the bridge stopped."});
    }
  }

  const StatusSnapshot& now_;
  const Trends& trends_;
  Diagnosis result_;
  // What the sentence begins with, where there is such trouble.
  std::string broker_clause_;
  std::string store_clause_;
  std::string queue_clause_;
  std::string threads_clause_;
  std::string key_clause_;
  std::string flow_clause_;
};

}  // namespace

std::string_view to_string(Health health) noexcept {
  switch (health) {
    case Health::well:
      return "well";
    case Health::attention:
      return "attention";
    case Health::trouble:
      return "trouble";
  }
  return "trouble";
}

bool Diagnosis::warns_of(std::string_view id) const noexcept {
  return std::ranges::find(warnings, id, &Warning::id) != warnings.end();
}

std::string plain_text(const Diagnosis& diagnosis) {
  std::string text = visible(diagnosis.sentence) + "\n";
  for (const Warning& warning : diagnosis.warnings) {
    text += fmt::format("{}: {}. {} {}\n", to_string(warning.severity), visible(warning.title),
                        visible(warning.cause), visible(warning.remedy));
  }
  return text;
}

seconds span_of_trend(const StatusSnapshot& snapshot) {
  constexpr seconds kUsual{120};
  constexpr seconds kShortest{20};
  constexpr seconds kLongest{600};
  std::optional<StatusSnapshot::Time> since;
  const auto also = [&since](StatusSnapshot::Time time) {
    since = std::max(time, since.value_or(time));
  };
  if (snapshot.store.trouble) {
    also(snapshot.store.trouble->since);
  }
  if (!snapshot.broker.subscribed && snapshot.broker.trouble) {
    also(snapshot.broker.trouble->since);
  }
  return since ? std::clamp(std::chrono::floor<seconds>(snapshot.at - *since), kShortest, kLongest)
               : kUsual;
}

Diagnosis diagnose(const StatusSnapshot& snapshot, const Trends& trends) {
  return Diagnostician(snapshot, trends).diagnose();
}

}  // namespace m2b
