#include "status/sentence.hpp"

#include <fmt/format.h>

#include <cctype>
#include <cstdint>
#include <string>
#include <vector>

#include "status/words.hpp"

namespace m2b {
namespace {

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
                        ": new pictures wait at the broker");
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
                                       : fmt::format("{} {} safe in the queue", backlog(),
                                                     waiting() == 1 ? "is" : "are"));
    } else {
      clauses.push_back(all_is_well());
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
  /// `4,211 pictures (1.9 GB)`
  [[nodiscard]] std::string backlog() const {
    return fmt::format("{} ({})", words::count(waiting(), "picture", "pictures"),
                       words::bytes(static_cast<double>(now_.queue.totals.waiting_bytes)));
  }

  [[nodiscard]] std::string all_is_well() const {
    const bool some_are_refused = now_.refused_messages() > 0;
    if (others() >= kLateMessages) {
      if (some_are_refused) {
        return fmt::format("Pictures get through; {} others are on their way",
                           words::count(others()));
      }
      return diagnosis_.empty_in
                 ? fmt::format(
                       "Pictures get through; {} are leaving the queue, which is empty in {}",
                       backlog(), words::duration(*diagnosis_.empty_in))
                 : fmt::format("Pictures get through; {} are on their way", backlog());
    }
    if (now_.store.state == StoreState::unknown) {
      return "Ready for pictures; the store has not been asked yet";
    }
    // By what is stored, and not by what comes: that may be no picture at all.
    const std::string what = now_.queue.totals.stored == 0 && waiting() == 0
                                 ? "No picture has come yet"
                             : others() > 0 || trends_.now.out > 0 ? "Pictures come and go at once"
                             : some_are_refused ? "Every other picture that came is in the bucket"
                                                : "Every picture that came is in the bucket";
    return diagnosis_.warnings.empty() ? "All is well: " + with_small_letter(what) : what;
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
