#include "m2b/spool/spool.hpp"

#include <cerrno>
#include <mutex>
#include <string_view>
#include <utility>

#include "m2b/util/log.hpp"
#include "m2b/util/repetition.hpp"
#include "spool/capacity.hpp"
#include "spool/dead_letters.hpp"
#include "spool/private_files.hpp"
#include "spool/record_env.hpp"
#include "spool/spool_directory.hpp"
#include "spool/spool_writer.hpp"

namespace m2b {
namespace {

/// The key that encrypts what is written; empty: none does.
constexpr std::string_view kEncryptedNote = "encrypted";

CapacityLimits limits_of(const SpoolOptions& options, std::uint64_t file_system_bytes) {
  return {options.max_bytes,
          options.min_free_bytes.value_or(default_min_free_bytes(file_system_bytes))};
}

LetterLimits letter_limits_of(const SpoolOptions& options, std::uint64_t file_system_bytes) {
  return {options.dead_letter_max_bytes.value_or(default_letter_bytes(file_system_bytes)),
          options.dead_letter_max_age};
}

RawResult raw_result(std::optional<std::optional<std::string>> bytes) {
  if (!bytes) {
    return ReadFailed{};
  }
  return *bytes ? RawResult(**std::move(bytes)) : RawResult(NoRecord{});
}

}  // namespace

class Spool::Impl {
 public:
  explicit Impl(const SpoolOptions& options)
      : directory_(options.directory),
        limits_(limits_of(options, directory_.space().total_bytes)),
        map_bytes_(map_bytes_for(limits_.max_bytes, directory_.space().total_bytes)),
        records_(directory_.subdirectory("records"), map_bytes_, options.keys),
        dead_letters_(directory_.subdirectory("dead-letters"),
                      map_bytes_for(0, directory_.space().total_bytes),  // the cap is not theirs
                      options.keys),
        writer_(directory_, limits_, letter_limits_of(options, directory_.space().total_bytes),
                records_, dead_letters_) {
    keep_encrypted(options.directory);
    SpoolDirectory::sync(directory_.subdirectory("records"));
    SpoolDirectory::sync(directory_.subdirectory("dead-letters"));
    const SpoolTotals totals = writer_.totals();
    log::info("spool", "opened",
              {{"directory", options.directory.native()},
               {"waiting", totals.waiting()},
               {"waiting_bytes", totals.waiting_bytes},
               {"dead_letters", writer_.dead_letters_kept()},
               {"set_aside", totals.set_aside},
               {"encrypts_with", encrypting_key()},
               {"max_bytes", limits_.max_bytes},
               {"min_free_bytes", limits_.min_free_bytes}});
  }

  [[nodiscard]] const SpoolDirectory& directory() const noexcept { return directory_; }
  [[nodiscard]] const RecordEnv& records() const noexcept { return records_; }
  [[nodiscard]] const DeadLetters& dead_letters() const noexcept { return dead_letters_; }
  [[nodiscard]] SpoolWriter& writer() noexcept { return writer_; }

  [[nodiscard]] SpoolRoom room() const {
    const RecordEnv::Usage used = records_.usage();
    return room_of(limits_, {.live_bytes = used.live_bytes,
                             .pending_bytes = used.pending_bytes,
                             .file_bytes = used.file_bytes,
                             .disk_free_bytes = directory_.space().free_bytes});
  }

  /// What `read` gives; nothing when the disk did not answer.
  template <class Read>
  [[nodiscard]] auto read(Read read) -> std::optional<decltype(read(*this))> {
    try {
      return read(*this);
    } catch (const lmdb::Error& error) {
      on_read_failed(error);
      return std::nullopt;
    }
  }

  void on_read_failed(const lmdb::Error& error) {
    if (const auto held_back = read_failures_.admit(error.what())) {
      log::error("spool", "cannot be read", {{"cause", error.what()}, {"repeated", *held_back}});
    }
    if (error.is_damage()) {
      writer_.distrust_records();
    }
  }

 private:
  [[nodiscard]] std::string encrypting_key() const {
    const EncryptionKey* const key = records_.keys().encrypting();
    return key != nullptr ? to_string(key->id()) : "";
  }

  /// Whoever encrypts a spool and then, by mistake, starts without the keys must hear of it.
  void keep_encrypted(const std::filesystem::path& directory) {
    const std::string last = records_.note(kEncryptedNote).value_or("");
    if (!last.empty() && !records_.keys().is_given()) {
      throw SpoolError("the spool in " + private_files::shown(directory) +
                       " is encrypted, with key " + last +
                       ", and SPOOL_KEY is not set. Set SPOOL_KEY or SPOOL_KEY_FILE; to go on in "
                       "the clear, with the line `plain` before the keys");
    }
    if (encrypting_key() != last) {
      // On a full disk it is written later, with what waits for room.
      static_cast<void>(writer_.write_note(std::string(kEncryptedNote), encrypting_key()));
    }
  }

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
    throw SpoolError("cannot open the spool in " + private_files::shown(options.directory) + ": " +
                     error.what() + ". " +
                     remedy_of(error.code(), options.directory, options.max_bytes));
  }
}

Spool::~Spool() { close(); }

