// object, upload/tar_archive, upload/sigv4: what a publisher chooses (image id, topic, numbers) and
// what an operator chooses (the prefix of dead letters) neither leaves its place in the bucket nor
// becomes a header, an archive entry or a part of a signature by itself.

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fuzz/checks.hpp"
#include "m2b/object/content_type.hpp"
#include "m2b/object/metadata.hpp"
#include "m2b/object/object_key.hpp"
#include "upload/sigv4.hpp"
#include "upload/tar_archive.hpp"

namespace {

using namespace m2b;
using fuzz::require;

/// The way back from percent encoding.
std::string decode_percent(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned byte = 0;
    require(i + 2 < text.size(), "a percent sign is followed by two digits");
    const auto [end, error] = std::from_chars(&text[i + 1], &text[i + 1] + 2, byte, 16);
    require(error == std::errc() && end == &text[i + 1] + 2, "which are hexadecimal");
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

struct Entry {
  std::string path;
  std::string content_type;
  Metadata metadata;
  std::string body;
};

/// Reads the archive as POSIX describes it, and nothing that we write by accident.
class ArchiveReader {
 public:
  explicit ArchiveReader(std::string_view archive) : rest_(archive) {}

  std::optional<Entry> next() {
    if (at_end()) return std::nullopt;
    Entry entry;
    take_records(entry);
    const std::string_view header = take_header('0');
    std::string_view name = header.substr(0, 100);
    name = name.substr(0, name.find('\0'));
    if (entry.path.empty()) entry.path = name;
    entry.body = take_padded(size_of(header));
    return entry;
  }

 private:
  static constexpr std::size_t kBlock = 512;

  bool at_end() const {
    const bool ended = rest_.front() == '\0';
    require(!ended || (rest_.size() == 2 * kBlock && rest_.find_first_not_of('\0') == rest_.npos),
            "two blocks of zeroes end the archive");
    return ended;
  }

  static std::size_t octal(std::string_view field) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), number, 8);
    require(error == std::errc() && end != field.data(), "a number of a header is octal");
    return number;
  }

  static std::size_t size_of(std::string_view header) { return octal(header.substr(124, 12)); }

  std::string_view take_header(char type) {
    require(rest_.size() >= kBlock, "a header is whole");
    const std::string_view header = rest_.substr(0, kBlock);
    rest_.remove_prefix(kBlock);
    std::size_t sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(header[i]);
    }
    require(octal(header.substr(148, 8)) == sum, "a header's checksum is right");
    require(header[156] == type, "an entry has extended records, then the file");
    require(header.substr(257, 6) == std::string_view("ustar\0", 6), "it is ustar");
    return header;
  }

  std::string take_padded(std::size_t size) {
    require(rest_.size() >= size, "a body is whole");
    std::string bytes(rest_.substr(0, size));
    rest_.remove_prefix(std::min((size + kBlock - 1) / kBlock * kBlock, rest_.size()));
    return bytes;
  }

  void take_records(Entry& entry) {
    const std::string records = take_padded(size_of(take_header('x')));
    for (std::string_view rest = records; !rest.empty();) {
      std::size_t length = 0;
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
      require(error == std::errc() && *end == ' ' && length <= rest.size(),
              "a record has a length");
      std::string_view record = rest.substr(0, length);
      require(record.ends_with('\n'), "a record ends with its line");
      record.remove_suffix(1);
      record.remove_prefix(record.find(' ') + 1);
      const std::size_t equals = record.find('=');
      require(equals != std::string_view::npos, "a record has a keyword");
      take_record(entry, record.substr(0, equals), record.substr(equals + 1));
      rest.remove_prefix(length);
    }
  }

  static void take_record(Entry& entry, std::string_view keyword, std::string_view value) {
    constexpr std::string_view kMetadata = "minio.metadata.X-Amz-Meta-";
    if (keyword == "path") {
      entry.path = value;
    } else if (keyword == "minio.metadata.Content-Type") {
      entry.content_type = value;
    } else if (keyword.starts_with(kMetadata)) {
      entry.metadata.emplace_back(keyword.substr(kMetadata.size()), value);
    } else {
      require(keyword == "mtime", "there are no other records");
    }
  }

  std::string_view rest_;
};

