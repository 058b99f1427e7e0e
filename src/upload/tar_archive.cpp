#include "upload/tar_archive.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <vector>

#include <fmt/format.h>

namespace m2b {
namespace {

constexpr std::size_t kBlockBytes = 512;
constexpr std::size_t kEndBlocks = 2;  // of zeros, behind the last entry
constexpr char kExtendedHeader = 'x';
constexpr char kRegularFile = '0';
/// Name of an entry whose true name stands in its extended header, and of those headers themselves.
constexpr std::string_view kPlaceholder = "object";
/// Seconds from 1970 to the zero of Go's time.Time, 0001-01-01: see the class.
constexpr std::string_view kNoTime = "-62135596800";

/// Header block of POSIX.1-2001, pax, "ustar Interchange Format".
struct UstarHeader {
  std::array<char, 100> name;
  std::array<char, 8> mode;
  std::array<char, 8> uid;
  std::array<char, 8> gid;
  std::array<char, 12> size;
  std::array<char, 12> mtime;
  std::array<char, 8> checksum;
  char type;
  std::array<char, 100> link_name;
  std::array<char, 6> magic;
  std::array<char, 2> version;
  std::array<char, 32> user_name;
  std::array<char, 32> group_name;
  std::array<char, 8> device_major;
  std::array<char, 8> device_minor;
  std::array<char, 155> prefix;
  std::array<char, 12> unused;
};
static_assert(sizeof(UstarHeader) == kBlockBytes);

/// Octal digits, zeros in front, a NUL at the end.
template <std::size_t size>
void put_octal(std::array<char, size>& field, std::uint64_t number) {
  field.back() = '\0';
  for (std::size_t i = size - 1; i-- > 0; number /= 8) {
    field[i] = static_cast<char>('0' + number % 8);
  }
  assert(number == 0);
}

template <std::size_t size>
void put_text(std::array<char, size>& field, std::string_view text) {
  assert(text.size() <= size);
  std::copy(text.begin(), text.end(), field.begin());
}

/// The sum of all bytes, those of the checksum itself taken for blanks.
void put_checksum(UstarHeader& header) {
  header.checksum.fill(' ');
  std::array<std::uint8_t, kBlockBytes> bytes{};
  std::memcpy(bytes.data(), &header, kBlockBytes);
  std::uint64_t sum = 0;
  for (const std::uint8_t byte : bytes) sum += byte;
  std::array<char, 7> digits{};
  put_octal(digits, sum);
  std::copy(digits.begin(), digits.end(), header.checksum.begin());  // then the last blank
}

void append_header(std::string& text, std::string_view name, char type, std::size_t size) {
  UstarHeader header{};
  put_text(header.name, name);
  put_octal(header.mode, 0644);
  put_octal(header.uid, 0);
  put_octal(header.gid, 0);
  put_octal(header.size, size);
  put_octal(header.mtime, 0);
  header.type = type;
  put_text(header.magic, std::string_view("ustar\0", 6));
  put_text(header.version, "00");
  put_octal(header.device_major, 0);
  put_octal(header.device_minor, 0);
  put_checksum(header);
  text.append(reinterpret_cast<const char*>(&header), kBlockBytes);
}

void pad(std::string& text, std::size_t size) {
  text.append((kBlockBytes - size % kBlockBytes) % kBlockBytes, '\0');
}

/// `<length> <keyword>=<value>\n`, where the length counts its own digits as well.
void append_record(std::string& records, std::string_view keyword, std::string_view value) {
  const std::size_t rest = keyword.size() + value.size() + 3;  // blank, '=', newline
  std::size_t length = rest;
  std::size_t digits = 0;
  while (digits != fmt::formatted_size("{}", length)) {
    digits = fmt::formatted_size("{}", length);
    length = rest + digits;
  }
  fmt::format_to(std::back_inserter(records), "{} {}={}\n", length, keyword, value);
}

bool fits_name_field(std::string_view key) {
  return key.size() <= sizeof(UstarHeader::name) &&
         std::all_of(key.begin(), key.end(),
                     [](char each) { return static_cast<unsigned char>(each) < 0x80; });
}

std::string extended_records(const Object& object) {
  std::string records;
  append_record(records, "mtime", kNoTime);
  if (!fits_name_field(object.key.str())) append_record(records, "path", object.key.str());
  append_record(records, "minio.metadata.Content-Type", object.content_type);
  for (const auto& [name, value] : object.metadata) {
    append_record(records, "minio.metadata.X-Amz-Meta-" + name, value);
  }
  return records;
}

void append_entry_headers(std::string& text, const Object& object) {
  const std::string& key = object.key.str();
  const std::string records = extended_records(object);
  append_header(text, kPlaceholder, kExtendedHeader, records.size());
  text += records;
  pad(text, records.size());
  append_header(text, fits_name_field(key) ? key : kPlaceholder, kRegularFile, object.body.size());
}

}  // namespace

TarArchive::TarArchive(std::span<const Object* const> objects) {
  // Where each body comes in; views are made when the text no longer moves.
  std::vector<std::size_t> cuts;
  cuts.reserve(objects.size());
  for (const Object* const object : objects) {
    append_entry_headers(headers_, *object);
    cuts.push_back(headers_.size());
    pad(headers_, object->body.size());
  }
  headers_.append(kEndBlocks * kBlockBytes, '\0');

  pieces_.reserve(2 * objects.size() + 1);
  const std::string_view text = headers_;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    pieces_.push_back(text.substr(begin, cuts[i] - begin));
    pieces_.emplace_back(objects[i]->body);
    begin = cuts[i];
  }
  pieces_.push_back(text.substr(begin));
}

bool is_archive_name(std::string_view key) noexcept {
  if (key.find('\0') != std::string_view::npos) return false;
  for (;;) {
    const std::size_t slash = key.find('/');
    const std::string_view segment = key.substr(0, slash);
    if (segment.empty() || segment == "." || segment == "..") return false;
    if (slash == std::string_view::npos) return true;
    key.remove_prefix(slash + 1);
  }
}

}  // namespace m2b
