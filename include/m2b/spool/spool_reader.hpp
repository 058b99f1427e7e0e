#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "m2b/spool/record_info.hpp"
#include "m2b/spool/spool.hpp"

namespace m2b {

/// The spool is in use by another process; the text tells by which.
class SpoolInUse : public SpoolError {
 public:
  using SpoolError::SpoolError;
};

/// Looks into a spool that no process uses, without opening it: nothing is written, nothing mended,
/// and of damaged files everything is shown that can be read. Keeps a daemon from starting while it
/// lives. For one thread.
class SpoolReader {
 public:
  /// The record's bytes as they stand in the spool; nothing where they cannot be read.
  using Load = std::function<std::optional<std::string>()>;
  using VisitRecord = std::function<void(const RecordInfo& record, const Load& load)>;
  using VisitLetter = std::function<void(const LetterInfo& letter, const Load& load)>;

  /// Throws SpoolInUse, or SpoolError where no spool is or where it cannot be read.
  explicit SpoolReader(const std::filesystem::path& directory, KeyRing keys);
  ~SpoolReader();
  SpoolReader(const SpoolReader&) = delete;
  SpoolReader& operator=(const SpoolReader&) = delete;

  /// Nothing where the accounts cannot be read.
  [[nodiscard]] std::optional<SpoolTotals> totals() const;
  /// In the order of their ids; of the newest commit, and those of one that was lost.
  void each_record(const VisitRecord& visit) const;
  void each_letter(const VisitLetter& visit) const;
  /// What is wrong with the database files, for a person; their records aside.
  [[nodiscard]] std::vector<std::string> file_faults() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
