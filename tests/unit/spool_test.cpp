#include "m2b/spool/spool.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "spool/dead_letters.hpp"
#include "spool/lmdb.hpp"
#include "spool/piece_store.hpp"
#include "support/eventually.hpp"
#include "support/keys.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

TEST_SUITE("spool") {
  using namespace m2b;
  using namespace std::chrono_literals;
  using test::append_durably;
  using test::eventually;
  using test::message;

  /// A spool that can be closed and opened again.
  struct Fixture {
    test::TempDir dir;
    SpoolOptions options{
        .directory = dir.path() / "spool", .max_bytes = 64 << 20, .min_free_bytes = 0};
    std::optional<Spool> spool{std::in_place, options};

    void reopen() {
      spool.reset();
      spool.emplace(options);
    }
    std::vector<std::uint64_t> ids() const {
      const auto entries = spool->list(SpoolId{0}, 1000);
      REQUIRE(entries);
      std::vector<std::uint64_t> found;
      for (const SpoolEntry& entry : *entries) {
        found.push_back(to_number(entry.id));
      }
      return found;
    }
    std::string payload(std::uint64_t id) const {
      const ReadResult result = spool->read(SpoolId{id});
      const auto* const record = std::get_if<Record>(&result);
      return record != nullptr ? std::string(record->message().payload) : "none";
    }
    bool settled(std::uint64_t stored) const {
      return eventually([&] { return spool->totals().stored == stored; });
    }
  };

  TEST_CASE_FIXTURE(Fixture, "who appends hears the id of each record") {
    std::promise<std::vector<std::uint64_t>> promise;
    std::vector<std::uint64_t> told;  // by the writer's thread alone
    for (int i = 0; i < 20; ++i) {
      spool->append(message("t", "p"), [&](Durability durability, SpoolId id) {
        CHECK(durability == Durability::durable);
        told.push_back(to_number(id));
        if (told.size() == 20) {
          promise.set_value(told);
        }
      });
    }
    const std::vector<std::uint64_t> heard = promise.get_future().get();
    CHECK(heard == ids());
    spool->close();
    spool->append(message("t", "p"), [](Durability durability, SpoolId id) {
      CHECK(durability == Durability::closed);
      CHECK(to_number(id) == 0);
    });
  }

  TEST_CASE_FIXTURE(Fixture, "its writer beats when it is poked, and rests once it is closed") {
    CHECK(eventually([&] { return spool->pulse().silent_for() > 50ms; }));
    spool->poke();
    CHECK(eventually([&] { return spool->pulse().silent_for() < 50ms; }));
    spool->close();
    CHECK(spool->pulse().silent_for() == 0ms);
  }

  TEST_CASE_FIXTURE(Fixture, "a message is read back as it was appended") {
    append_durably(*spool, "ia/rawImage/t/c", "picture");
    const ReadResult result = spool->read(SpoolId{1});
    REQUIRE(std::holds_alternative<Record>(result));
    const Record& record = std::get<Record>(result);
    CHECK(record.id() == SpoolId{1});
    CHECK(record.message().topic == "ia/rawImage/t/c");
    CHECK(record.message().payload == "picture");
    CHECK(record.message().qos == 1);
    const char* const behind = record.message().payload.data() + record.message().payload.size();
    CHECK(std::string(behind, Record::kPaddingBytes) == std::string(Record::kPaddingBytes, '\0'));
  }

  TEST_CASE_FIXTURE(Fixture, "a message is there after a restart, with its account") {
    append_durably(*spool, "t", "one");
    append_durably(*spool, "t", std::string(300'000, 'x'));
    reopen();
    CHECK(ids() == std::vector<std::uint64_t>{1, 2});
    CHECK(payload(2) == std::string(300'000, 'x'));
    CHECK(spool->totals().received == 2);
    CHECK(spool->totals().waiting() == 2);
    CHECK(spool->totals().waiting_bytes > 300'000);
  }

  TEST_CASE_FIXTURE(Fixture, "a stored record leaves, and its id is never given again") {
    append_durably(*spool, "t", "one");
    CHECK(spool->remove_stored(SpoolId{1}));
    CHECK(settled(1));
    CHECK(ids().empty());
    CHECK(std::holds_alternative<NoRecord>(spool->read(SpoolId{1})));
    reopen();
    append_durably(*spool, "t", "two");
    CHECK(ids() == std::vector<std::uint64_t>{2});
    CHECK(spool->totals().waiting() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a removal that comes twice is counted once") {
    append_durably(*spool, "t", "one");
    append_durably(*spool, "t", "two");
    CHECK(spool->remove_stored(SpoolId{1}));
    CHECK(spool->remove_stored(SpoolId{1}));
    CHECK(spool->remove_stored(SpoolId{2}));
    CHECK(settled(2));
    CHECK(spool->totals().waiting() == 0);
    CHECK(spool->totals().waiting_bytes == 0);
  }

  TEST_CASE_FIXTURE(Fixture,
                    "a rejected record is in the dead letters with everything that was known") {
    append_durably(*spool, "the/topic", "not json");
    CHECK(spool->bury(SpoolId{1}, {DeadLetterReason::not_json, "at byte 0"}) == Burial::done);
    CHECK(spool->totals().dead_lettered == 1);
    CHECK(spool->dead_letters_kept() == 1);
    CHECK(ids().empty());
    spool.reset();

    const DeadLetters letters(options.directory / "dead-letters", std::uint64_t{1} << 30, {});
    const auto kept = letters.list(SpoolId{0}, 10);
    REQUIRE(kept.size() == 1);
    CHECK(kept[0].rejection.reason == DeadLetterReason::not_json);
    CHECK(kept[0].rejection.detail == "at byte 0");
    CHECK(kept[0].record.topic == "the/topic");
    CHECK(letters.read_raw(SpoolId{1}).value_or("").ends_with("not json"));
  }

  TEST_CASE_FIXTURE(Fixture, "burying a record that is gone, or twice, is done and counted once") {
    append_durably(*spool, "t", "one");
    CHECK(spool->bury(SpoolId{1}, {DeadLetterReason::not_json, ""}) == Burial::done);
    CHECK(spool->bury(SpoolId{1}, {DeadLetterReason::not_json, ""}) == Burial::done);
    CHECK(spool->bury(SpoolId{77}, {DeadLetterReason::not_json, ""}) == Burial::done);
    CHECK(spool->totals().dead_lettered == 1);
    CHECK(spool->dead_letters_kept() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a damaged record is buried as it is, and the account stays right") {
    append_durably(*spool, "t", "one");
    append_durably(*spool, "t", std::string(100'000, 'x'));
    spool.reset();
    {
      const lmdb::EnvHandle env =
          lmdb::open_env(options.directory / "records", std::uint64_t{1} << 30);
      lmdb::Txn txn = lmdb::Txn::write(env.get());
      const PieceStore records(txn, "records");
      records.replace(txn, SpoolId{2}, "rubbish");
      std::move(txn).commit();
    }
    spool.emplace(options);
    CHECK(std::holds_alternative<DamagedRecord>(spool->read(SpoolId{2})));
    CHECK(spool->bury(SpoolId{2}, {DeadLetterReason::damaged, ""}) == Burial::done);
    CHECK(ids() == std::vector<std::uint64_t>{1});
    CHECK(spool->totals().waiting() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a burial on a closed spool leaves the record") {
    append_durably(*spool, "t", "one");
    spool->close();
    CHECK(spool->bury(SpoolId{1}, {DeadLetterReason::not_json, ""}) == Burial::stopped);
    CHECK(ids() == std::vector<std::uint64_t>{1});
  }

  TEST_CASE_FIXTURE(Fixture, "list pages through the records in order of arrival") {
    for (int i = 0; i < 10; ++i) {
      append_durably(*spool, "t", std::to_string(i));
    }
    const auto page = spool->list(SpoolId{4}, 3);
    REQUIRE(page);
    REQUIRE(page->size() == 3);
    CHECK(page->front().id == SpoolId{5});
    CHECK(page->back().id == SpoolId{7});
  }

  TEST_CASE_FIXTURE(Fixture, "the listener hears of appends after they can be read") {
    std::atomic<std::size_t> seen{0};
    spool->set_append_listener([&] { seen = spool->list(SpoolId{0}, 100)->size(); });
    append_durably(*spool, "t", "one");
    CHECK(eventually([&] { return seen == 1; }));
    spool->set_append_listener(nullptr);
  }

  TEST_CASE_FIXTURE(Fixture, "many threads append and remove at once") {
    constexpr int kThreads = 4;
    constexpr int kEach = 100;
    {
      std::vector<std::jthread> threads;
      for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&] {
          for (int i = 0; i < kEach; ++i) {
            append_durably(*spool, "t", "x");
          }
        });
      }
    }
    CHECK(spool->totals().received == kThreads * kEach);
    for (const std::uint64_t id : ids()) {
      CHECK(spool->remove_stored(SpoolId{id}));
    }
    CHECK(settled(kThreads * kEach));
  }

  TEST_CASE_FIXTURE(Fixture, "notes are kept over restarts") {
    CHECK(std::holds_alternative<NoNote>(spool->read_note("name")));
    CHECK(spool->write_note("name", "first").get() == Durability::durable);
    CHECK(spool->write_note("name", "second").get() == Durability::durable);
    reopen();
    CHECK(std::get<std::string>(spool->read_note("name")) == "second");
  }

  TEST_CASE_FIXTURE(Fixture, "at the cap a ticket stays open until something has left") {
    options.max_bytes = 1 << 20;
    reopen();
    const std::string picture(400'000, 'p');
    append_durably(*spool, "t", picture);
    append_durably(*spool, "t", picture);
    auto ticket = spool->append(message("t", picture));
    CHECK(eventually([&] { return spool->intake() == Intake::at_cap; }));
    CHECK(ticket.wait_for(0s) == std::future_status::timeout);
    CHECK(spool->totals().received == 2);

    CHECK(spool->remove_stored(SpoolId{1}));
    CHECK(ticket.get() == Durability::durable);
    CHECK(eventually([&] { return spool->intake() == Intake::open; }));
    CHECK(ids() == std::vector<std::uint64_t>{2, 3});
  }

  TEST_CASE_FIXTURE(Fixture, "below the floor nothing is taken") {
    options.min_free_bytes = std::uint64_t{1} << 60;
    reopen();
    auto ticket = spool->append(message("t", std::string(5000, 'p')));
    CHECK(eventually([&] { return spool->intake() == Intake::at_floor; }));
    spool->close();
    CHECK(ticket.get() == Durability::closed);
  }

  /// Runs `body` when it is destroyed, as the owner of something that takes locks.
  struct AtEnd {
    explicit AtEnd(std::function<void()> run) : body(std::move(run)) {}
    ~AtEnd() { body(); }
    AtEnd(const AtEnd&) = delete;
    AtEnd& operator=(const AtEnd&) = delete;
    std::function<void()> body;
  };

  TEST_CASE_FIXTURE(Fixture, "no callback is called or destroyed under the writer's mutex") {
    std::vector<std::future<SpoolTotals>> probes;  // by one thread at a time
    // Whether another thread comes through the mutex now; the time only ends a test that fails.
    const auto is_free = [&] {
      probes.push_back(std::async(std::launch::async, [&] { return spool->totals(); }));
      return probes.back().wait_for(60s) == std::future_status::ready;
    };
    std::atomic<int> free_calls{0};
    std::atomic<int> free_ends{0};
    const auto append = [&](std::stop_token withdraw = {}) {
      auto owned = std::make_shared<AtEnd>([&] { free_ends += is_free() ? 1 : 0; });
      spool->append(
          message("t", "picture"),
          [&, owned = std::move(owned)](Durability, SpoolId) { free_calls += is_free() ? 1 : 0; },
          std::move(withdraw));
    };
    const auto fill = [&] {
      options.min_free_bytes = std::uint64_t{1} << 60;
      reopen();
    };
    const auto is_full = [&] { return spool->intake() == Intake::at_floor; };

    SUBCASE("durable") {
      append();
      CHECK(eventually([&] { return free_ends == 1; }));
    }
    SUBCASE("withdrawn") {
      fill();
      std::stop_source withdrawal;
      append(withdrawal.get_token());
      CHECK(eventually(is_full));
      withdrawal.request_stop();
      CHECK(eventually([&] { return free_ends == 1; }));
    }
    SUBCASE("closed before there was room") {
      fill();
      append();
      CHECK(eventually(is_full));
    }
    SUBCASE("appended once it is closed") {
      spool->close();
      append();
    }
    spool->close();
    CHECK(free_calls == 1);
    CHECK(free_ends == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a listener is destroyed outside of the lock that guards it") {
    const auto owned = [&] {
      return std::make_shared<AtEnd>([&] { spool->set_append_listener(nullptr); });
    };
    spool->set_append_listener([kept = owned()] {});
    spool->set_append_listener(nullptr);  // would wait for itself
  }

  TEST_CASE_FIXTURE(Fixture, "removals wait for company, others do not wait for them") {
    constexpr std::uint64_t kRecords = 200;
    for (std::uint64_t i = 0; i <= kRecords; ++i) {
      append_durably(*spool, "t", "x");
    }
    const auto commits = [&] {
      const auto counts = spool->commit_time().snapshot().counts;
      return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
    };
    const std::uint64_t before = commits();
    for (std::uint64_t id = 1; id <= kRecords; ++id) {
      CHECK(spool->remove_stored(SpoolId{id}));
    }
    CHECK(settled(kRecords));
    CHECK(commits() - before < kRecords / 4);

    CHECK(spool->remove_stored(SpoolId{kRecords + 1}));
    append_durably(*spool, "t", "y");  // its commit takes the removal along
    CHECK(spool->totals().stored == kRecords + 1);
  }

  TEST_CASE_FIXTURE(Fixture, "closing commits the removals that wait and takes nothing more") {
    append_durably(*spool, "t", "one");
    CHECK(spool->remove_stored(SpoolId{1}));
    spool->close();
    CHECK(spool->totals().stored == 1);
    CHECK(spool->append(message("t", "two")).get() == Durability::closed);
    CHECK_FALSE(spool->remove_stored(SpoolId{1}));
    CHECK(spool->write_note("name", "text").get() == Durability::closed);
  }

  TEST_CASE_FIXTURE(Fixture, "a flipped bit in the file never comes back as a good record") {
    const std::string marker = "MARKER-" + std::string(5000, 'm');
    append_durably(*spool, "t", marker);
    append_durably(*spool, "t", "intact");
    spool.reset();
    const auto file = options.directory / "records" / "data.mdb";
    std::string bytes;
    {
      std::ifstream in(file, std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    const std::size_t at = bytes.find("MARKER-");
    REQUIRE(at != std::string::npos);
    bytes[at + 100] = static_cast<char>(bytes[at + 100] ^ 1);
    std::ofstream(file, std::ios::binary) << bytes;

    spool.emplace(options);
    CHECK(std::holds_alternative<DamagedRecord>(spool->read(SpoolId{1})));
    CHECK(payload(2) == "intact");
  }

  TEST_CASE_FIXTURE(Fixture, "damage that LMDB would act upon is mended while it runs") {
    append_durably(*spool, "t", "OVERFLOWS-" + std::string(5000, 'm'));
    append_durably(*spool, "t", std::string(100'000, 'x'));
    append_durably(*spool, "t", "gone");
    CHECK(spool->remove_stored(SpoolId{3}));
    CHECK(settled(1));
    // LMDB frees as many pages as the header of a value's first page says.
    std::fstream file(options.directory / "records" / "data.mdb",
                      std::ios::binary | std::ios::in | std::ios::out);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const std::size_t page = bytes.find("OVERFLOWS-") / 4096 * 4096;
    REQUIRE(bytes.at(page + 10) == 4);  // a value's own page
    file.seekp(static_cast<std::streamoff>(page + 12));
    file.put(30);
    file.close();

    CHECK(spool->remove_stored(SpoolId{1}));
    CHECK(eventually([&] { return spool->files_set_aside() == 1; }));
    CHECK(settled(2));
    CHECK(ids() == std::vector<std::uint64_t>{2});  // and 3, removed just before, did not come back
    CHECK(payload(2) == std::string(100'000, 'x'));
    CHECK(spool->totals().set_aside == 0);
    append_durably(*spool, "t", "goes on");
    CHECK(payload(4) == "goes on");
    CHECK(spool->totals().received == 4);
    CHECK(spool->totals().waiting() == 2);
  }

  /// Overwrites a byte of each entry of a leaf that begins with the key of the id's first piece;
  /// `offset` is from the key's begin.
  void put_in_entries(const std::filesystem::path& path, char id, std::size_t offset, char byte) {
    std::string bytes;
    {
      std::ifstream in(path, std::ios::binary);
      bytes.assign(std::istreambuf_iterator<char>(in), {});
    }
    const std::string key{0, 0, id, 0, 0, 0, 0, 0};
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    for (std::size_t at = bytes.find(key); at != std::string::npos; at = bytes.find(key, at + 1)) {
      if (bytes[at / 4096 * 4096 + 10] == 2) {
        file.seekp(static_cast<std::streamoff>(at + offset));
        file.put(byte);
      }
    }
  }

  TEST_CASE_FIXTURE(Fixture, "damage that a reader meets is mended while it runs") {
    append_durably(*spool, "t", std::string(5000, 'l'));
    append_durably(*spool, "t", std::string(5000, 'x'));
    const auto path = options.directory / "records" / "data.mdb";
    // Behind the key stands the number of the value's page.
    put_in_entries(path, 1, 8 + 4, 1);

    CHECK(std::holds_alternative<ReadFailed>(spool->read(SpoolId{1})));
    CHECK(eventually([&] { return spool->files_set_aside() == 1; }));
    CHECK(eventually([&] { return std::holds_alternative<NoRecord>(spool->read(SpoolId{1})); }));
    CHECK(payload(2) == std::string(5000, 'x'));
    append_durably(*spool, "t", "goes on");
    CHECK(spool->totals().set_aside == 1);
    CHECK(spool->totals().waiting() == 2);
  }

  TEST_CASE_FIXTURE(Fixture, "an id that was never given hides nothing that comes") {
    append_durably(*spool, "t", "first");
    append_durably(*spool, "t", "second");
    const std::uint64_t wrong = (std::uint64_t{1} << 32U) + 2;
    const auto path = options.directory / "records" / "data.mdb";
    SUBCASE("made while it is closed") {
      spool.reset();
      put_in_entries(path, 2, 6, 1);
      spool.emplace(options);
    }
    SUBCASE("made while it runs") {
      put_in_entries(path, 2, 6, 1);
      CHECK_FALSE(spool->list(SpoolId{0}, 10));
      CHECK(eventually([&] { return spool->list(SpoolId{0}, 10).has_value(); }));
    }
    CHECK(ids() == std::vector<std::uint64_t>{1, wrong});
    CHECK(std::holds_alternative<DamagedRecord>(spool->read(SpoolId{wrong})));
    append_durably(*spool, "t", "third");
    CHECK(ids() == std::vector<std::uint64_t>{1, wrong, wrong + 1});
    CHECK(payload(wrong + 1) == "third");
  }

  TEST_CASE_FIXTURE(Fixture, "the file stays bounded by what waited at once") {
    const std::string picture(200'000, 'p');
    std::uintmax_t after_first_rounds = 0;
    for (int round = 1; round <= 100; ++round) {
      append_durably(*spool, "t", picture);
      CHECK(spool->remove_stored(SpoolId{static_cast<std::uint64_t>(round)}));
      CHECK(settled(static_cast<std::uint64_t>(round)));
      if (round == 20) {
        after_first_rounds = std::filesystem::file_size(options.directory / "records" / "data.mdb");
      }
    }
    CHECK(std::filesystem::file_size(options.directory / "records" / "data.mdb") <=
          after_first_rounds + 1'000'000);
  }

  TEST_CASE_FIXTURE(Fixture, "the oldest record tells its age") {
    CHECK_FALSE(spool->oldest_received_at());
    const auto before = wall_now();
    append_durably(*spool, "t", "one");
    append_durably(*spool, "t", "two");
    const auto oldest = spool->oldest_received_at();
    REQUIRE(oldest);
    CHECK(*oldest >= before);
    CHECK(*oldest <= wall_now());
  }

  TEST_CASE_FIXTURE(Fixture, "a spool that is removed while in use is written again") {
    append_durably(*spool, "t", "first");
    CHECK(spool->bury(SpoolId{1}, {DeadLetterReason::not_json, "no JSON"}, {}) == Burial::done);
    append_durably(*spool, "t", "second");
    std::filesystem::remove_all(options.directory);
    append_durably(*spool, "t", "third");
    CHECK_THROWS_WITH_AS(Spool{options}, doctest::Contains("is in use by"), SpoolError);

    reopen();
    CHECK(ids() == std::vector<std::uint64_t>{2, 3});
    CHECK(payload(2) == "second");
    CHECK(payload(3) == "third");
    CHECK(spool->totals().received == 3);
    CHECK(spool->dead_letters_kept() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "what stands in the place of a removed spool is set aside") {
    append_durably(*spool, "t", "first");
    std::filesystem::rename(options.directory / "records", options.directory / "elsewhere");
    std::filesystem::create_directory(options.directory / "records");
    std::ofstream(options.directory / "records" / "data.mdb") << "somebody else's";
    append_durably(*spool, "t", "second");

    CHECK(spool->files_set_aside() == 1);
    reopen();
    CHECK(payload(1) == "first");
    CHECK(payload(2) == "second");
  }

  TEST_CASE_FIXTURE(Fixture, "a removed spool that cannot be written again takes no message") {
    append_durably(*spool, "t", "first");
    std::filesystem::remove_all(options.directory);
    std::ofstream(options.directory) << "a file";
    std::future<Durability> ticket = spool->append(message("t", "second"));
    CHECK(eventually([&] { return spool->intake() == Intake::disk_error; }));
    CHECK(ticket.wait_for(50ms) == std::future_status::timeout);

    std::filesystem::remove(options.directory);
    CHECK(ticket.get() == Durability::durable);
    reopen();
    CHECK(payload(1) == "first");
    CHECK(payload(2) == "second");
    CHECK(ids().size() == 2);
  }

  TEST_CASE("a folder that cannot be made is a clear error") {
    test::TempDir dir;
    std::ofstream(dir.path() / "file") << "x";
    try {
      const Spool spool({.directory = dir.path() / "file" / "spool"});
      FAIL("opened");
    } catch (const SpoolError& error) {
      CHECK(std::string(error.what()).find((dir.path() / "file").string()) != std::string::npos);
      CHECK(std::string(error.what()).find("SPOOL_DIR") != std::string::npos);
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a link in the place of a file is a clear error") {
    spool.reset();
    std::filesystem::remove(options.directory / "records" / "made");
    std::filesystem::create_symlink("made", options.directory / "records" / "made");  // to itself
    CHECK_THROWS_WITH_AS(Spool{options}, doctest::Contains("made is a symbolic link"), SpoolError);
  }

  TEST_CASE_FIXTURE(Fixture, "the spool's folder itself may be a link") {
    spool.reset();
    const std::filesystem::path entrance = options.directory.parent_path() / "entrance";
    std::filesystem::create_directory_symlink(options.directory, entrance);
    const std::filesystem::path real = std::exchange(options.directory, entrance);
    CHECK_NOTHROW(Spool{options});
    options.directory = real;
  }

  TEST_CASE_FIXTURE(Fixture, "a second spool on the folder is told who holds it") {
    try {
      const Spool second(options);
      FAIL("opened");
    } catch (const SpoolError& error) {
      const std::string text = error.what();
      CHECK(text.find("process " + std::to_string(::getpid())) != std::string::npos);
      CHECK(text.find(options.directory.string()) != std::string::npos);
    }
  }

  TEST_CASE("what lay in memory before does not get into the files") {
    constexpr std::string_view kCanary = "canary-of-freed-memory";
    constexpr std::size_t kPageBytes = 4096;
    // Freed blocks of the size of pages, with others between them so that they stay apart.
    std::vector<std::unique_ptr<std::string>> blocks;
    for (int i = 0; i < 2000; ++i) {
      std::string text;
      while (text.size() + kCanary.size() < kPageBytes) {
        text += kCanary;
      }
      text.resize(kPageBytes - 1);
      blocks.push_back(std::make_unique<std::string>(text));
    }
    for (std::size_t i = 0; i < blocks.size(); i += 2) {
      blocks[i].reset();
    }
    const test::TempDir dir;
    const SpoolOptions options{.directory = dir.path() / "spool", .min_free_bytes = 0};
    {
      Spool spool(options);
      for (int i = 0; i < 50; ++i) {
        append_durably(spool, "t", "small");
      }
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(options.directory)) {
      if (entry.is_regular_file()) {
        CAPTURE(entry.path().string());
        std::ifstream in(entry.path(), std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(in), {}};
        CHECK(bytes.find(kCanary) == std::string::npos);
      }
    }
  }

  TEST_CASE_FIXTURE(Fixture, "once a listener is replaced no call of it runs any more") {
    std::promise<void> entered;
    std::atomic<bool> is_gone{false};
    std::atomic<bool> ran_too_long{false};
    spool->set_append_listener([&] {
      entered.set_value();
      std::this_thread::sleep_for(20ms);  // as if it were only slow
      ran_too_long = is_gone.load();
    });
    auto ticket = spool->append(message("t", "p"));
    entered.get_future().wait();
    spool->set_append_listener(nullptr);
    is_gone = true;
    CHECK(ticket.get() == Durability::durable);
    append_durably(*spool, "t", "p");
    CHECK_FALSE(ran_too_long);
  }

  /// Lets everybody do everything, as long as it lives.
  struct OpenUmask {
    OpenUmask() : before(::umask(0)) {}
    ~OpenUmask() { ::umask(before); }
    OpenUmask(const OpenUmask&) = delete;
    OpenUmask& operator=(const OpenUmask&) = delete;
    mode_t before;
  };

  TEST_CASE("the folder and all that is in it are private, whatever the umask") {
    namespace fs = std::filesystem;
    const OpenUmask open_umask;
    const test::TempDir dir;
    for (const char* const name : {"spool", "with a slash at the end/"}) {
      const SpoolOptions options{.directory = dir.path() / name, .min_free_bytes = 0};
      {
        Spool spool(options);
        append_durably(spool, "t", "one");
        append_durably(spool, "t", "two");
        fs::remove(options.directory / "records" / "data.mdb");
        REQUIRE(spool.bury(SpoolId{1}, {DeadLetterReason::not_json, "x"}) == Burial::done);
      }
      // Damage, so that mending makes files and folders as well.
      fs::resize_file(options.directory / "records" / "data.mdb", 100);
      { const Spool mended(options); }
      CHECK(fs::exists(options.directory / "set-aside"));
      CHECK(fs::status(options.directory).permissions() == fs::perms(0700));
      for (const auto& entry : fs::recursive_directory_iterator(options.directory)) {
        CAPTURE(entry.path().string());
        CHECK(entry.status().permissions() == fs::perms(entry.is_directory() ? 0700 : 0600));
      }
    }
  }

  /// A spool whose keys change from one start to the next.
  struct EncryptedFixture {
    static constexpr const char* kCanary = "canary-4711";

    test::TempDir dir;
    SpoolOptions options{.directory = dir.path() / "spool",
                         .max_bytes = 64 << 20,
                         .min_free_bytes = 0,
                         .keys = test::key_ring(test::kOneKey)};
    std::optional<Spool> spool{std::in_place, options};

    void reopen(const std::string& keys) {
      spool.reset();
      options.keys = test::key_ring(keys);
      spool.emplace(options);
    }
    bool shows_on_disk(const std::string& text) const {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(options.directory)) {
        if (entry.is_regular_file()) {
          std::ifstream in(entry.path(), std::ios::binary);
          const std::string bytes{std::istreambuf_iterator<char>(in), {}};
          if (bytes.find(text) != std::string::npos) {
            return true;
          }
        }
      }
      return false;
    }
    std::string read(std::uint64_t id) const {
      const ReadResult result = spool->read(SpoolId{id});
      if (const auto* const record = std::get_if<Record>(&result)) {
        return std::string(record->message().payload);
      }
      const auto* const missing = std::get_if<KeyMissing>(&result);
      return missing != nullptr ? "key " + to_string(missing->key) : "none";
    }
    void append(const std::string& payload) { append_durably(*spool, kCanary, payload); }
  };

  TEST_CASE_FIXTURE(EncryptedFixture, "of an encrypted spool the disk shows nothing") {
    const std::string large = std::string(200'000, 'x') + kCanary;
    append(kCanary);
    append(large);
    append("bad");
    REQUIRE(spool->bury(SpoolId{3}, {DeadLetterReason::not_json, kCanary}) == Burial::done);
    CHECK_FALSE(shows_on_disk(kCanary));
    CHECK(read(1) == kCanary);
    CHECK(read(2) == large);
    CHECK(spool->describe(SpoolId{0}, 1)->at(0).topic == kCanary);
    const auto letters = spool->describe_letters(SpoolId{0}, 1);
    CHECK(letters->at(0).record.topic == kCanary);
    CHECK(letters->at(0).rejection.detail == kCanary);
    CHECK(std::get<std::string>(spool->read_letter_payload(SpoolId{3}, 2)) == "ba");
    CHECK(std::holds_alternative<NoRecord>(spool->read_letter_payload(SpoolId{4}, 2)));
  }

  TEST_CASE_FIXTURE(EncryptedFixture, "an old key still reads, and the new one writes") {
    append("old");
    reopen(test::kAnotherKey + "\n" + test::kOneKey);
    append("new");
    CHECK(read(1) == "old");
    CHECK(read(2) == "new");
    reopen(test::kAnotherKey);
    CHECK(read(1) == "key 9f1af927");
    CHECK(read(2) == "new");
    reopen("plain\n" + test::kOneKey + "\n" + test::kAnotherKey);
    append(kCanary);
    CHECK(read(1) == "old");
    CHECK(read(2) == "new");
    CHECK(shows_on_disk(kCanary));
  }

  TEST_CASE_FIXTURE(EncryptedFixture,
                    "without keys it is not opened, so that nothing is written in the clear") {
    append("x");
    spool.reset();
    options.keys = {};
    CHECK_THROWS_WITH_AS(Spool{options}, doctest::Contains("is encrypted, with key 9f1af927"),
                         SpoolError);
    reopen("plain");
    CHECK(read(1) == "key 9f1af927");
    spool.reset();
    options.keys = {};  // in the clear from now on
    spool.emplace(options);
    CHECK(read(1) == "key 9f1af927");
  }

  TEST_CASE_FIXTURE(EncryptedFixture,
                    "a letter whose key is missing shows no more than its header") {
    append("bad");
    REQUIRE(spool->bury(SpoolId{1}, {DeadLetterReason::not_json, "why"}) == Burial::done);
    reopen(test::kAnotherKey);
    const auto letters = spool->describe_letters(SpoolId{0}, 1);
    CHECK(letters->at(0).record.key == KeyId{0x9f1af927});
    CHECK(letters->at(0).record.topic.empty());
    CHECK(letters->at(0).rejection.reason == DeadLetterReason::not_json);
    CHECK(letters->at(0).rejection.detail.empty());
    CHECK(std::holds_alternative<KeyMissing>(spool->read_letter_payload(SpoolId{1}, 2)));
    LettersMoved moved = spool->move_letters(LetterMove::replay, {SpoolId{1}}).get();
    CHECK(moved.moved == 0);
    CHECK(moved.failure.find("dead letter 1 is encrypted with key 9f1af927") == 0);
    CHECK(spool->dead_letters_kept() == 1);
    reopen(test::kAnotherKey + "\n" + test::kOneKey);
    moved = spool->move_letters(LetterMove::replay, {SpoolId{1}}).get();
    CHECK(moved.moved == 1);
    CHECK(read(2) == "bad");
  }

  TEST_CASE("what was written in the clear is encrypted when it is replayed") {
    const test::TempDir dir;
    SpoolOptions options{.directory = dir.path() / "spool", .min_free_bytes = 0};
    {
      Spool spool(options);
      append_durably(spool, "t", "bad");
      REQUIRE(spool.bury(SpoolId{1}, {DeadLetterReason::not_json, "why"}) == Burial::done);
    }
    options.keys = test::key_ring(test::kOneKey);
    Spool spool(options);
    CHECK(std::get<std::string>(spool.read_letter_payload(SpoolId{1}, 9)) == "bad");
    CHECK(spool.move_letters(LetterMove::replay, {SpoolId{1}}).get().moved == 1);
    CHECK(spool.describe(SpoolId{0}, 1)->at(0).key == KeyId{0x9f1af927});
  }
}

}  // namespace
