#include "upload/tar_archive.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace std::string_view_literals;
using m2b::Metadata;
using m2b::Object;
using m2b::ObjectKey;
using m2b::TarArchive;

TEST_SUITE("tar archive") {
  constexpr std::size_t kBlock = 512;

  /// An entry as a reader of pax archives sees it.
  struct Entry {
    std::string name;
    std::string body;
    std::uint64_t mode = 0;
    std::map<std::string, std::string> records;
  };

  std::uint64_t octal(std::string_view field) {
    REQUIRE(field.back() == '\0');
    field.remove_suffix(1);
    return std::stoull(std::string(field), nullptr, 8);
  }

  /// By POSIX: the bytes of the block, with blanks for the checksum's own.
  std::uint64_t checksum(std::string_view block) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      sum += i >= 148 && i < 156 ? static_cast<unsigned char>(' ')
                                 : static_cast<unsigned char>(block[i]);
    }
    return sum;
  }

  std::map<std::string, std::string> read_records(std::string_view text) {
    std::map<std::string, std::string> records;
    while (!text.empty()) {
      const std::size_t length = std::stoull(std::string(text.substr(0, text.find(' '))));
      REQUIRE(length <= text.size());
      const std::string_view record = text.substr(0, length);
      REQUIRE(record.back() == '\n');
      const std::size_t begin = record.find(' ') + 1;
      const std::size_t equals = record.find('=');
      const std::string keyword(record.substr(begin, equals - begin));
      CHECK_FALSE(records.contains(keyword));
      records[keyword] = record.substr(equals + 1, length - equals - 2);
      text.remove_prefix(length);
    }
    return records;
  }

  /// Checks all that the format demands on the way.
  std::vector<Entry> read_archive(const TarArchive& archive) {
    std::string text;
    for (const std::string_view piece : archive.pieces()) text += piece;
    REQUIRE(text.size() % kBlock == 0);
    std::vector<Entry> entries;
    std::map<std::string, std::string> records;
    std::size_t at = 0;
    while (text[at] != '\0') {
      const std::string_view header = std::string_view(text).substr(at, kBlock);
      CHECK(header.substr(257, 8) == "ustar\00000"sv);
      CHECK(header.substr(155, 1) == " ");
      CHECK(octal(header.substr(148, 7)) == checksum(header));
      const std::size_t size = octal(header.substr(124, 12));
      const std::string_view data = std::string_view(text).substr(at + kBlock, size);
      const std::size_t padded = (size + kBlock - 1) / kBlock * kBlock;
      const std::string_view padding =
          std::string_view(text).substr(at + kBlock + size, padded - size);
      CHECK(padding.find_first_not_of('\0') == std::string_view::npos);
      if (header[156] == 'x') {
        CHECK(records.empty());
        records = read_records(data);
      } else {
        CHECK(header[156] == '0');
        const std::string_view name = header.substr(0, 100);
        Entry entry{std::string(name.substr(0, name.find('\0'))), std::string(data),
                    octal(header.substr(100, 8)), std::exchange(records, {})};
        if (const auto path = entry.records.find("path"); path != entry.records.end()) {
          entry.name = path->second;
        }
        entries.push_back(std::move(entry));
      }
      at += kBlock + padded;
    }
    CHECK(text.size() - at == 2 * kBlock);
    CHECK(text.find_first_not_of('\0', at) == std::string::npos);
    return entries;
  }

  Object object(std::string_view image_id, std::string body, Metadata metadata = {}) {
    return {std::get<ObjectKey>(ObjectKey::from_image_id(image_id)), std::move(body), "image/jpeg",
            std::move(metadata)};
  }

  std::vector<Entry> archived(const std::vector<Object>& objects) {
    std::vector<const Object*> pointers;
    pointers.reserve(objects.size());
    for (const Object& each : objects) pointers.push_back(&each);
    return read_archive(TarArchive(pointers));
  }

  TEST_CASE("objects become entries with content type and metadata") {
    const auto entries = archived({object("1", "first", {{"image_id", "1"}, {"topic", "a=b c"}}),
                                   object("2", "second", {{"image_id", "2"}})});
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].name == "1.jpg");
    CHECK(entries[0].body == "first");
    CHECK(entries[0].mode == 0644);
    CHECK(entries[0].records ==
          std::map<std::string, std::string>{{"minio.metadata.Content-Type", "image/jpeg"},
                                             {"minio.metadata.X-Amz-Meta-image_id", "1"},
                                             {"minio.metadata.X-Amz-Meta-topic", "a=b c"},
                                             {"mtime", "-62135596800"}});
    CHECK(entries[1].name == "2.jpg");
    CHECK(entries[1].body == "second");
    CHECK(entries[1].records.at("minio.metadata.X-Amz-Meta-image_id") == "2");
  }

  TEST_CASE("bodies of every size are padded to blocks") {
    std::vector<Object> objects;
    for (const std::size_t size : {0, 1, 511, 512, 513, 1024, 65'536}) {
      objects.push_back(object(std::to_string(size), std::string(size, 'x')));
    }
    const auto entries = archived(objects);
    REQUIRE(entries.size() == objects.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
      CHECK(entries[i].name == objects[i].key.str());
      CHECK(entries[i].body.size() == objects[i].body.size());
    }
  }

  TEST_CASE("records of every length count themselves right") {
    for (std::size_t length = 1; length < 1100; ++length) {
      const std::string value(length, 'v');
      const auto entries = archived({object("1", "", {{"n", value}})});
      const bool same = entries.at(0).records.at("minio.metadata.X-Amz-Meta-n") == value;
      CHECK(same);
    }
  }

  TEST_CASE("names that the old field cannot hold are told in full") {
    for (const std::string& id : {std::string(96, 'a'), std::string(97, 'a'), std::string("Größe"),
                                  std::string(200, 'd') + "/" + std::string(200, 'f')}) {
      const auto entries = archived({object(id, "body")});
      REQUIRE(entries.size() == 1);
      CHECK(entries[0].name == id + ".jpg");
      CHECK(entries[0].records.contains("path") == (id.size() != 96));
    }
  }

  TEST_CASE("bodies are not copied") {
    const Object one = object("1", std::string(1000, 'x'));
    const Object* const pointer = &one;
    const TarArchive archive({&pointer, 1});
    REQUIRE(archive.pieces().size() == 3);
    CHECK(static_cast<const void*>(archive.pieces()[1].data()) == one.body.data());
  }

  TEST_CASE("only names that stay as they are may be in an archive") {
    for (const std::string_view good :
         {"a", "a/b.jpg", ".a", "..a", "a..", "a/...jpg", " ", "a\\b", "ü/日.jpg"}) {
      CHECK(m2b::is_archive_name(good));
    }
    for (const std::string_view bad : {""sv, "/"sv, "/a"sv, "a/"sv, "a//b"sv, "."sv, ".."sv,
                                       "./a"sv, "a/./b"sv, "a/../b"sv, "a/.."sv, "a\0b"sv}) {
      CHECK_FALSE(m2b::is_archive_name(bad));
    }
  }
}

}  // namespace
