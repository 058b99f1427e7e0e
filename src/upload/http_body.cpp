#include "upload/http_body.hpp"

namespace m2b {

std::size_t size_of(const BodyPieces& pieces) noexcept {
  std::size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  return size;
}

BodyReader::BodyReader(const BodyPieces& pieces) noexcept
    : pieces_(&pieces), size_(size_of(pieces)), left_(size_) {}

std::size_t BodyReader::read(char* buffer, std::size_t room) noexcept {
  std::size_t done = 0;
  while (pieces_ != nullptr && piece_ < pieces_->size() && done < room) {
    const std::string_view rest = (*pieces_)[piece_].substr(offset_);
    const std::size_t length = rest.copy(buffer + done, room - done);
    done += length;
    offset_ += length;
    if (length == rest.size()) {
      ++piece_;
      offset_ = 0;
    }
  }
  left_ -= done;
  return done;
}

bool BodyReader::seek(std::uint64_t offset) noexcept {
  if (offset > size_) return false;
  left_ = size_ - static_cast<std::size_t>(offset);
  piece_ = 0;
  offset_ = 0;
  while (pieces_ != nullptr && piece_ < pieces_->size() && offset >= (*pieces_)[piece_].size()) {
    offset -= (*pieces_)[piece_].size();
    ++piece_;
  }
  offset_ = static_cast<std::size_t>(offset);
  return true;
}

}  // namespace m2b
