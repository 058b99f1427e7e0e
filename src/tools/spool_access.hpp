#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "m2b/control/spool_state.hpp"
#include "m2b/spool/record_info.hpp"
#include "m2b/spool/spool.hpp"
#include "m2b/spool/spool_reader.hpp"

namespace m2b {

/// A spool as the tools see it, whether a daemon uses it or not. For one thread. Throws SpoolError
/// and ControlError.
class SpoolAccess {
 public:
  /// As SpoolReader's; beside a daemon a record may also have gone meanwhile.
  using Load = SpoolReader::Load;
  using VisitRecord = SpoolReader::VisitRecord;
  using VisitLetter = SpoolReader::VisitLetter;

  SpoolAccess() = default;
  virtual ~SpoolAccess() = default;
  SpoolAccess(const SpoolAccess&) = delete;
  SpoolAccess& operator=(const SpoolAccess&) = delete;

  [[nodiscard]] virtual SpoolState state() = 0;
  /// In the order of their ids.
  virtual void each_record(const VisitRecord& visit) = 0;
  virtual void each_letter(const VisitLetter& visit) = 0;
  [[nodiscard]] virtual LettersMoved move_letters(LetterMove move,
                                                  const std::vector<SpoolId>& ids) = 0;
  /// What is wrong with the database files. None while a daemon uses them: it looks itself.
  [[nodiscard]] virtual std::vector<std::string> file_faults() = 0;
};

/// By way of the daemon if one uses the spool, otherwise by its files.
/// The keys are for what the daemon cannot tell: bytes come from it as they stand.
[[nodiscard]] std::unique_ptr<SpoolAccess> open_spool(const std::filesystem::path& directory,
                                                      const KeyRing& keys);

}  // namespace m2b
