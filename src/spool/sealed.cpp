#include "spool/sealed.hpp"

#include <xxhash.h>

#include <cstdint>

#include "spool/little_endian.hpp"

namespace m2b::sealed {
namespace {

constexpr std::size_t kChecksumBytes = sizeof(std::uint64_t);

std::string second(std::string_view key) { return std::string(key) + "~"; }

std::optional<std::string> get_one(const lmdb::Txn& txn, MDB_dbi dbi, std::string_view key) {
  const auto bytes = lmdb::get(txn, dbi, key);
  return bytes ? open(*bytes) : std::nullopt;
}

}  // namespace

std::string seal(std::string_view text) {
  std::string bytes(kChecksumBytes, '\0');
  store_le(bytes.data(), std::uint64_t{XXH3_64bits(text.data(), text.size())});
  return bytes.append(text);
}

std::optional<std::string> open(std::string_view sealed) {
  if (sealed.size() < kChecksumBytes) {
    return std::nullopt;
  }
  const std::string_view text = sealed.substr(kChecksumBytes);
  const bool intact =
      load_le<std::uint64_t>(sealed.data()) == XXH3_64bits(text.data(), text.size());
  return intact ? std::optional(std::string(text)) : std::nullopt;
}

void put(const lmdb::Txn& txn, MDB_dbi dbi, std::string_view key, std::string_view text) {
  const std::string bytes = seal(text);
  lmdb::put(txn, dbi, key, bytes);
  lmdb::put(txn, dbi, second(key), bytes);
}

std::optional<std::string> get(const lmdb::Txn& txn, MDB_dbi dbi, std::string_view key) {
  auto text = get_one(txn, dbi, key);
  return text ? text : get_one(txn, dbi, second(key));
}

}  // namespace m2b::sealed
