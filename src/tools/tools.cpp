#include "m2b/tools/tools.hpp"

#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <utility>

#include "control/documents.hpp"
#include "m2b/control/control_client.hpp"
#include "m2b/spool/repair.hpp"
#include "m2b/spool/spool_reader.hpp"
#include "m2b/util/visible.hpp"
#include "tools/exporter.hpp"
#include "tools/ownership.hpp"
#include "tools/progress.hpp"
#include "tools/spool_access.hpp"
#include "tools/text.hpp"

namespace m2b {
namespace {

namespace fs = std::filesystem;
using Action = ToolRequest::Action;
using documents::Json;

/// Of what a show or a selection names but the spool has not.
class Wanted {
 public:
  explicit Wanted(const Selection& selection)
      : selection_(selection), missing_(selection.ids.begin(), selection.ids.end()) {}

  [[nodiscard]] bool has(const RecordInfo& record) {
    return selection_.ids.empty() || missing_.erase(record.id) > 0;
  }
  [[nodiscard]] bool has(const LetterInfo& letter) {
    const bool reason_fits =
        selection_.reasons.empty() ||
        std::ranges::find(selection_.reasons, letter.rejection.reason) != selection_.reasons.end();
    const bool age_fits = !selection_.older_than || letter.age >= *selection_.older_than;
    return has(letter.record) && reason_fits && age_fits;
  }
  /// Ids that did not come by.
  [[nodiscard]] const std::set<SpoolId>& missing() const noexcept { return missing_; }

 private:
  const Selection& selection_;
  std::set<SpoolId> missing_;
};

class Tool {
 public:
  Tool(const ToolRequest& request, const ToolOutput& output)
      : request_(request), output_(output), wanted_(request.selection) {}

  int run() {
    if (request_.action == Action::spool_repair) {
      return repair();
    }
    spool_ = open_spool(request_.directory, request_.keys);
    switch (request_.action) {
      case Action::spool_stat:
        return stat();
      case Action::spool_verify:
        return verify();
      case Action::spool_export:
      case Action::letters_export:
        return export_messages();
      case Action::letters_replay:
      case Action::letters_drop:
        return move_letters();
      default:
        return list();
    }
  }

 private:
  /// Calls `visit` with what the tool is about: records, or dead letters, as far as they are
  /// wanted.
  template <class Visit>
  void each(Visit visit) {
    const bool is_about_letters = request_.action >= Action::letters_ls;
    const auto pass = [&](const auto& info, const SpoolAccess::Load& load) {
      if (wanted_.has(info)) {
        visit(info, load);
      }
    };
    if (is_about_letters) {
      spool_->each_letter(pass);
    } else {
      spool_->each_record(pass);
    }
  }

  static const RecordInfo& record_of(const RecordInfo& record) { return record; }
  static const RecordInfo& record_of(const LetterInfo& letter) { return letter.record; }

  void print(const Json& json) { output_.out << documents::line_of(json) << '\n'; }
  void print_fact(const char* name, const std::string& value) {
    output_.out << fmt::format("{:<16} {}\n", name, value);
  }

  /// The message in a record's bytes; nothing, and told why, where there is none to be had.
  std::optional<MessageView> open(SpoolId id, std::optional<std::string>& raw) {
    const OpenedMessage opened =
        raw ? open_message(*raw, request_.keys) : OpenedMessage(DamagedRecord{});
    if (const auto* const message = std::get_if<MessageView>(&opened)) {
      return *message;
    }
    const auto* const missing = std::get_if<KeyMissing>(&opened);
    output_.err << fmt::format(
        "mqtt-to-blob: message {} {}\n", to_number(id),
        missing == nullptr
            ? "cannot be read"
            : fmt::format("is encrypted with key {}: give it by SPOOL_KEY or SPOOL_KEY_FILE",
                          to_string(missing->key)));
    return std::nullopt;
  }

  int told_missing() {
    for (const SpoolId id : wanted_.missing()) {
      output_.err << fmt::format("mqtt-to-blob: no message {} here\n", to_number(id));
    }
    return wanted_.missing().empty() ? EX_OK : EX_NOINPUT;
  }

  // stat

