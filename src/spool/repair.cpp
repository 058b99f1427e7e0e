#include "m2b/spool/repair.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "m2b/spool/record_info.hpp"
#include "m2b/spool/spool_reader.hpp"
#include "spool/capacity.hpp"
#include "spool/dead_letters.hpp"
#include "spool/lmdb.hpp"
#include "spool/lmdb_file.hpp"
#include "spool/mending.hpp"
#include "spool/private_files.hpp"
#include "spool/record_env.hpp"
#include "spool/spool_directory.hpp"

namespace m2b {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBatchBytes = std::size_t{8} << 20;

std::set<fs::path> folders_set_aside(const fs::path& directory) {
  const std::vector<fs::path> found = SpoolDirectory::set_aside_in(directory);
  return {found.begin(), found.end()};
}

/// How far a folder has been taken back, so that a crash repeats nothing.
std::string bookmark_of(const fs::path& folder) { return "repair." + folder.filename().string(); }

void take_back(RecordEnv& records, const fs::path& folder, std::uint64_t after,
               RepairReport& report) {
  const std::string bookmark = bookmark_of(folder);
  if (const auto text = records.note(bookmark)) {
    after = std::max<std::uint64_t>(after, std::stoull(*text));
  }
  const lmdb::File file(folder / "data.mdb");
  std::optional<RecordEnv::Batch> batch;
  std::uint64_t in_batch = 0;
  std::size_t bytes_in_batch = 0;
  SpoolId last{after};
  const auto commit = [&] {
    if (batch) {
      batch->put_note(bookmark, std::to_string(to_number(last)));
      static_cast<void>(std::move(*batch).commit());
      batch.reset();
      report.taken_back += std::exchange(in_batch, 0);
      bytes_in_batch = 0;
    }
  };
  walk_all_records(file, [&](SpoolId id, std::string_view, std::size_t, const auto& load) {
    if (to_number(id) <= after) {
      return;
    }
    auto raw = load();
    if (!raw || !is_intact(id, *raw)) {
      report.unreadable += 1;
      return;
    }
    if (!batch) {
      batch.emplace(records);
    }
    bytes_in_batch += raw->size();
    batch->take_back(*std::move(raw));
    last = id;
    in_batch += 1;
    if (bytes_in_batch >= kBatchBytes) {
      commit();
    }
  });
  commit();
  mark_taken_back(folder);
}

RepairReport repair(const fs::path& path, const KeyRing& keys) {
  const SpoolDirectory directory(path);
  const std::set<fs::path> before = folders_set_aside(path);
  const std::uint64_t map_bytes = map_bytes_for(0, directory.space().total_bytes);
  RepairReport report;
  RecordEnv records(directory.subdirectory("records"), map_bytes, keys);
  records.reopen();  // looks at the values' own pages as well
  DeadLetters letters(directory.subdirectory("dead-letters"), map_bytes, keys);
  letters.reopen();
  for (const fs::path& folder : folders_set_aside(path)) {
    if (!before.contains(folder)) {
      report.set_aside.push_back(private_files::shown(folder));
    }
    if (const auto after = rest_of(folder)) {
      try {
        take_back(records, folder, *after, report);
      } catch (const lmdb::Error& error) {
        report.failure = fmt::format("{}: {}", private_files::shown(folder), error.what());
      }
    }
  }
  return report;
}

}  // namespace

RepairReport repair_spool(const fs::path& directory, const KeyRing& keys) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(directory / "records", error))) {
    throw SpoolError("there is no spool in " + private_files::shown(directory) +
                     ": give the folder that SPOOL_DIR of the bridge names");
  }
  try {
    return repair(directory, keys);
  } catch (const lmdb::Error& failure) {
    throw SpoolError("cannot repair the spool in " + private_files::shown(directory) + ": " +
                     failure.what() + ". " + remedy_of(failure.code(), directory, 0));
  }
}

}  // namespace m2b
