#include "spool/large_record.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <variant>
#include <vector>

#include "m2b/spool/spool.hpp"
#include "m2b/spool/spool_reader.hpp"
#include "spool/dead_letters.hpp"
#include "spool/letter_mover.hpp"
#include "spool/record_env.hpp"
#include "support/eventually.hpp"
#include "support/keys.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("large_record") {
  using namespace m2b;
  using namespace std::chrono_literals;

  constexpr std::uint64_t kMapBytes = std::uint64_t{1} << 30;
  constexpr std::size_t kParts = 3;

  /// Of three transactions; each piece is another.
  std::string large_payload() {
    std::string payload(2 * kMaxTransactionBytes + 100'000, '\0');
    for (std::size_t i = 0; i < payload.size(); ++i) {
      payload[i] = static_cast<char>(i * 2'654'435'761U >> 13U);
    }
    return payload;
  }
  const std::string kPayload = large_payload();
  const KeyRing kKeys = test::key_ring(test::kOneKey);

  LargeRecord record_of(const MessageView& message) {
    return LargeRecord(
        [message](SpoolId id, const EncryptionKey* key) { return RecordStream(id, message, key); });
  }

  TEST_CASE("a stream gives the bytes of the record, however they are asked for") {
    const MessageView message = test::message("a/topic", "payload of a message");
    for (const std::size_t step : {1U, 3U, 100U}) {
      RecordStream stream(SpoolId{7}, message, nullptr);
      std::string bytes(stream.bytes(), '\0');
      for (std::size_t at = RecordHeader::kBytes; stream.left() > 0;) {
        const std::size_t now = std::min(step, stream.left());
        stream.next(std::span<char>(bytes).subspan(at, now));
        at += now;
      }
      const HeaderBytes header = stream.header();
      bytes.replace(0, header.size(), header.data(), header.size());
      const EncodedRecord encoded = encode_record(SpoolId{7}, message, nullptr);
      CHECK(bytes == std::string(encoded.header.data(), encoded.header.size()) +
                         std::string(encoded.topic) + std::string(encoded.payload));
    }
  }

  TEST_CASE("an encrypted stream is a record that can be opened") {
    for (const std::size_t step : {1U, 5U, 1000U}) {
      RecordStream stream(SpoolId{7}, test::message("a/topic", "payload"), kKeys.encrypting());
      std::string bytes(stream.bytes(), '\0');
      for (std::size_t at = RecordHeader::kBytes; stream.left() > 0;) {
        const std::size_t now = std::min(step, stream.left());
        stream.next(std::span<char>(bytes).subspan(at, now));
        at += now;
      }
      const HeaderBytes header = stream.header();
      bytes.replace(0, header.size(), header.data(), header.size());
      CHECK(is_intact(SpoolId{7}, bytes));
      CHECK(bytes.find("payload") == std::string::npos);
      const OpenedMessage opened = open_message(bytes, kKeys);
      REQUIRE(std::holds_alternative<MessageView>(opened));
      CHECK(std::get<MessageView>(opened).topic == "a/topic");
      CHECK(std::get<MessageView>(opened).payload == "payload");
    }
  }

  struct Environment {
    test::TempDir dir;
    std::filesystem::path folder = made("records");
    KeyRing keys;
    std::optional<RecordEnv> env;

    explicit Environment(KeyRing with = {}) : keys(std::move(with)) { open(); }
    std::filesystem::path made(const char* name) const {
      std::filesystem::create_directory(dir.path() / name);
      return dir.path() / name;
    }
    void open() {
      env.reset();
      env.emplace(folder, kMapBytes, keys);
    }
    std::optional<SpoolId> write_part(LargeRecord& record) {
      RecordEnv::Batch batch(*env);
      const auto id = batch.append_part(record);
      if (id) {
        batch.count_received();
      }
      static_cast<void>(std::move(batch).commit());
      return id;
    }
    SpoolId append(std::string_view payload) {
      RecordEnv::Batch batch(*env);
      const SpoolId id = batch.append(test::message("t", payload));
      static_cast<void>(std::move(batch).commit());
      return id;
    }
    std::string payload(SpoolId id) const {
      const auto read = env->read(id);
      const auto* const record = std::get_if<Record>(&read);
      return record != nullptr ? std::string(record->message().payload) : "none";
    }
    /// What the tools find in the file.
    std::size_t records_in_file() const {
      std::size_t count = 0;
      walk_all_records(lmdb::File(folder / "data.mdb"),
                       [&](SpoolId, std::string_view, std::size_t, const LoadRecord&) { ++count; });
      return count;
    }
  };

  TEST_CASE("a large record is there with its last part") {
    for (const KeyRing& keys : {KeyRing(), kKeys}) {
      Environment spool(keys);
      CHECK(spool.append("before") == SpoolId{1});
      LargeRecord record = record_of(test::message("t", kPayload));
      for (std::size_t part = 1; part < kParts; ++part) {
        CHECK_FALSE(spool.write_part(record));
        CHECK(spool.env->list(SpoolId{0}, 10).size() == 1);
        CHECK(spool.env->describe(SpoolId{0}, 10).size() == 1);
        CHECK(spool.records_in_file() == 1);
        CHECK(spool.env->totals().received == 1);
        CHECK(spool.env->last_id() == SpoolId{1});
      }
      CHECK(spool.write_part(record) == SpoolId{2});
      CHECK(spool.env->list(SpoolId{0}, 10).size() == 2);
      CHECK(spool.env->totals().received == 2);
      CHECK(spool.append("behind") == SpoolId{3});
      spool.open();
      CHECK(spool.payload(SpoolId{2}) == kPayload);
      CHECK(is_intact(SpoolId{2}, *spool.env->read_raw(SpoolId{2})));
      CHECK(spool.records_in_file() == 3);
      RecordEnv::Batch batch(*spool.env);
      for (const std::uint64_t id : {1, 2, 3}) {
        batch.erase(SpoolId{id}, false);
      }
      CHECK(std::move(batch).commit().waiting_bytes == 0);
    }
  }

  TEST_CASE("what a crash left of a large record is nobody's, and goes") {
    Environment spool;
    CHECK(spool.append("before") == SpoolId{1});
    LargeRecord record = record_of(test::message("t", kPayload));
    CHECK_FALSE(spool.write_part(record));
    spool.open();
    CHECK(spool.env->has_part());
    CHECK(spool.env->list(SpoolId{0}, 10).size() == 1);
    CHECK(spool.env->last_id() == SpoolId{1});

    SUBCASE("when it is dropped") {
      RecordEnv::Batch batch(*spool.env);
      batch.drop_part();
      static_cast<void>(std::move(batch).commit());
    }
    SUBCASE("when ids are skipped") {
      RecordEnv::Batch batch(*spool.env);
      batch.skip_ids(SpoolId{9});
      static_cast<void>(std::move(batch).commit());
      CHECK(spool.env->list(SpoolId{0}, 10).size() == 1);
      CHECK(spool.append("next") == SpoolId{10});
    }
    SUBCASE("when another record comes") {
      CHECK(spool.append("next") == SpoolId{2});
      CHECK(spool.payload(SpoolId{2}) == "next");
    }
    SUBCASE("when another large one comes") {
      LargeRecord again = record_of(test::message("t", kPayload));
      while (!spool.write_part(again)) {
      }
      CHECK(spool.payload(SpoolId{2}) == kPayload);
    }
    CHECK_FALSE(spool.env->has_part());
  }

  TEST_CASE("mending leaves what there is of a large record aside, and counts nothing") {
    Environment spool;
    spool.append("before");
    LargeRecord record = record_of(test::message("t", kPayload));
    CHECK_FALSE(spool.write_part(record));
    spool.env.reset();
    {
      // A number that no tree has: an entry too many in the newest meta page's count.
      std::fstream file(spool.folder / "data.mdb", std::ios::in | std::ios::out | std::ios::binary);
      constexpr std::streamoff kEntriesOfMain = 16 + 24 + 48 + 32;
      for (const std::streamoff meta : {0, 4096}) {
        file.seekp(meta + kEntriesOfMain);
        file.put('\x7f');
      }
    }
    spool.open();
    CHECK(spool.env->totals().received == 1);
    CHECK(spool.env->totals().waiting() == 1);
    CHECK(spool.env->totals().set_aside == 0);
    CHECK_FALSE(spool.env->has_part());
    CHECK(spool.append("next") == SpoolId{2});
  }

  TEST_CASE("a large record whose earlier parts are gone begins anew") {
    Environment spool;
    LargeRecord record = record_of(test::message("t", kPayload));
    CHECK_FALSE(spool.write_part(record));
    {
      RecordEnv::Batch batch(*spool.env);
      batch.drop_part();
      static_cast<void>(std::move(batch).commit());
    }
    CHECK_THROWS_AS(spool.write_part(record), lmdb::Error);
  }

  /// The whole spool.
  struct Fixture {
    test::TempDir dir;
    SpoolOptions options{.directory = dir.path() / "spool", .min_free_bytes = 0};
    std::optional<Spool> spool{std::in_place, options};

    std::string payload(std::uint64_t id) const {
      const ReadResult read = spool->read(SpoolId{id});
      const auto* const record = std::get_if<Record>(&read);
      return record != nullptr ? std::string(record->message().payload) : "none";
    }
    std::string letter(std::uint64_t id) const {
      RawResult read = spool->read_letter(SpoolId{id}, 0, Spool::kWholeRecord);
      auto* const raw = std::get_if<std::string>(&read);
      if (raw == nullptr || !is_intact(SpoolId{id}, *raw)) {
        return "none";
      }
      const OpenedMessage opened = open_message(*raw, options.keys);
      return std::string(std::get<MessageView>(opened).payload);
    }
    void check_accounts() const {
      const SpoolTotals totals = spool->totals();
      CHECK(totals.received == totals.gone() + totals.waiting());
    }
  };

  TEST_CASE_FIXTURE(Fixture, "a large message goes to the dead letters, and back") {
    SUBCASE("in the clear") {}
    SUBCASE("encrypted") {
      spool.reset();
      options.keys = kKeys;
      spool.emplace(options);
    }
    test::append_durably(*spool, "t", "before");
    test::append_durably(*spool, "t", kPayload);
    test::append_durably(*spool, "t", "behind");
    CHECK(payload(2) == kPayload);
    CHECK(spool->bury(SpoolId{2}, {DeadLetterReason::too_large, "detail"}) == Burial::done);
    CHECK(spool->dead_letters_kept() == 1);
    CHECK(spool->totals().waiting() == 2);
    CHECK(letter(2) == kPayload);
    const LettersMoved moved = spool->move_letters(LetterMove::replay, {SpoolId{2}}).get();
    CHECK(moved.moved == 1);
    CHECK(moved.failure == "");
    CHECK(spool->dead_letters_kept() == 0);
    CHECK(payload(4) == kPayload);
    check_accounts();
    spool.reset();
    spool.emplace(options);
    CHECK(payload(4) == kPayload);
    CHECK(spool->totals().waiting() == 3);
    check_accounts();
    CHECK(spool->remove_stored(SpoolId{4}));
    CHECK(test::eventually([&] { return spool->totals().waiting() == 2; }));
  }

  TEST_CASE_FIXTURE(Fixture, "a letter in the clear is encrypted when it is replayed with a key") {
    test::append_durably(*spool, "t", kPayload);
    CHECK(spool->bury(SpoolId{1}, {DeadLetterReason::too_large, ""}) == Burial::done);
    spool.reset();
    options.keys = kKeys;
    spool.emplace(options);
    CHECK(spool->move_letters(LetterMove::replay, {SpoolId{1}}).get().moved == 1);
    CHECK(payload(2) == kPayload);
    const RawResult raw = spool->read_raw(SpoolId{2}, 0, 100);
    CHECK(decode_header(std::get<std::string>(raw))->key == kKeys.encrypting()->id());
  }

  TEST_CASE_FIXTURE(Fixture, "a large message beside others keeps its turn") {
    std::vector<std::future<Durability>> tickets;
    std::vector<std::uint64_t> order;
    for (const std::string_view payload : {std::string_view("1"), std::string_view(kPayload),
                                           std::string_view("3"), std::string_view(kPayload)}) {
      tickets.push_back(spool->append(test::message("t", payload)));
    }
    for (auto& ticket : tickets) {
      CHECK(ticket.get() == Durability::durable);
    }
    CHECK(payload(1) == "1");
    CHECK(payload(2) == kPayload);
    CHECK(payload(3) == "3");
    CHECK(payload(4) == kPayload);
  }

  TEST_CASE_FIXTURE(Fixture, "a large message that is withdrawn leaves nothing") {
    spool.reset();
    options.max_bytes = 1 << 20;
    spool.emplace(options);
    test::append_durably(*spool, "t", std::string(900'000, 'f'));
    std::stop_source withdraw;
    std::promise<Durability> outcome;
    spool->append(
        test::message("t", kPayload),
        [&](Durability durability, SpoolId) { outcome.set_value(durability); },
        withdraw.get_token());
    CHECK(test::eventually([&] { return spool->intake() == Intake::at_cap; }));
    CHECK_FALSE(spool->has_room_for(kPayload.size()));
    withdraw.request_stop();
    CHECK(outcome.get_future().get() == Durability::withdrawn);
    CHECK(spool->remove_stored(SpoolId{1}));
    // Larger than the cap, it has its place in an empty spool.
    CHECK(test::eventually([&] { return spool->has_room_for(kPayload.size()); }));
    test::append_durably(*spool, "t", kPayload);
    CHECK(payload(2) == kPayload);
    check_accounts();
  }

  TEST_CASE("what a crash left of a large dead letter goes, and its record stays") {
    test::TempDir dir;
    SpoolOptions options{.directory = dir.path() / "spool", .min_free_bytes = 0};
    {
      Spool spool(options);
      test::append_durably(spool, "t", kPayload);
    }
    {
      RecordEnv records(options.directory / "records", kMapBytes, {});
      DeadLetters letters(options.directory / "dead-letters", kMapBytes, {});
      LetterMover mover({}, records, letters);
      mover.note_incomplete(SpoolId{1});
      LargeCopy copy;
      CHECK_FALSE(letters.add_part(
          SpoolId{1}, {DeadLetterReason::too_large, ""}, copy,
          [&](std::uint64_t first, std::size_t max_pieces, const PieceStore::VisitPiece& visit) {
            return records.visit_pieces(SpoolId{1}, first, max_pieces, visit);
          }));
      CHECK(letters.count() == 0);
      CHECK(letters.bytes_of(SpoolId{1}) > 0);
    }
    {
      Spool spool(options);
      CHECK(spool.dead_letters_kept() == 0);
      CHECK(spool.totals().waiting() == 1);
    }
    DeadLetters letters(options.directory / "dead-letters", kMapBytes, {});
    CHECK(letters.bytes_of(SpoolId{1}) == 0);
  }
}

}  // namespace
