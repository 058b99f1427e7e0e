#include "status/status_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace m2b {
namespace {

using documents::Json;
using std::chrono::seconds;

/// Three digits are enough for a curve, and keep the document small.
double rounded(double number) {
  constexpr double kScale = 1000;
  return std::round(number * kScale) / kScale;
}

Json rounded(const std::vector<double>& numbers) {
  Json list = Json::array();
  for (const double number : numbers) {
    list.push_back(rounded(number));
  }
  return list;
}

Json or_null(const std::optional<seconds>& span) { return span ? Json(span->count()) : Json(); }

/// Of those of most messages: there may be hundreds.
constexpr std::size_t kMaxRefusals = 20;

std::int64_t milliseconds(WallTime time) { return time.time_since_epoch().count(); }

class Writer {
 public:
  Writer(const StatusView& view, const Access& access)
      : view_(view), now_(view.snapshot), access_(access) {}

  [[nodiscard]] Json document() const {
    const Diagnosis& diagnosis = view_.diagnosis;
    return {{"version", M2B_VERSION},
            {"time_ms", milliseconds(now_.wall_time)},
            {"up_seconds", now_.up_for.count()},
            {"state", to_string(diagnosis.state)},
            {"sentence", diagnosis.sentence},
            {"warnings", warnings()},
            {"stages",
             {{"broker", to_string(diagnosis.broker)},
              {"queue", to_string(diagnosis.queue)},
              {"decode", to_string(diagnosis.decode)},
              {"upload", to_string(diagnosis.upload)},
              {"store", to_string(diagnosis.store)}}},
            {"rates",
             {{"in_per_second", rounded(view_.trends.now.in)},
              {"out_per_second", rounded(view_.trends.now.out)},
              {"out_bytes_per_second", std::round(view_.trends.now.out_bytes)},
              {"over_seconds", rounded(view_.trends.now.over.count())}}},
            {"forecast",
             {{"full_in_seconds", or_null(diagnosis.full_in)},
              {"empty_in_seconds", or_null(diagnosis.empty_in)}}},
            {"broker", broker()},
            {"queue", queue()},
            {"store", store()},
            {"dead_letters", letters()},
            {"pictures", pictures()},
            {"history",
             {{"step_seconds", History::kStep.count()},
              {"in_per_second", rounded(view_.curves.in)},
              {"out_per_second", rounded(view_.curves.out)},
              {"backlog", view_.curves.backlog}}},
            {"access",
             {{"actions", access_.has_token()},
              {"content", !access_.shows_content() ? "closed"
                          : access_.has_token()    ? "token"
                                                   : "open"}}}};
  }

 private:
  [[nodiscard]] std::int64_t ago(StatusSnapshot::Time since) const {
    return std::chrono::floor<seconds>(now_.at - since).count();
  }

  [[nodiscard]] Json warnings() const {
    Json list = Json::array();
    for (const Warning& warning : view_.diagnosis.warnings) {
      list.push_back({{"id", warning.id},
                      {"severity", to_string(warning.severity)},
                      {"title", warning.title},
                      {"cause", warning.cause},
                      {"remedy", warning.remedy}});
    }
    return list;
  }

  [[nodiscard]] Json broker() const {
    const StatusSnapshot::Broker& broker = now_.broker;
    Json json{{"address", now_.names.broker},
              {"topics", now_.names.topics},
              {"connected", broker.connected},
              {"subscribed", broker.subscribed},
              {"filters", filters()},
              {"trouble", nullptr},
              {"silent_for_seconds", nullptr},
              {"received", broker.received},
              {"empty", broker.empty},
              {"acknowledged", broker.acknowledged},
              {"connects", broker.connects},
              {"connect_failures", broker.connect_failures},
              {"connections_lost", broker.connections_lost},
              {"sessions_lost", broker.sessions_lost},
              {"messages_cut", broker.messages_cut},
              {"incomplete_message", nullptr},
              {"keep_alive_seconds", broker.keep_alive.count()},
              {"session_expiry_asked_seconds", broker.session_expiry_asked.count()},
              {"connack", nullptr}};
    if (broker.connack) {
      json["connack"] = connack(*broker.connack);
    }
    if (broker.incomplete_message) {
      json["incomplete_message"] = {{"total_bytes", broker.incomplete_message->total_bytes},
                                    {"received_bytes", broker.incomplete_message->received_bytes},
                                    {"times", broker.incomplete_message->times}};
    }
    if (broker.silent_since) {
      json["silent_for_seconds"] = ago(*broker.silent_since);
    }
    if (broker.trouble && !(broker.connected && broker.subscribed)) {
      json["trouble"] = {{"meaning", broker.trouble->meaning},
                         {"reason_string", broker.trouble->statement.reason},
                         {"server_reference", broker.trouble->statement.server_reference},
                         {"for_seconds", ago(broker.trouble->since)}};
    }
    return json;
  }

