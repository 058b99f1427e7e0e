#include "spool/large_record.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace m2b {
namespace {

/// Takes as much of `from` as there is and has room, and returns how much that was.
std::size_t take(std::string& from, std::span<char> to) {
  const std::size_t bytes = from.copy(to.data(), to.size());
  from.erase(0, bytes);
  return bytes;
}

RecordStream::Read reader_of(const MessageView& message) {
  return [topic = message.topic, payload = message.payload](std::span<char> to) mutable {
    const std::size_t of_topic = topic.copy(to.data(), to.size());
    topic.remove_prefix(of_topic);
    payload.remove_prefix(payload.copy(to.data() + of_topic, to.size() - of_topic));
  };
}

RecordHeader with_key(RecordHeader header, const EncryptionKey* key) {
  if (!header.key && key != nullptr) {
    header.key = key->id();
  }
  return header;
}

}  // namespace

RecordStream::RecordStream(SpoolId id, const MessageView& message, const EncryptionKey* key)
    : RecordStream(id, header_of(message, nullptr), reader_of(message), key) {}

RecordStream::RecordStream(SpoolId id, const RecordHeader& header, Read read,
                           const EncryptionKey* key)
    : header_(with_key(header, key)),
      header_bytes_(encode_header(header_)),
      read_(std::move(read)),
      text_left_(header_.record_bytes() - RecordHeader::kBytes),
      left_(text_left_),
      checksum_(id, {header_bytes_.data(), header_bytes_.size()}) {
  const bool encrypts = !header.key && key != nullptr;
  if (encrypts) {
    encryption_.emplace(*key, bound_to_text({header_bytes_.data(), header_bytes_.size()}));
    before_text_ = encryption_->salt();
    text_left_ -= cipher::kOverheadBytes;
  }
}

void RecordStream::next(std::span<char> to) {
  assert(to.size() <= left_);
  if (encryption_) {
    read_encrypted(to);
  } else {
    read_(to);
  }
  checksum_.add({to.data(), to.size()});
  left_ -= to.size();
}

void RecordStream::read_encrypted(std::span<char> to) {
  to = to.subspan(take(before_text_, to));
  const std::span<char> text = to.first(std::min(to.size(), text_left_));
  if (!text.empty()) {
    read_(text);
    encryption_->pass(text);
    text_left_ -= text.size();
    if (text_left_ == 0) {
      const auto tag = encryption_->tag();
      after_text_.assign(tag.data(), tag.size());
    }
  }
  take(after_text_, to.subspan(text.size()));
}

HeaderBytes RecordStream::header() const {
  HeaderBytes header = header_bytes_;
  set_checksum(header, checksum_.value());
  return header;
}

void LargeRecord::begin(SpoolId id, const EncryptionKey* key) {
  if (stream_) {
    return;
  }
  stream_.emplace(open_(id, key));
  first_.resize(std::min(PieceStore::kPieceBytes, stream_->bytes()));
  stream_->next(std::span<char>(first_).subspan(RecordHeader::kBytes));
}

std::size_t LargeRecord::next_bytes() const noexcept {
  return std::min(PieceStore::kPieceBytes, stream_->left());
}

void LargeRecord::write_next(std::span<char> to) {
  stream_->next(to);
  ++last_piece_;
}

std::string_view LargeRecord::first_piece() {
  const HeaderBytes header = stream_->header();
  std::copy(header.begin(), header.end(), first_.begin());
  return first_;
}

}  // namespace m2b
