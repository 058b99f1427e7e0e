#include "control/documents.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "m2b/util/utf8.hpp"
#include "m2b/util/visible.hpp"

namespace m2b::documents {
namespace {

std::int64_t milliseconds(WallTime time) { return time.time_since_epoch().count(); }

WallTime wall_time(const Json& json) {
  return WallTime(std::chrono::milliseconds(json.get<std::int64_t>()));
}

DeadLetterReason reason_of(std::string_view name) {
  const auto* const found = std::ranges::find(
      kDeadLetterReasons, name, [](DeadLetterReason reason) { return to_string(reason); });
  return found != kDeadLetterReasons.end() ? *found : DeadLetterReason{};
}

}  // namespace

Json of(const RecordInfo& record) {
  Json json{{"id", to_number(record.id)}, {"readable", record.readable}, {"bytes", record.bytes}};
  if (record.readable) {
    if (record.key) {
      json["key"] = to_string(*record.key);
    }
    json["topic"] = record.topic;
    json["payload_bytes"] = record.payload_bytes;
    json["received_at_ms"] = milliseconds(record.received_at);
    json["qos"] = record.qos;
    json["retained"] = record.retained;
    json["duplicate"] = record.duplicate;
  }
  return json;
}

Json of(const LetterInfo& letter) {
  Json json = of(letter.record);
  json["reason"] = to_string(letter.rejection.reason);
  json["detail"] = letter.rejection.detail;
  json["buried_at_ms"] = milliseconds(letter.buried_at);
  json["age_ms"] = letter.age.count();
  return json;
}

Json of(const SpoolTotals& totals) {
  return {{"received", totals.received},          {"stored", totals.stored},
          {"waiting", totals.waiting()},          {"dead_lettered", totals.dead_lettered},
          {"set_aside", totals.set_aside},        {"dropped", totals.dropped},
          {"waiting_bytes", totals.waiting_bytes}};
}

Json of(const SpoolState& state) {
  Json json = Json::object();
  if (state.totals) {
    json["accounts"] = of(*state.totals);
  }
  if (!state.intake.empty()) {
    json["intake"] = state.intake;
  }
  return json;
}

Json of(const LettersMoved& moved) {
  Json damaged = Json::array();
  for (const SpoolId id : moved.damaged) {
    damaged.push_back(to_number(id));
  }
  return {{"moved", moved.moved}, {"damaged", damaged}, {"failure", moved.failure}};
}

RecordInfo record_of(const Json& json) {
  RecordInfo record{.id = SpoolId{json.at("id").get<std::uint64_t>()},
                    .readable = json.at("readable").get<bool>(),
                    .bytes = json.at("bytes").get<std::size_t>()};
  if (record.readable) {
    if (const auto key = json.find("key"); key != json.end()) {
      record.key = parse_key_id(key->get<std::string>());
    }
    record.topic = json.at("topic").get<std::string>();
    record.payload_bytes = json.at("payload_bytes").get<std::size_t>();
    record.received_at = wall_time(json.at("received_at_ms"));
    record.qos = json.at("qos").get<std::uint8_t>();
    record.retained = json.at("retained").get<bool>();
    record.duplicate = json.at("duplicate").get<bool>();
  }
  return record;
}

LetterInfo letter_of(const Json& json) {
  return {record_of(json),
          {reason_of(json.at("reason").get<std::string>()), json.at("detail").get<std::string>()},
          wall_time(json.at("buried_at_ms")),
          std::chrono::milliseconds(json.at("age_ms").get<std::int64_t>())};
}

SpoolState state_of(const Json& json) {
  SpoolState state;
  if (const auto accounts = json.find("accounts"); accounts != json.end()) {
    state.totals = SpoolTotals{.received = accounts->at("received").get<std::uint64_t>(),
                               .stored = accounts->at("stored").get<std::uint64_t>(),
                               .dead_lettered = accounts->at("dead_lettered").get<std::uint64_t>(),
                               .set_aside = accounts->at("set_aside").get<std::uint64_t>(),
                               .dropped = accounts->at("dropped").get<std::uint64_t>(),
                               .waiting_bytes = accounts->at("waiting_bytes").get<std::uint64_t>()};
  }
  state.intake = json.value("intake", "");
  return state;
}

LettersMoved moved_of(const Json& json) {
  LettersMoved moved{.moved = json.at("moved").get<std::uint64_t>(),
                     .failure = json.at("failure").get<std::string>()};
  for (const Json& id : json.at("damaged")) {
    moved.damaged.push_back(SpoolId{id.get<std::uint64_t>()});
  }
  return moved;
}

std::string line_of(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  // What it leaves as it is would still move a terminal's cursor or turn its text.
  std::string line;
  line.reserve(text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t unfit = unfit_length(rest);
    if (unfit != 0) {
      line += json_escape(rest.substr(0, unfit));
    }
    const std::size_t fit = unfit == 0 ? utf8_character_length(rest) : 0;
    line += rest.substr(0, fit);
    rest.remove_prefix(unfit + fit);
  }
  return line;
}

}  // namespace m2b::documents