  int stat() {
    const SpoolState state = spool_->state();
    std::map<std::string, std::uint64_t> letters;
    spool_->each_letter([&](const LetterInfo& letter, const SpoolAccess::Load&) {
      ++letters[std::string(to_string(letter.rejection.reason))];
    });
    const std::vector<std::string> set_aside = files_set_aside();
    if (request_.json) {
      Json json = documents::of(state);
      json["directory"] = request_.directory.string();
      json["running"] = !state.intake.empty();
      json["dead_letters"] = letters;
      json["set_aside_files"] = set_aside;
      print(json);
      return state.totals ? EX_OK : EXIT_FAILURE;
    }
    print_fact("spool", request_.directory.string());
    print_fact("in use", state.intake.empty() ? "no" : "yes; takes messages: " + state.intake);
    if (state.totals) {
      const SpoolTotals& totals = *state.totals;
      print_fact("received", std::to_string(totals.received));
      print_fact("stored", std::to_string(totals.stored));
      print_fact("waiting",
                 fmt::format("{} ({})", totals.waiting(), text::size(totals.waiting_bytes)));
      print_fact("dead letters", std::to_string(totals.dead_lettered));
      print_fact("set aside", std::to_string(totals.set_aside));
      print_fact("dropped", std::to_string(totals.dropped));
    } else {
      print_fact("accounts", "cannot be read: run mqtt-to-blob spool verify");
    }
    for (const auto& [reason, count] : letters) {
      print_fact("dead letters", fmt::format("{} {}", count, reason));
    }
    for (const std::string& name : set_aside) {
      print_fact("damaged file", visible(name));
    }
    return state.totals ? EX_OK : EXIT_FAILURE;
  }