void check_archive(const std::vector<const Object*>& objects) {
  const TarArchive archive(objects);
  std::string bytes;
  for (const std::string_view piece : archive.pieces()) bytes += piece;
  require(bytes.size() % 512 == 0, "an archive is whole blocks");
  ArchiveReader reader(bytes);
  for (const Object* const object : objects) {
    const auto entry = reader.next();
    require(entry.has_value(), "each object is an entry");
    require(entry->path == object->key.str(), "under its key");
    require(entry->body == object->body, "with its bytes");
    require(entry->content_type == object->content_type, "its type");
    require(entry->metadata == object->metadata, "and its metadata");
  }
  require(!reader.next(), "and nothing else is one");
}

/// The lines that are signed, and so what is sent: none more than the headers that we mean.
void check_signature(const Object& object) {
  const std::string path = encode_path("/bucket/" + object.key.str());
  require(fuzz::is_visible_ascii(path), "a path is visible ASCII");
  require(path.find_first_of("?#\\\"<>") == std::string::npos, "a path has no query");
  require(decode_percent(path) == "/bucket/" + object.key.str(), "a path says the key");
  SigningRequest request{"PUT",
                         path,
                         {},
                         {{"Host", "store"}, {"Content-Type", std::string(object.content_type)}},
                         "hash"};
  for (const auto& [name, value] : object.metadata) {
    request.headers.emplace_back("x-amz-meta-" + name, value);
  }
  const std::string canonical = canonical_request(request);
  const auto lines = static_cast<std::size_t>(std::ranges::count(canonical, '\n')) + 1;
  require(lines == 6 + request.headers.size(), "a canonical request has a line for each header");
  RequestSigner signer({"access", "secret", "us-east-1"});
  for (const auto& [name, value] : signer.sign(request, std::chrono::sys_seconds{})) {
    require(value.find_first_of("\r\n") == std::string::npos, "a header is one line");
  }
}

std::optional<Object> picture(FuzzedDataProvider& input) {
  const std::string image_id = input.ConsumeRandomLengthString(1100);
  const std::string topic = input.ConsumeRandomLengthString(3000);
  ImageFacts facts;
  facts.image_id = image_id;
  facts.topic = topic;
  for (std::string* const number :
       {&facts.timestamp_ms, &facts.image_height, &facts.image_width, &facts.image_channels}) {
    *number = std::to_string(input.ConsumeIntegral<std::int64_t>());
  }
  const Metadata metadata = make_metadata(facts);
  fuzz::check_metadata(metadata);
  require(decode_percent(encode_metadata_value(topic)) == topic, "encoded metadata can be read");

  auto key = ObjectKey::from_image_id(image_id);
  if (const auto* const fault = std::get_if<std::string>(&key)) {
    require(!fault->empty() && fault->size() < 500 && fuzz::is_one_visible_line(*fault),
            "a fault is told in a short line");
    return std::nullopt;
  }
  Object object{
      std::get<ObjectKey>(std::move(key)), input.ConsumeRandomLengthString(1000), {}, metadata};
  object.content_type = content_type(object.body);
  fuzz::check_key(object.key.str());
  require(object.key.str() == image_id + ".jpg", "the id is all of the key");
  require(fuzz::is_visible_ascii(object.content_type), "the content type is one of ours");
  return object;
}

/// What an operator sets as DEAD_LETTER_PREFIX.
void letter(FuzzedDataProvider& input) {
  const std::string prefix = input.ConsumeRandomLengthString(600);
  const std::string detail = input.ConsumeRandomLengthString(1000);
  const std::string topic = input.ConsumeRandomLengthString(3000);
  fuzz::check_metadata(make_letter_metadata({"not_json", detail, topic, "1", "2"}));
  const auto key = ObjectKey::from_parts(prefix, "00000000000000000001-0123456789abcdef.json");
  if (const auto* const made = std::get_if<ObjectKey>(&key)) {
    fuzz::check_key(made->str());
    require(made->str().starts_with(prefix), "a letter stays under its prefix");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  letter(input);
  std::vector<Object> objects;
  while (input.remaining_bytes() > 0 && objects.size() < 4) {
    if (auto object = picture(input)) objects.push_back(*std::move(object));
  }
  std::vector<const Object*> archived;
  for (const Object& object : objects) {
    check_signature(object);
    if (is_archive_name(object.key.str())) archived.push_back(&object);
  }
  check_archive(archived);
  return 0;
}
