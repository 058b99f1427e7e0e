#include "tools/spool_access.hpp"

#include <optional>
#include <utility>

#include "m2b/control/control_client.hpp"
#include "m2b/spool/spool_reader.hpp"
#include "tools/ownership.hpp"

namespace m2b {
namespace {

class RunningSpool final : public SpoolAccess {
 public:
  explicit RunningSpool(const std::filesystem::path& directory) : daemon_(directory) {}

  SpoolState state() override { return daemon_.state(); }

  void each_record(const VisitRecord& visit) override {
    SpoolId after{0};
    for (auto page = daemon_.records(after); !page.empty(); page = daemon_.records(after)) {
      for (const RecordInfo& record : page) {
        visit(record, [&] { return daemon_.read_record(record.id); });
      }
      after = page.back().id;
    }
  }

  void each_letter(const VisitLetter& visit) override {
    SpoolId after{0};
    for (auto page = daemon_.letters(after); !page.empty(); page = daemon_.letters(after)) {
      for (const LetterInfo& letter : page) {
        visit(letter, [&] { return daemon_.read_letter(letter.record.id); });
      }
      after = page.back().record.id;
    }
  }

  LettersMoved move_letters(LetterMove move, const std::vector<SpoolId>& ids) override {
    return daemon_.move_letters(move, ids);
  }

  std::vector<std::string> file_faults() override { return {}; }

 private:
  ControlClient daemon_;
};

class RestingSpool final : public SpoolAccess {
 public:
  RestingSpool(std::filesystem::path directory, KeyRing keys)
      : directory_(std::move(directory)),
        keys_(std::move(keys)),
        reader_(std::in_place, directory_, keys_) {}

  SpoolState state() override { return {.totals = reader_->totals()}; }
  void each_record(const VisitRecord& visit) override { reader_->each_record(visit); }
  void each_letter(const VisitLetter& visit) override { reader_->each_letter(visit); }

  /// As the daemon would; without limits, since only the daemon's configuration knows them.
  LettersMoved move_letters(LetterMove move, const std::vector<SpoolId>& ids) override {
    reader_.reset();  // its lock would be in the way
    LettersMoved moved;
    {
      Spool spool({.directory = directory_,
                   .min_free_bytes = 0,
                   .dead_letter_max_bytes = 0,
                   .keys = keys_});
      moved = spool.move_letters(move, ids).get();
    }
    give_to_owner_of(directory_);
    reader_.emplace(directory_, keys_);
    return moved;
  }

  std::vector<std::string> file_faults() override { return reader_->file_faults(); }

 private:
  const std::filesystem::path directory_;
  const KeyRing keys_;
  std::optional<SpoolReader> reader_;
};

}  // namespace

std::unique_ptr<SpoolAccess> open_spool(const std::filesystem::path& directory,
                                        const KeyRing& keys) {
  try {
    return std::make_unique<RestingSpool>(directory, keys);
  } catch (const SpoolInUse& in_use) {
    auto running = std::make_unique<RunningSpool>(directory);
    try {
      static_cast<void>(running->state());
    } catch (const ControlError& error) {
      throw ControlError(std::string(in_use.what()) + ", and " + error.what());
    }
    return running;
  }
}

}  // namespace m2b
