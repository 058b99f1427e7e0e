#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "m2b/control/spool_state.hpp"
#include "m2b/spool/record_info.hpp"
#include "m2b/spool/spool.hpp"

namespace m2b {

/// The daemon does not answer, or not as it should.
class ControlError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Asks the daemon that uses a spool; see ControlServer. For one thread. Throws ControlError.
class ControlClient {
 public:
  explicit ControlClient(const std::filesystem::path& directory);
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  [[nodiscard]] SpoolState state();
  /// The next ones with ids above `after`, in order; none: that was all.
  [[nodiscard]] std::vector<RecordInfo> records(SpoolId after);
  [[nodiscard]] std::vector<LetterInfo> letters(SpoolId after);
  /// The bytes of a record as they stand in the spool; nothing when it has gone meanwhile.
  [[nodiscard]] std::optional<std::string> read_record(SpoolId id);
  [[nodiscard]] std::optional<std::string> read_letter(SpoolId id);
  [[nodiscard]] LettersMoved move_letters(LetterMove move, const std::vector<SpoolId>& ids);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace m2b
