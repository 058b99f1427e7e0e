#include "m2b/spool/spool.hpp"

#include <cerrno>
#include <mutex>
#include <utility>

#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "spool/capacity.hpp"
#include "spool/dead_letters.hpp"
#include "spool/record_env.hpp"
#include "spool/spool_directory.hpp"
#include "spool/spool_writer.hpp"

namespace m2b {
namespace {

/// Address space only: the file grows as it is used. Growing the map later would need every reader
/// to stop, so it is large from the start.
std::uint64_t map_bytes(const CapacityLimits& limits, std::uint64_t file_system_bytes) {
  constexpr std::uint64_t kPage = 4096;
  constexpr std::uint64_t kSlack = std::uint64_t{1} << 30;
  // Twice the cap: free pages inside the file come on top of the live ones.
  const std::uint64_t bytes =
      (limits.max_bytes != 0 ? 2 * limits.max_bytes : file_system_bytes) + kSlack;
  return bytes / kPage * kPage;
}

CapacityLimits limits_of(const SpoolOptions& options, std::uint64_t file_system_bytes) {
  return {options.max_bytes,
          options.min_free_bytes.value_or(default_min_free_bytes(file_system_bytes))};
}

const char* remedy_of(const lmdb::Error& error) {
  if (error.code() == ENOSPC || error.code() == EDQUOT) {
    return "Make room on that disk, or set SPOOL_DIR to a folder on another";
  }
  return "SPOOL_DIR must be on a local disk that can be read and written";
}

}  // namespace

class Spool::Impl {
 public:
  explicit Impl(const SpoolOptions& options)
      : directory_(options.directory),
        limits_(limits_of(options, directory_.space().total_bytes)),
        map_bytes_(map_bytes(limits_, directory_.space().total_bytes)),
        records_(directory_.subdirectory("records"), map_bytes_),
        dead_letters_(directory_.subdirectory("dead-letters"),
                      map_bytes({}, directory_.space().total_bytes)),  // the cap is not theirs
        writer_(directory_, limits_, records_, dead_letters_) {
    SpoolDirectory::sync(directory_.subdirectory("records"));
    SpoolDirectory::sync(directory_.subdirectory("dead-letters"));
    const SpoolTotals totals = writer_.totals();
    log::info("spool", "opened",
              {{"directory", options.directory.native()},
               {"waiting", totals.waiting()},
               {"waiting_bytes", totals.waiting_bytes},
               {"dead_letters", writer_.dead_letters_kept()},
               {"set_aside", totals.set_aside},
               {"max_bytes", limits_.max_bytes},
               {"min_free_bytes", limits_.min_free_bytes}});
  }

  [[nodiscard]] const SpoolDirectory& directory() const noexcept { return directory_; }
  [[nodiscard]] const RecordEnv& records() const noexcept { return records_; }
  [[nodiscard]] SpoolWriter& writer() noexcept { return writer_; }

  void on_read_failed(const lmdb::Error& error) {
    if (const auto held_back = read_failures_.admit(error.what())) {
      log::error("spool", "cannot be read", {{"cause", error.what()}, {"repeated", *held_back}});
    }
    if (error.is_damage()) {
      writer_.distrust_records();
    }
  }

 private:
  SpoolDirectory directory_;
  CapacityLimits limits_;
  std::uint64_t map_bytes_;
  RecordEnv records_;
  DeadLetters dead_letters_;
  Repetition read_failures_;
  SpoolWriter writer_;
};

Spool::Spool(const SpoolOptions& options) {
  try {
    impl_ = std::make_unique<Impl>(options);
  } catch (const lmdb::Error& error) {
    throw SpoolError("cannot open the spool in " + options.directory.string() + ": " +
                     error.what() + ". " + remedy_of(error));
  }
}

Spool::~Spool() { close(); }

std::future<Durability> Spool::append(const MessageView& message) {
  return impl_->writer().append(message);
}

bool Spool::remove_stored(SpoolId id, const std::stop_token& stop) {
  return impl_->writer().remove_stored(id, stop);
}

Burial Spool::bury(SpoolId id, Rejection rejection, const std::stop_token& stop) {
  return impl_->writer().bury(id, std::move(rejection), stop);
}

std::optional<std::vector<SpoolEntry>> Spool::list(SpoolId after, std::size_t max) const {
  try {
    return impl_->records().list(after, max);
  } catch (const lmdb::Error& error) {
    impl_->on_read_failed(error);
    return std::nullopt;
  }
}

ReadResult Spool::read(SpoolId id) const {
  try {
    return std::visit(
        [](auto&& result) { return ReadResult(std::forward<decltype(result)>(result)); },
        impl_->records().read(id));
  } catch (const lmdb::Error& error) {
    impl_->on_read_failed(error);
    return ReadFailed{};
  }
}

void Spool::set_append_listener(std::function<void()> listener) {
  impl_->writer().set_append_listener(std::move(listener));
}

std::future<Durability> Spool::write_note(std::string name, std::string text) {
  return impl_->writer().write_note(std::move(name), std::move(text));
}

NoteRead Spool::read_note(const std::string& name) const {
  try {
    auto text = impl_->records().note(name);
    return text ? NoteRead(*std::move(text)) : NoteRead(NoNote{});
  } catch (const lmdb::Error& error) {
    impl_->on_read_failed(error);
    return ReadFailed{};
  }
}

SpoolTotals Spool::totals() const { return impl_->writer().totals(); }

Intake Spool::intake() const { return impl_->writer().intake(); }

std::optional<WallTime> Spool::oldest_received_at() const {
  try {
    return impl_->records().oldest_received_at();
  } catch (const lmdb::Error& error) {
    impl_->on_read_failed(error);
    return std::nullopt;
  }
}

const DurationHistogram& Spool::commit_time() const noexcept {
  return impl_->writer().commit_time();
}

std::uint64_t Spool::files_set_aside() const { return impl_->directory().files_set_aside(); }

std::uint64_t Spool::dead_letters_kept() const { return impl_->writer().dead_letters_kept(); }

void Spool::close() { impl_->writer().close(); }

}  // namespace m2b
