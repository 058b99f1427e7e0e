#include "status/sentence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "status/words.hpp"

namespace m2b {
namespace {

/// Without a message for so long, that is told. It is no warning: cameras may rest.
constexpr std::chrono::minutes kQuiet{10};

class Sentence {
 public:
  Sentence(const StatusSnapshot& snapshot, const Trends& trends, const Diagnosis& diagnosis,
           const SentenceClauses& clauses)
      : now_(snapshot), trends_(trends), diagnosis_(diagnosis), clauses_(clauses) {}

  [[nodiscard]] std::string compose() const {
    std::vector<std::string> clauses;
    if (!clauses_.broker.empty() && !clauses_.store.empty()) {
      clauses.push_back(clauses_.broker + " and " + with_small_letter(clauses_.store));
    } else if (!clauses_.broker.empty() || !clauses_.store.empty()) {
      clauses.push_back(clauses_.broker.empty() ? clauses_.store : clauses_.broker);
    }
    if (!clauses_.queue.empty()) {
      clauses.push_back((clauses.empty() ? clauses_.queue : with_small_letter(clauses_.queue)) +
                        ": no new pictures are taken");
    }
    if (!clauses_.threads.empty()) {
      clauses.push_back(clauses.empty() ? clauses_.threads : with_small_letter(clauses_.threads));
    }
    if (!clauses_.key.empty()) {
      clauses.push_back(clauses.empty() ? clauses_.key : with_small_letter(clauses_.key));
    }
    if (clauses.empty() && !clauses_.flow.empty()) {
      clauses.push_back(clauses_.flow);
    }
    const bool is_disturbed = !clauses.empty();
    if (is_disturbed) {
      clauses.push_back(waiting() == 0 ? "nothing waits in the queue"
                                       : fmt::format("{} {} {}in the queue", backlog(),
                                                     waiting() == 1 ? "is" : "are",
                                                     is_disk_trusted() ? "safe " : ""));
    } else {
      clauses.push_back(undisturbed());
      if (std::string quiet = quiet_clause(); !quiet.empty()) {
        clauses.push_back(std::move(quiet));
      }
    }
    if (diagnosis_.full_in && clauses_.queue.empty() && is_disturbed) {
      clauses.push_back("at the present rate the queue is full in " +
                        words::duration(*diagnosis_.full_in));
    }
    if (!is_disturbed && !diagnosis_.warnings.empty()) {
      clauses.push_back("but " + with_small_letter(diagnosis_.warnings.front().title));
    }
    return fmt::format("{}.", fmt::join(clauses, "; "));
  }

 private:
  [[nodiscard]] std::uint64_t waiting() const { return now_.queue.totals.waiting(); }
  /// Those that wait and are not refused.
  [[nodiscard]] std::uint64_t others() const { return waiting() - now_.refused_messages(); }
  [[nodiscard]] bool is_disk_trusted() const { return !diagnosis_.warns_of("disk_error"); }
  /// `4,211 pictures (1.9 GB)`
  [[nodiscard]] std::string backlog() const {
    return fmt::format("{} ({})", words::count(waiting(), "picture", "pictures"),
                       words::bytes(static_cast<double>(now_.queue.totals.waiting_bytes)));
  }

  /// What is known while nothing is in trouble.
  [[nodiscard]] std::string undisturbed() const {
    std::string pictures = state_of_pictures();
    return is_proven_well() ? "All is well: " + with_small_letter(std::move(pictures)) : pictures;
  }

  /// Broker, filters and queue have warnings where the evidence is missing. Of the store there is
  /// evidence only once it has answered, and while it confirms what is sent.
  [[nodiscard]] bool is_proven_well() const {
    return diagnosis_.warnings.empty() && now_.store.state == StoreState::reachable &&
           (waiting() == 0 || (trends_.now.out > 0 && !is_late()));
  }

  [[nodiscard]] bool is_late() const {
    return others() >= kLateMessages ||
           (now_.refused_messages() == 0 && waiting() > 0 && now_.queue.oldest_age >= kLateAge);
  }

  [[nodiscard]] std::string state_of_pictures() const {
    if (now_.store.state == StoreState::unknown) {
      return waiting() == 0 ? "Ready for pictures; the store has not answered yet"
                            : fmt::format("{} {}; the store has not answered yet", backlog(),
                                          waiting() == 1 ? "waits" : "wait");
    }
    if (is_late()) {
      return state_of_backlog();
    }
    if (trends_.now.out > 0) {
      return "Pictures come and go at once";
    }
    if (others() > 0) {
      return words::count(others(), "picture is", "pictures are") + " on the way to the store";
    }
    return state_of_empty_queue();
  }

  [[nodiscard]] std::string state_of_backlog() const {
    const bool some_leave = trends_.now.out > 0 || trends_.longer.out > 0 || diagnosis_.empty_in;
    const std::string how = some_leave                        ? "Pictures get through; "
                            : trends_.longer.over.count() > 0 ? "No picture was stored lately; "
                                                              : "";
    if (now_.refused_messages() > 0) {
      return fmt::format("{}{} others are on their way", how, words::count(others()));
    }
    return diagnosis_.empty_in
               ? fmt::format("{}{} are leaving the queue, which is empty in {}", how, backlog(),
                             words::duration(*diagnosis_.empty_in))
               : fmt::format("{}{} {} on {} way", how, backlog(), waiting() == 1 ? "is" : "are",
                             waiting() == 1 ? "its" : "their");
  }

  /// But for those that are refused.
  [[nodiscard]] std::string state_of_empty_queue() const {
    const SpoolTotals& totals = now_.queue.totals;
    if (totals.received == 0) {
      return "No picture has come yet";
    }
    const std::string_view other = waiting() > 0 ? " other" : "";
    return totals.received == totals.stored + waiting()
               ? fmt::format("Every{} picture that came is in the bucket", other)
               : fmt::format("No{} picture waits", other);
  }

  /// `no message has come for 3 h (ia/#)`; empty unless that is long.
  [[nodiscard]] std::string quiet_clause() const {
    const auto& last = now_.broker.last_message_at;
    const auto quiet =
        last ? std::chrono::floor<std::chrono::seconds>(now_.at - *last) : now_.up_for;
    if (quiet < kQuiet) {
      return "";
    }
    constexpr std::size_t kMaxTopics = 3;
    const std::span topics(now_.names.topics);
    return fmt::format(
        "no message has come {} {} ({}{})", last ? "for" : "since the start",
        words::duration(quiet) + (last ? "" : " ago"),
        fmt::join(topics.first(std::min(topics.size(), kMaxTopics)), ", "),
        topics.size() > kMaxTopics ? fmt::format(" and {} more", topics.size() - kMaxTopics) : "");
  }

  static std::string with_small_letter(std::string text) {
    if (!text.empty()) {
      text.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(text.front())));
    }
    return text;
  }

  const StatusSnapshot& now_;
  const Trends& trends_;
  const Diagnosis& diagnosis_;
  const SentenceClauses& clauses_;
};

}  // namespace

std::string sentence_of(const StatusSnapshot& snapshot, const Trends& trends,
                        const Diagnosis& diagnosis, const SentenceClauses& clauses) {
  return Sentence(snapshot, trends, diagnosis, clauses).compose();
}

}  // namespace m2b