  [[nodiscard]] static Json connack(const ConnackProperties& connack) {
    return {{"session_expiry_seconds", or_null(connack.session_expiry)},
            {"server_keep_alive_seconds", or_null(connack.server_keep_alive)},
            {"receive_maximum", connack.receive_maximum},
            {"maximum_qos", connack.maximum_qos},
            {"maximum_packet_size", connack.maximum_packet_size == ConnackProperties::kNoLimit
                                        ? Json()
                                        : Json(connack.maximum_packet_size)},
            {"topic_alias_maximum", connack.topic_alias_maximum},
            {"retain_available", connack.retain_available},
            {"wildcard_subscriptions", connack.wildcard_subscriptions},
            {"subscription_identifiers", connack.subscription_identifiers},
            {"shared_subscriptions", connack.shared_subscriptions},
            {"assigned_client_id", connack.assigned_client_id},
            {"reason_string", connack.statement.reason},
            {"server_reference", connack.statement.server_reference}};
  }

  [[nodiscard]] Json filters() const {
    Json list = Json::array();
    for (const FilterStatus& filter : now_.broker.filters) {
      const bool is_granted = filter.state == FilterStatus::State::granted;
      Json json{{"filter", filter.filter},
                {"state", to_string(filter.state)},
                {"wanted_qos", filter.wanted_qos},
                {"granted_qos", nullptr},
                {"reason_code", nullptr},
                {"meaning", nullptr},
                {"reason_string", filter.statement.reason},
                {"failures", filter.failures},
                {"for_seconds", ago(filter.since)}};
      if (is_granted) {
        json["granted_qos"] = filter.code;
      } else if (filter.code != 0) {
        json["reason_code"] = filter.code;
      }
      if (filter.has_failed()) {
        json["meaning"] = filter.meaning();
      }
      list.push_back(std::move(json));
    }
    return list;
  }

  [[nodiscard]] Json queue() const {
    const StatusSnapshot::Queue& queue = now_.queue;
    Json json{{"folder", now_.names.spool},
              {"accounts", documents::of(queue.totals)},
              {"intake", label_of(queue.intake)},
              {"closed_for_seconds", nullptr},
              {"oldest_age_seconds", queue.oldest_age.count()},
              {"used_bytes", nullptr},
              {"left_bytes", nullptr},
              {"bound", nullptr},
              {"files_set_aside", queue.files_set_aside}};
    if (queue.closed_since) {
      json["closed_for_seconds"] = ago(*queue.closed_since);
    }
    if (queue.room) {
      json["used_bytes"] = queue.room->used;
      json["left_bytes"] = queue.room->left;
      json["bound"] = label_of(queue.room->bound);
    }
    return json;
  }

  [[nodiscard]] Json store() const {
    const StatusSnapshot::Store& store = now_.store;
    Json refused = Json::object();
    for (const auto& [scope, count] : store.uploads_refused) {
      refused[std::string(to_string(scope))] = count;
    }
    Json json{{"address", now_.names.store},
              {"bucket", now_.names.bucket},
              {"state", to_string(store.state)},
              {"trouble", nullptr},
              {"refused_messages", now_.refused_messages()},
              {"refusals", refusals()},
              {"uploads", {{"stored", store.uploads_stored}, {"refused", refused}}},
              {"refusals_by_code", store.refusals_by_code},
              {"uploaded_bytes", store.uploaded_bytes},
              {"overwritten",
               {{"objects", store.overwrites.total},
                {"recent_uploads", store.overwrites.recent_uploads},
                {"recent_keys", store.overwrites.recent_keys}}},
              {"slots", store.slots},
              {"clock_offset_seconds", nullptr}};
    if (store.clock_offset) {
      json["clock_offset_seconds"] = store.clock_offset->count();
    }
    if (store.trouble) {
      json["trouble"] = failure(store.trouble->last_failure, store.trouble->since);
    }
    return json;
  }

