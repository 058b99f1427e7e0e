#include "m2b/spool/spool_reader.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "m2b/util/fd.hpp"
#include "spool/dead_letters.hpp"
#include "spool/lmdb.hpp"
#include "spool/lmdb_file.hpp"
#include "spool/private_files.hpp"
#include "spool/record_codec.hpp"
#include "spool/record_env.hpp"
#include "spool/record_walk.hpp"
#include "spool/spool_directory.hpp"

namespace m2b {
namespace {

namespace fs = std::filesystem;
using lmdb::File;

/// Nothing where there is no file yet.
std::optional<File> open_to_read(const fs::path& path) {
  try {
    if (!private_files::is_there(path.parent_path()) || !private_files::is_there(path)) {
      return std::nullopt;
    }
    return std::optional<File>(std::in_place, path);
  } catch (const lmdb::Error& failure) {
    throw SpoolError("cannot read " + private_files::shown(path) + ": " + failure.what());
  }
}

}  // namespace

class SpoolReader::Impl {
 public:
  Impl(const fs::path& directory, KeyRing keys)
      : keys_(std::move(keys)),
        lock_(SpoolDirectory::lock_for_reading(directory)),
        records_(open_to_read(directory / "records" / "data.mdb")),
        letters_(open_to_read(directory / "dead-letters" / "data.mdb")) {
    if (!records_ && !letters_) {
      throw SpoolError("there is no spool in " + private_files::shown(directory) +
                       ": give the folder that SPOOL_DIR of the bridge names");
    }
  }

  [[nodiscard]] std::optional<SpoolTotals> totals() const {
    const auto accounts = records_ ? accounts_of(*records_).accounts : std::nullopt;
    return accounts ? std::optional(accounts->totals) : std::nullopt;
  }

  void each_record(const VisitRecord& visit) const {
    if (!records_) {
      return;
    }
    walk_all_records(*records_, [&](SpoolId id, std::string_view beginning, std::size_t bytes,
                                    const Load& load) {
      RecordInfo record = describe_record(id, beginning, keys_);
      record.bytes = bytes;
      visit(record, load);
    });
  }

  void each_letter(const VisitLetter& visit) const {
    if (!letters_) {
      return;
    }
    const Ages ages = ages_of(*letters_);
    std::map<SpoolId, std::string> reasons;
    letters_->walk(File::Snapshot::newest, "reasons",
                   [&](std::string_view key, const File::Value& value) {
                     const auto reason = letters_->load(value);
                     if (const auto id = DeadLetters::id_of(key); id && reason) {
                       reasons[*id] = *reason;
                     }
                   });
    walk_records(*letters_, [&](SpoolId id, std::string_view beginning, std::size_t bytes,
                                const Load& load) {
      const auto reason = reasons.extract(id);
      LetterInfo letter = describe_letter(id, reason ? reason.mapped() : "", beginning, keys_);
      letter.record.bytes = bytes;
      letter.age = ages.of(id);
      visit(letter, load);
    });
    for (const auto& [id, reason] : reasons) {  // their bytes are not there
      LetterInfo letter = describe_letter(id, reason, "", keys_);
      letter.age = ages.of(id);
      visit(letter, [] { return std::nullopt; });
    }
  }

  [[nodiscard]] std::vector<std::string> file_faults() const {
    std::vector<std::string> faults;
    add_fault(faults, "records/data.mdb", records_);
    add_fault(faults, "dead-letters/data.mdb", letters_);
    return faults;
  }

 private:
  /// By the running time at which the bridge was last seen.
  struct Ages {
    std::map<SpoolId, std::chrono::milliseconds> made_at = {};
    std::chrono::milliseconds latest{0};

    [[nodiscard]] std::chrono::milliseconds of(SpoolId id) const {
      const auto found = made_at.find(id);
      return found == made_at.end() ? std::chrono::milliseconds(0) : latest - found->second;
    }
  };

  static Ages ages_of(const File& letters) {
    Ages ages;
    letters.walk(File::Snapshot::newest, "ages",
                 [&](std::string_view key, const File::Value& value) {
                   const auto bytes = letters.load(value);
                   const auto made_at = bytes ? DeadLetters::running_time_of(*bytes) : std::nullopt;
                   if (const auto id = DeadLetters::id_of(key); id && made_at) {
                     ages.made_at[*id] = *made_at;
                     ages.latest = std::max(ages.latest, *made_at);
                   }
                 });
    return ages;
  }

  static void add_fault(std::vector<std::string>& faults, const char* name,
                        const std::optional<File>& file) {
    if (!file) {
      faults.push_back(std::string(name) + ": missing");
    } else if (const auto fault = file->find_fault(File::Scrutiny::values)) {
      faults.push_back(std::string(name) + ": " + *fault);
    }
  }

  const KeyRing keys_;
  Fd lock_;
  std::optional<File> records_;
  std::optional<File> letters_;
};

SpoolReader::SpoolReader(const fs::path& directory, KeyRing keys)
    : impl_(std::make_unique<Impl>(directory, std::move(keys))) {}

SpoolReader::~SpoolReader() = default;

std::optional<SpoolTotals> SpoolReader::totals() const { return impl_->totals(); }

void SpoolReader::each_record(const VisitRecord& visit) const { impl_->each_record(visit); }

void SpoolReader::each_letter(const VisitLetter& visit) const { impl_->each_letter(visit); }

std::vector<std::string> SpoolReader::file_faults() const { return impl_->file_faults(); }

}  // namespace m2b
