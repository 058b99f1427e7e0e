#include "status/page.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "status/page_assets.hpp"
#include "status/words.hpp"

namespace m2b {
namespace {

std::string_view word_of(Health health) {
  switch (health) {
    case Health::well:
      return "Well";
    case Health::attention:
      return "Attention";
    case Health::trouble:
      return "Trouble";
  }
  return "Trouble";
}

std::string warnings_of(const Diagnosis& diagnosis) {
  std::string html;
  for (const Warning& warning : diagnosis.warnings) {
    const std::string_view health = to_string(warning.severity);
    html += fmt::format(
        "<li class=\"warning\"><svg class=\"mark is-{0}\" aria-hidden=\"true\"><use "
        "href=\"#mark-{0}\"></use></svg><h3>{1}</h3><p>{2}</p><p class=\"remedy\">{3}</p></li>",
        health, escape_html(warning.title), escape_html(warning.cause),
        escape_html(warning.remedy));
  }
  return html;
}

/// The rows of the table.
class Rows {
 public:
  void group(std::string_view name) {
    html_ += fmt::format("<tr class=\"group\"><th scope=\"colgroup\" colspan=\"2\">{}</th></tr>",
                         escape_html(name));
  }
  void row(std::string_view name, std::string_view value) {
    html_ += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape_html(name),
                         escape_html(value));
  }
  void row(std::string_view name, std::uint64_t number) { row(name, words::count(number)); }

  [[nodiscard]] std::string html() && { return std::move(html_); }