void Spool::append(const MessageView& message, OnDurable on_durable, std::stop_token withdraw) {
  impl_->writer().append(message, std::move(on_durable), std::move(withdraw));
}

std::future<Durability> Spool::append(const MessageView& message) {
  auto promise = std::make_shared<std::promise<Durability>>();
  std::future<Durability> ticket = promise->get_future();
  append(message, [promise = std::move(promise)](Durability durability, SpoolId /*id*/) {
    promise->set_value(durability);
  });
  return ticket;
}

bool Spool::remove_stored(SpoolId id, const std::stop_token& stop) {
  return impl_->writer().remove_stored(id, stop);
}

Burial Spool::bury(SpoolId id, Rejection rejection, const std::stop_token& stop) {
  return impl_->writer().bury(id, std::move(rejection), stop);
}

std::optional<std::vector<SpoolEntry>> Spool::list(SpoolId after, std::size_t max) const {
  return impl_->read([&](Impl& impl) { return impl.records().list(after, max); });
}

std::optional<SpoolId> Spool::last_id() const {
  return impl_->read([](Impl& impl) { return impl.records().last_id(); });
}

ReadResult Spool::read(SpoolId id) const {
  auto found = impl_->read([&](Impl& impl) { return impl.records().read(id); });
  if (!found) {
    return ReadFailed{};
  }
  return std::visit(
      [](auto&& result) { return ReadResult(std::forward<decltype(result)>(result)); },
      *std::move(found));
}

std::optional<std::vector<RecordInfo>> Spool::describe(SpoolId after, std::size_t max) const {
  return impl_->read([&](Impl& impl) { return impl.records().describe(after, max); });
}

RawResult Spool::read_raw(SpoolId id, std::size_t offset, std::size_t max_bytes) const {
  return raw_result(
      impl_->read([&](Impl& impl) { return impl.records().read_raw(id, offset, max_bytes); }));
}

std::optional<std::vector<LetterInfo>> Spool::describe_letters(SpoolId after,
                                                               std::size_t max) const {
  return impl_->read([&](Impl& impl) { return impl.dead_letters().list(after, max); });
}

std::optional<std::vector<LetterInfo>> Spool::latest_letters(std::size_t max) const {
  return impl_->read([&](Impl& impl) { return impl.dead_letters().latest(max); });
}

RawResult Spool::read_letter(SpoolId id, std::size_t offset, std::size_t max_bytes) const {
  return raw_result(
      impl_->read([&](Impl& impl) { return impl.dead_letters().read_raw(id, offset, max_bytes); }));
}

PayloadRead Spool::read_letter_payload(SpoolId id, std::size_t max_bytes) const {
  auto found =
      impl_->read([&](Impl& impl) { return impl.dead_letters().payload_beginning(id, max_bytes); });
  if (!found) {
    return ReadFailed{};
  }
  if (!*found) {
    return NoRecord{};
  }
  return std::visit(
      [](auto&& result) { return PayloadRead(std::forward<decltype(result)>(result)); },
      **std::move(found));
}

const KeyRing& Spool::keys() const noexcept { return impl_->records().keys(); }

std::future<LettersMoved> Spool::move_letters(LetterMove move, std::vector<SpoolId> ids) {
  return impl_->writer().move_letters(move, std::move(ids));
}

void Spool::set_append_listener(std::function<void()> listener) {
  impl_->writer().set_append_listener(std::move(listener));
}

std::future<Durability> Spool::write_note(std::string name, std::string text) {
  return impl_->writer().write_note(std::move(name), std::move(text));
}

NoteRead Spool::read_note(const std::string& name) const {
  auto text = impl_->read([&](Impl& impl) { return impl.records().note(name); });
  if (!text) {
    return ReadFailed{};
  }
  return *text ? NoteRead(**std::move(text)) : NoteRead(NoNote{});
}

SpoolTotals Spool::totals() const { return impl_->writer().totals(); }

Intake Spool::intake() const { return impl_->writer().intake(); }

std::optional<std::chrono::steady_clock::time_point> Spool::closed_since() const {
  return impl_->writer().closed_since();
}

std::optional<SpoolRoom> Spool::room() const {
  return impl_->read([](Impl& impl) { return impl.room(); });
}

bool Spool::has_room_for(std::uint64_t payload_bytes) const {
  return impl_->read([&](Impl& impl) { return impl.writer().has_room_for(payload_bytes); })
      .value_or(false);
}

std::uint64_t Spool::progress() const noexcept { return impl_->writer().progress(); }

std::optional<WallTime> Spool::oldest_received_at() const {
  return impl_->read([](Impl& impl) { return impl.records().oldest_received_at(); })
      .value_or(std::nullopt);
}

const DurationHistogram& Spool::commit_time() const noexcept {
  return impl_->writer().commit_time();
}

std::uint64_t Spool::files_set_aside() const { return impl_->directory().files_set_aside(); }

std::uint64_t Spool::dead_letters_kept() const { return impl_->writer().dead_letters_kept(); }

const Pulse& Spool::pulse() const noexcept { return impl_->writer().pulse(); }

void Spool::poke() { impl_->writer().poke(); }

LettersDropped Spool::dead_letters_dropped() const {
  return impl_->writer().dead_letters_dropped();
}

void Spool::close() { impl_->writer().close(); }

}  // namespace m2b