  [[nodiscard]] Json failure(const PutResult& result, StatusSnapshot::Time since) const {
    return {{"code", result.code},
            {"http_status", result.http_status},
            {"scope", to_string(result.scope)},
            {"needs_person", result.needs_person},
            {"detail", result.detail},
            {"for_seconds", ago(since)}};
  }

  [[nodiscard]] Json refusals() const {
    Json list = Json::array();
    for (const Refusal& refusal : now_.store.refusals) {
      if (list.size() == kMaxRefusals) {
        break;
      }
      Json json = failure(refusal.cause, refusal.since);
      json["of"] = to_string(refusal.of);
      json["prefix"] = nullptr;
      json["from_bytes"] = nullptr;
      json["below_bytes"] = nullptr;
      json["messages"] = refusal.messages;
      switch (refusal.of) {
        case Refusal::Of::prefix:
          json["prefix"] = refusal.prefix;
          break;
        case Refusal::Of::size:
          json["from_bytes"] = refusal.from_bytes;
          json["below_bytes"] = refusal.below_bytes;
          break;
        case Refusal::Of::alone:
          break;
      }
      list.push_back(std::move(json));
    }
    return list;
  }

  [[nodiscard]] Json letters() const {
    const StatusSnapshot::Letters& letters = now_.letters;
    Json buried = Json::object();
    for (const auto& [reason, count] : letters.buried) {
      buried[std::string(to_string(reason))] = count;
    }
    Json latest = Json::array();
    for (const LetterInfo& letter : letters.latest) {
      latest.push_back(documents::of(letter));
    }
    return {{"kept", letters.kept},
            {"dropped_by_limits", letters.dropped.count},
            {"since_start", buried},
            {"latest", latest}};
  }

  [[nodiscard]] Json pictures() const {
    Json list = Json::array();
    for (const PictureInfo& picture : now_.pictures) {
      list.push_back({{"number", picture.number},
                      {"key", picture.key},
                      {"topic", picture.topic},
                      {"content_type", picture.content_type},
                      {"bytes", picture.bytes},
                      {"stored_at_ms", milliseconds(picture.stored_at)}});
    }
    return list;
  }

  const StatusView& view_;
  const StatusSnapshot& now_;
  const Access& access_;
};

/// Whether a person can read it: UTF-8 and no control characters but those of lines. What was cut
/// may have been cut within its last character.
bool is_text(std::string_view bytes, bool was_cut) {
  const bool has_controls = std::ranges::any_of(bytes, [](char byte) {
    const auto value = static_cast<unsigned char>(byte);
    return (value < ' ' && byte != '\n' && byte != '\r' && byte != '\t') || value == 0x7F;
  });
  if (has_controls) {
    return false;
  }
  constexpr std::size_t kMostOfACharacter = 3;
  const std::size_t most = was_cut ? std::min(kMostOfACharacter, bytes.size()) : 0;
  for (std::size_t less = 0; less <= most; ++less) {
    try {
      static_cast<void>(Json(std::string(bytes.substr(0, bytes.size() - less))).dump());
      return true;
    } catch (const Json::exception&) {
      // No UTF-8, as it stands.
    }
  }
  return false;
}

}  // namespace

Json status_json(const StatusView& view, const Access& access) {
  return Writer(view, access).document();
}

Json letter_json(const LetterInfo& letter, std::string_view payload) {
  constexpr std::size_t kMaxHexBytes = 1024;
  Json json = documents::of(letter);
  const std::size_t all =
      letter.record.readable ? letter.record.payload_bytes : letter.record.bytes;
  json["payload_bytes"] = all;
  if (is_text(payload, payload.size() < all)) {
    json["text"] = payload;
    json["shown_bytes"] = payload.size();
    return json;
  }
  std::string digits;
  for (const char byte : payload.substr(0, kMaxHexBytes)) {
    digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  json["hex"] = digits;
  json["shown_bytes"] = std::min(payload.size(), kMaxHexBytes);
  return json;
}

}  // namespace m2b
