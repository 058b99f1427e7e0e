// spool/lmdb_file, record_walk: a spool's database with bytes changed anywhere in it. Whatever is
// read as intact is what was written; and where no fault is found, LMDB, which trusts its pages,
// can read and write the file without crashing.
// Input: one byte, how many pages are cut off (0 to 3); then changes of four bytes each: page, two
// bytes for the place in it, and the new byte.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "fuzz/checks.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/util/log.hpp"
#include "spool/lmdb.hpp"
#include "spool/lmdb_file.hpp"
#include "spool/piece_store.hpp"
#include "spool/record_codec.hpp"
#include "spool/record_walk.hpp"
#include "support/messages.hpp"
#include "support/temp_dir.hpp"

namespace {

using namespace m2b;
using fuzz::require;
using lmdb::File;
namespace fs = std::filesystem;

constexpr std::size_t kPage = File::kPageBytes;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A spool with a life behind it, its bytes, and a folder to damage them in.
class Patient {
 public:
  Patient() {
    log::set_level(log::Level::critical);
    const SpoolOptions options{.directory = dir_.path() / "spool", .min_free_bytes = 0};
    {
      Spool spool(options);
      for (std::uint64_t id = 1; id <= kMessages; ++id) {
        const std::size_t bytes = id % 10 == 0 ? 5000 : id == kMessages ? 70'000 : 100 * id;
        test::append_durably(spool, "ia/rawImage/a",
                             std::string(bytes, static_cast<char>('a' + id % 26)));
        remember(spool, id);
      }
      for (std::uint64_t id = 1; id <= kMessages / 2; ++id) {
        require(spool.remove_stored(SpoolId{id}), "a record is removed");
      }
      require(spool.write_note("note", "text").get() == Durability::durable, "a note is written");
    }
    sound_ = read_file(options.directory / "records" / "data.mdb");
    require(!sound_.empty() && sound_.size() % kPage == 0, "the file is pages");
    fs::create_directory(folder());
  }

  [[nodiscard]] fs::path folder() const { return dir_.path() / "damaged"; }
  [[nodiscard]] fs::path file() const { return folder() / "data.mdb"; }

  void damage(std::string_view input) const {
    std::string bytes = sound_;
    if (!input.empty()) {
      bytes.resize(bytes.size() - static_cast<unsigned char>(input.front()) % 4 * kPage);
      input.remove_prefix(1);
    }
    for (; input.size() >= 4; input.remove_prefix(4)) {
      const auto at = [&](std::size_t index) -> std::size_t {
        return static_cast<unsigned char>(input[index]);
      };
      const std::size_t page = at(0) % (bytes.size() / kPage);
      bytes[page * kPage + (at(1) << 8U | at(2)) % kPage] = input[3];
    }
    // Written in place: a new file for each input would be what takes the time.
    const Fd out(::open(file().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    require(::ftruncate(out.get(), static_cast<off_t>(bytes.size())) == 0 &&
                ::pwrite(out.get(), bytes.data(), bytes.size(), 0) ==
                    static_cast<ssize_t>(bytes.size()),
            "the file is written");
  }

  /// Whether these bytes were ever written under this id.
  [[nodiscard]] bool wrote(SpoolId id, std::string_view raw) const {
    const auto found = written_.find(to_number(id));
    return found != written_.end() && found->second == raw;
  }

 private:
  static constexpr std::uint64_t kMessages = 24;

  void remember(const Spool& spool, std::uint64_t id) {
    auto raw = spool.read_raw(SpoolId{id}, 0, Spool::kWholeRecord);
    written_[id] = std::get<std::string>(std::move(raw));
  }

  test::TempDir dir_;
  std::map<std::uint64_t, std::string> written_;
  std::string sound_;
};

void read_all(const Patient& patient, const File& file) {
  const TakeRecord take = [&](SpoolId id, std::string_view beginning, std::size_t,
                              const LoadRecord& load) {
    static_cast<void>(describe_record(id, beginning, {}));
    const auto raw = load();
    require(!raw || !is_intact(id, *raw) || patient.wrote(id, *raw),
            "what reads as intact was written so");
  };
  walk_records(file, take);
  for (const std::uint64_t last_id : {0UL, 12UL, 23UL}) walk_newer_records(file, last_id, take);
  for (const File::Snapshot snapshot : {File::Snapshot::newest, File::Snapshot::previous}) {
    for (const char* const database : {"records", "meta", "notes", "no such database"}) {
      file.walk(snapshot, database, [&](std::string_view, const File::Value& value) {
        static_cast<void>(file.load(value));
      });
    }
  }
  static_cast<void>(file.knows_its_newest());
}

/// As the daemon would: reads all, removes and adds.
void use_by_lmdb(const fs::path& folder) {
  constexpr std::uint64_t kMapBytes = std::uint64_t{1} << 26U;
  try {
    const lmdb::EnvHandle env = lmdb::open_env(folder, kMapBytes);
    std::optional<lmdb::Txn> txn(lmdb::Txn::write(env.get()));
    const PieceStore records(*txn, "records");
    std::uint64_t last = 0;
    for (auto id = records.lower_bound(*txn, SpoolId{0}); id;
         id = records.lower_bound(*txn, SpoolId{last + 1})) {
      static_cast<void>(records.read(*txn, *id, RecordHeader::kMaxRecordBytes, 64));
      if (to_number(*id) <= last || to_number(*id) == ~std::uint64_t{0}) break;
      last = to_number(*id);
      if (last % 2 == 0) static_cast<void>(records.erase(*txn, *id));
    }
    records.append(*txn, SpoolId{std::uint64_t{1} << 40U}, {"added", std::string(10'000, 'n')});
    std::move(*txn).commit();
  } catch (const lmdb::Error&) {
    // An error is an answer; a crash would not be.
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Patient patient;
  patient.damage({reinterpret_cast<const char*>(data), size});
  bool is_sound = false;
  {
    const File file(patient.file());
    static_cast<void>(file.find_fault(File::Scrutiny::trees));
    is_sound = !file.find_fault(File::Scrutiny::values);
    read_all(patient, file);
  }
  if (is_sound) use_by_lmdb(patient.folder());
  return 0;
}
