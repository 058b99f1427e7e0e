#include "tools/spool_access.hpp"

#include <optional>
#include <utility>

#include "m2b/control/control_client.hpp"
#include "m2b/spool/spool_reader.hpp"
#include "tools/ownership.hpp"

namespace m2b {
namespace {

/// All that is below the spool's folder is opened with the rights of its owner alone.
template <class Ask>
auto as_owner_of(const SpoolFolder& folder, Ask ask) {
  const AsOwnerOf owner(folder);
  return ask();
}

class RunningSpool final : public SpoolAccess {
 public:
  explicit RunningSpool(const std::filesystem::path& directory)
      : folder_(directory), daemon_(folder_.path()) {}

  SpoolState state() override {
    return as_owner_of(folder_, [&] { return daemon_.state(); });
  }

  void each_record(const VisitRecord& visit) override {
    const auto page_after = [&](SpoolId after) {
      return as_owner_of(folder_, [&] { return daemon_.records(after); });
    };
    for (auto page = page_after(SpoolId{0}); !page.empty(); page = page_after(page.back().id)) {
      for (const RecordInfo& record : page) {
        visit(record,
              [&] { return as_owner_of(folder_, [&] { return daemon_.read_record(record.id); }); });
      }
    }
  }

  void each_letter(const VisitLetter& visit) override {
    const auto page_after = [&](SpoolId after) {
      return as_owner_of(folder_, [&] { return daemon_.letters(after); });
    };
    for (auto page = page_after(SpoolId{0}); !page.empty();
         page = page_after(page.back().record.id)) {
      for (const LetterInfo& letter : page) {
        visit(letter, [&] {
          return as_owner_of(folder_, [&] { return daemon_.read_letter(letter.record.id); });
        });
      }
    }
  }

  LettersMoved move_letters(LetterMove move, const std::vector<SpoolId>& ids) override {
    return as_owner_of(folder_, [&] { return daemon_.move_letters(move, ids); });
  }

  std::vector<std::string> file_faults() override { return {}; }

 private:
  const SpoolFolder folder_;
  ControlClient daemon_;
};

class RestingSpool final : public SpoolAccess {
 public:
  RestingSpool(const std::filesystem::path& directory, KeyRing keys)
      : folder_(directory), keys_(std::move(keys)) {
    open();
  }

  SpoolState state() override { return {.totals = reader_->totals()}; }
  void each_record(const VisitRecord& visit) override { reader_->each_record(visit); }
  void each_letter(const VisitLetter& visit) override { reader_->each_letter(visit); }

  /// As the daemon would; without limits, since only the daemon's configuration knows them.
  LettersMoved move_letters(LetterMove move, const std::vector<SpoolId>& ids) override {
    reader_.reset();  // its lock would be in the way
    LettersMoved moved;
    {
      const AsOwnerOf owner(folder_);
      Spool spool({.directory = folder_.path(),
                   .min_free_bytes = 0,
                   .dead_letter_max_bytes = 0,
                   .keys = keys_});
      moved = spool.move_letters(move, ids).get();
    }
    open();
    return moved;
  }

  std::vector<std::string> file_faults() override { return reader_->file_faults(); }

 private:
  /// What is read later is read from the files that are opened here.
  void open() {
    const AsOwnerOf owner(folder_);
    reader_.emplace(folder_.path(), keys_);
  }

  const SpoolFolder folder_;
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