 private:
  std::string html_;
};

std::string yes_or_no(bool value) { return value ? "yes" : "no"; }

std::string in_words(const FilterStatus& filter) {
  switch (filter.state) {
    case FilterStatus::State::pending:
      return "asked for";
    case FilterStatus::State::granted:
      return filter.is_unguaranteed()
                 ? fmt::format("granted with QoS 0 instead of {}: without any guarantee",
                               filter.wanted_qos)
                 : fmt::format("granted with QoS {}", filter.code);
    case FilterStatus::State::refused:
    case FilterStatus::State::disconnected:
    case FilterStatus::State::no_answer:
      return fmt::format("not granted: {}", filter.meaning());
  }
  return "";
}

void add_broker(Rows& rows, const StatusSnapshot& now, const Rates& rates) {
  rows.group("Broker");
  rows.row("Address", now.names.broker);
  rows.row("Topics", fmt::format("{}", fmt::join(now.names.topics, ", ")));
  rows.row("Connected", yes_or_no(now.broker.connected));
  rows.row("Subscribed", yes_or_no(now.broker.subscribed));
  for (const FilterStatus& filter : now.broker.filters) {
    rows.row("Topic filter " + filter.filter, in_words(filter));
  }
  rows.row("Heard within its keep-alive",
           yes_or_no(now.broker.connected && !now.broker.silent_since));
  rows.row("Messages a second", words::per_second(rates.in));
  rows.row("Messages received", now.broker.received);
  rows.row("Messages without payload, ignored", now.broker.empty);
  rows.row("Messages acknowledged", now.broker.acknowledged);
  rows.row("Connections", now.broker.connects);
  rows.row("Connections that failed", now.broker.connect_failures);
  rows.row("Connections lost", now.broker.connections_lost);
  rows.row("Sessions lost", now.broker.sessions_lost);
}

void add_queue(Rows& rows, const StatusSnapshot& now, const Diagnosis& diagnosis) {
  const StatusSnapshot::Queue& queue = now.queue;
  rows.group("Queue on disk");
  rows.row("Folder", now.names.spool);
  rows.row("Takes messages",
           queue.intake == Intake::open ? "yes" : fmt::format("no: {}", to_string(queue.intake)));
  rows.row("Waiting", queue.totals.waiting());
  rows.row("Bytes waiting", words::bytes(static_cast<double>(queue.totals.waiting_bytes)));
  rows.row("Oldest has waited for", words::duration(queue.oldest_age));
  if (queue.room) {
    rows.row("Used", words::bytes(static_cast<double>(queue.room->used)));
    rows.row("Room left", words::bytes(static_cast<double>(queue.room->left)));
  }
  if (diagnosis.full_in) {
    rows.row("Full in, at the present rate", words::duration(*diagnosis.full_in));
  }
  if (diagnosis.empty_in) {
    rows.row(now.refused_messages() > 0 ? "All but the refused ones leave in, at the present rate"
                                        : "Empty in, at the present rate",
             words::duration(*diagnosis.empty_in));
  }
  rows.row("Received since the queue was made", queue.totals.received);
  rows.row("Stored", queue.totals.stored);
  rows.row("Dead-lettered", queue.totals.dead_lettered);
  rows.row("Dropped", queue.totals.dropped);
  rows.row("Set aside", queue.totals.set_aside);
  rows.row("Damaged files set aside", queue.files_set_aside);
}

void add_store(Rows& rows, const StatusSnapshot& now, const Rates& rates) {
  const StatusSnapshot::Store& store = now.store;
  rows.group("Store");
  rows.row("Address", now.names.store);
  rows.row("Bucket", now.names.bucket);
  rows.row("State", to_string(store.state));
  if (store.trouble) {
    const PutResult& failure = store.trouble->last_failure;
    rows.row("Last failure", fmt::format("{} {}", failure.code, failure.detail));
  }
  rows.row("Pictures a second", words::per_second(rates.out));
  rows.row("Bytes a second", words::bytes(rates.out_bytes));
  rows.row("Uploads at a time", store.slots);
  rows.row("Bytes uploaded", words::bytes(static_cast<double>(store.uploaded_bytes)));
  rows.row("Uploads stored", store.uploads_stored);
  for (const auto& [scope, count] : store.uploads_refused) {
    rows.row(fmt::format("Uploads refused, scope {}", to_string(scope)), count);
  }
  for (const auto& [code, count] : store.refusals_by_code) {
    rows.row(fmt::format("Refused with {}", code), count);
  }
  if (const std::uint64_t refused = now.refused_messages(); refused > 0) {
    rows.row("Waiting, refused while others are stored", refused);
  }
  if (store.clock_offset) {
    rows.row("Clock of the store ahead of ours", fmt::format("{} s", store.clock_offset->count()));
  }
}

void add_letters(Rows& rows, const StatusSnapshot& now) {
  rows.group("Dead letters");
  rows.row("Kept", now.letters.kept);
  rows.row("Dropped for their limits", now.letters.dropped.count);
  for (const LetterInfo& letter : now.letters.latest) {
    rows.row(fmt::format("No. {}, {}", to_number(letter.record.id),
                         words::time(letter.record.received_at)),
             fmt::format("{}: {} ({})", to_string(letter.rejection.reason), letter.rejection.detail,
                         letter.record.topic));
  }
}

std::string rows_of(const StatusView& view) {
  Rows rows;
  add_broker(rows, view.snapshot, view.trends.now);
  add_queue(rows, view.snapshot, view.diagnosis);
  add_store(rows, view.snapshot, view.trends.now);
  add_letters(rows, view.snapshot);
  return std::move(rows).html();
}

using Values = std::vector<std::pair<std::string_view, std::string>>;

/// Each `{{name}}` by its value. In one pass: a value that looks like a name stays what it is.
std::string filled(std::string_view text, const Values& values) {
  constexpr std::string_view kBegin = "{{";
  constexpr std::string_view kEnd = "}}";
  std::string out;
  while (true) {
    const std::size_t begin = text.find(kBegin);
    out += text.substr(0, begin);
    if (begin == std::string_view::npos) {
      return out;
    }
    text.remove_prefix(begin + kBegin.size());
    const std::size_t end = text.find(kEnd);
    const std::string_view name = text.substr(0, end);
    for (const auto& [known, value] : values) {
      out += known == name ? value : "";
    }
    text.remove_prefix(end + kEnd.size());
  }
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char byte : text) {
    switch (byte) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // Control characters have no place in HTML.
        out += static_cast<unsigned char>(byte) < ' ' && byte != '\n' && byte != '\t' ? ' ' : byte;
    }
  }
  return out;
}

std::string render_page(const StatusView& view) {
  const StatusSnapshot& now = view.snapshot;
  const Diagnosis& diagnosis = view.diagnosis;
  return filled(page_assets::page_html(),
                {{"state", std::string(to_string(diagnosis.state))},
                 {"state_word", std::string(word_of(diagnosis.state))},
                 {"sentence", escape_html(diagnosis.sentence)},
                 {"broker", escape_html(now.names.broker)},
                 {"bucket", escape_html(now.names.bucket)},
                 {"time", words::time(now.wall_time)},
                 {"no_warnings", diagnosis.warnings.empty() ? " hidden" : ""},
                 {"warnings", warnings_of(diagnosis)},
                 {"rows", rows_of(view)},
                 {"version", M2B_VERSION},
                 {"up", words::duration(now.up_for)}});
}

}  // namespace m2b