  [[nodiscard]] std::vector<std::string> files_set_aside() const {
    const SpoolFolder folder(request_.directory);
    const AsOwnerOf owner(folder);
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(folder.path() / "set-aside", error), end; !error && at != end;
         at.increment(error)) {
      names.push_back("set-aside/" + at->path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }

  // ls, show

  int list() {
    const bool is_table = !request_.json && !request_.payload && !is_show();
    std::size_t count = 0;
    bool is_complete = true;
    each([&](const auto& info, const SpoolAccess::Load& load) {
      if (count++ >= request_.limit) {
        return;
      }
      if (is_table && count == 1) {
        print_head(info);
      }
      is_complete = show(info, load) && is_complete;
    });
    if (is_table && count > request_.limit) {
      output_.out << fmt::format("… and {} more\n", count - request_.limit);
    }
    const int missing = told_missing();
    return missing != EX_OK ? missing : is_complete ? EX_OK : EXIT_FAILURE;
  }

  [[nodiscard]] bool is_show() const {
    return request_.action == Action::spool_show || request_.action == Action::letters_show;
  }

  /// False when the payload that is asked for cannot be had.
  template <class Info>
  bool show(const Info& info, const SpoolAccess::Load& load) {
    if (request_.payload) {
      auto raw = load();
      const auto message = open(record_of(info).id, raw);
      if (!message) {
        return false;
      }
      output_.out << message->payload;
    } else if (request_.json) {
      print(documents::of(info));
    } else if (is_show()) {
      print_facts(info);
    } else {
      print_row(info);
    }
    return true;
  }

  static std::string topic_of(const RecordInfo& record) {
    if (!record.readable) {
      return "(unreadable)";
    }
    return record.key && record.topic.empty()
               ? fmt::format("(encrypted with key {})", to_string(*record.key))
               : visible(record.topic);
  }

  void print_head(const RecordInfo&) {
    output_.out << fmt::format("{:>10}  {:<20}  {:>10}  {:>3}  {}\n", "id", "received", "payload",
                               "qos", "topic");
  }
  void print_row(const RecordInfo& record) {
    output_.out << fmt::format("{:>10}  {:<20}  {:>10}  {:>3}  {}\n", to_number(record.id),
                               text::time(record.received_at), text::size(record.payload_bytes),
                               record.qos, topic_of(record));
  }
  void print_head(const LetterInfo&) {
    output_.out << fmt::format("{:>10}  {:<20}  {:>10}  {:<17}  {}\n", "id", "buried", "payload",
                               "reason", "detail");
  }
  void print_row(const LetterInfo& letter) {
    output_.out << fmt::format(
        "{:>10}  {:<20}  {:>10}  {:<17}  {}\n", to_number(letter.record.id),
        text::time(letter.buried_at), text::size(letter.record.payload_bytes),
        to_string(letter.rejection.reason), visible(letter.rejection.detail));
  }

  void print_facts(const RecordInfo& record) {
    print_fact("id", std::to_string(to_number(record.id)));
    print_fact("bytes", std::to_string(record.bytes));
    if (!record.readable) {
      print_fact("header", "unreadable");
      return;
    }
    if (record.key) {
      print_fact("encrypted with", "key " + to_string(*record.key));
    }
    print_fact("topic", topic_of(record));
    print_fact("payload", fmt::format("{} bytes", record.payload_bytes));
    print_fact("received", text::time(record.received_at));
    print_fact("qos", std::to_string(record.qos));
    print_fact("retained", record.retained ? "yes" : "no");
    print_fact("duplicate", record.duplicate ? "yes" : "no");
  }
  void print_facts(const LetterInfo& letter) {
    print_facts(letter.record);
    print_fact("reason", std::string(to_string(letter.rejection.reason)));
    print_fact("detail", visible(letter.rejection.detail));
    print_fact("buried", text::time(letter.buried_at));
  }

  // verify

  using Encrypted = std::map<KeyId, std::uint64_t>;  // messages and dead letters

  int verify() {
    std::vector<std::string> faults = spool_->file_faults();
    const SpoolState state = spool_->state();
    if (!state.totals) {
      faults.emplace_back("the accounts cannot be read");
    }
    const SpoolTotals totals = state.totals.value_or(SpoolTotals{});
    Progress progress(output_, "verified", totals.waiting() + totals.dead_lettered);
    std::uint64_t records = 0;
    std::uint64_t letters = 0;
    Encrypted encrypted;
    const auto check = [&](const char* kind, const RecordInfo& record,
                           const SpoolAccess::Load& load) {
      progress.step();
      auto raw = load();
      const bool is_gone = !raw && !state.intake.empty();  // delivered while we looked
      if (is_gone) {
        return;
      }
      if (record.key) {
        ++encrypted[*record.key];
      }
      const char* fault = nullptr;
      if (!raw) {
        fault = "its bytes cannot be read";
      } else if (!is_intact(record.id, *raw)) {
        fault = "its checksum is wrong";
      } else if (std::holds_alternative<DamagedRecord>(open_message(*raw, request_.keys))) {
        fault = "it is not what was encrypted with its key";
      }
      if (fault != nullptr) {
        faults.push_back(fmt::format("{} {}: {}", kind, to_number(record.id), fault));
      }
    };
    spool_->each_record([&](const RecordInfo& record, const SpoolAccess::Load& load) {
      ++records;
      check("message", record, load);
    });
    spool_->each_letter([&](const LetterInfo& letter, const SpoolAccess::Load& load) {
      ++letters;
      if (letter.rejection.reason != DeadLetterReason::damaged) {  // that it is, is known
        check("dead letter", letter.record, load);
      }
    });
    if (state.intake.empty() && state.totals && totals.waiting() != records) {
      faults.push_back(
          fmt::format("{} messages wait, but the accounts say {}", records, totals.waiting()));
    }
    return tell_faults(faults, records, letters, encrypted);
  }

  int tell_faults(const std::vector<std::string>& faults, std::uint64_t records,
                  std::uint64_t letters, const Encrypted& encrypted) {
    if (request_.json) {
      Json keys = Json::object();
      for (const auto& [key, count] : encrypted) {
        keys[to_string(key)] = count;
      }
      print(Json{{"messages", records},
                 {"dead_letters", letters},
                 {"encrypted", keys},
                 {"faults", faults}});
    } else {
      for (const auto& [key, count] : encrypted) {
        output_.out << fmt::format(
            "{} are encrypted with key {}{}\n", count, to_string(key),
            request_.keys.find(key) != nullptr ? "" : ", which is not given: by checksum alone");
      }
      for (const std::string& fault : faults) {
        output_.out << visible(fault) << '\n';
      }
      output_.out << fmt::format("{} messages and {} dead letters read, {} faults\n", records,
                                 letters, faults.size());
    }
    return faults.empty() ? EX_OK : EXIT_FAILURE;
  }

  // export

  int export_messages() {
    Exporter exporter(request_.target);
    Progress progress(output_, "exported", 0);
    std::uint64_t count = 0;
    std::uint64_t unreadable = 0;
    each([&](const auto& info, const SpoolAccess::Load& load) {
      progress.step();
      auto raw = load();
      const bool intact = raw && is_intact(record_of(info).id, *raw);
      const auto message = open(record_of(info).id, raw);
      Json about = documents::of(info);
      about["intact"] = intact;
      if (!message) {
        ++unreadable;
        if (raw) {
          const std::string file = exporter.add_record(record_of(info).id, *raw, std::move(about));
          output_.err << fmt::format("mqtt-to-blob: as it is in the spool it is in {}\n", file);
        }
        return;
      }
      exporter.add(record_of(info).id, message->payload, std::move(about));
      ++count;
    });
    exporter.finish();
    if (request_.json) {
      print(Json{{"exported", count}, {"unreadable", unreadable}});
    } else {
      output_.out << fmt::format("{} exported to {}\n", count, request_.target.string());
    }
    const int missing = told_missing();
    return missing != EX_OK ? missing : unreadable == 0 ? EX_OK : EXIT_FAILURE;
  }

  // replay, drop

  int move_letters() {
    std::vector<SpoolId> ids;
    spool_->each_letter([&](const LetterInfo& letter, const SpoolAccess::Load&) {
      if (wanted_.has(letter)) {
        ids.push_back(letter.record.id);
      }
    });
    const bool is_drop = request_.action == Action::letters_drop;
    if (is_drop && !request_.confirmed) {
      output_.err << fmt::format(
          "mqtt-to-blob: {} dead letters would be gone for good; with --yes they go\n", ids.size());
      return EX_USAGE;
    }
    const LettersMoved moved =
        ids.empty() ? LettersMoved{}
                    : spool_->move_letters(is_drop ? LetterMove::drop : LetterMove::replay, ids);
    if (request_.json) {
      print(documents::of(moved));
    } else {
      output_.out << fmt::format("{} {}\n", moved.moved,
                                 is_drop ? "dropped" : "wait for the store again");
      for (const SpoolId id : moved.damaged) {
        output_.err << fmt::format(
            "mqtt-to-blob: dead letter {} is damaged and cannot be replayed; export shows it\n",
            to_number(id));
      }
    }
    if (!moved.failure.empty()) {
      output_.err << "mqtt-to-blob: not all could be moved: " << visible(moved.failure) << '\n';
    }
    const int missing = told_missing();
    const bool all = moved.damaged.empty() && moved.failure.empty();
    return missing != EX_OK ? missing : all ? EX_OK : EXIT_FAILURE;
  }

  // repair

  int repair() {
    const RepairReport report = [&] {
      const SpoolFolder folder(request_.directory);
      const AsOwnerOf owner(folder);
      return repair_spool(folder.path(), request_.keys);
    }();
    if (request_.json) {
      print(Json{{"set_aside", report.set_aside},
                 {"taken_back", report.taken_back},
                 {"unreadable", report.unreadable},
                 {"failure", report.failure}});
    } else {
      for (const std::string& folder : report.set_aside) {
        output_.out << "was damaged and has been mended; the damaged file is kept in "
                    << visible(folder) << '\n';
      }
      output_.out << fmt::format(
          "{} messages of damaged files wait again, {} there are unreadable\n", report.taken_back,
          report.unreadable);
    }
    if (!report.failure.empty()) {
      output_.err << "mqtt-to-blob: not all could be taken back: " << visible(report.failure)
                  << "; make room and repeat\n";
    }
    return report.failure.empty() ? EX_OK : EXIT_FAILURE;
  }

  const ToolRequest& request_;
  const ToolOutput& output_;
  Wanted wanted_;
  std::unique_ptr<SpoolAccess> spool_;
};

}  // namespace

int run_tool(const ToolRequest& request, const ToolOutput& output) {
  int code = EX_IOERR;
  try {
    code = Tool(request, output).run();
  } catch (const SpoolInUse& error) {
    output.err << "mqtt-to-blob: " << visible(error.what()) << "; stop it first\n";
  } catch (const SpoolError& error) {
    output.err << "mqtt-to-blob: " << visible(error.what()) << '\n';
    code = EX_NOINPUT;
  } catch (const std::runtime_error& error) {  // ControlError, ExportError
    output.err << "mqtt-to-blob: " << visible(error.what()) << '\n';
  }
  output.out.flush();
  if (!output.out) {
    output.err << "mqtt-to-blob: the output could not be written\n";
    return EX_IOERR;
  }
  return code;
}

}  // namespace m2b
