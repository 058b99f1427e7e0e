#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "m2b/util/fd.hpp"

namespace m2b::lmdb {

/// An LMDB file read without LMDB: page by page, no number believed before it is checked. LMDB
/// trusts its tree pages and crashes on damaged ones; this reader reports them and goes on behind
/// them. Layout: mdb.c of LMDB 0.9.24, MDB_meta, MDB_page, MDB_node; 64-bit, byte order of this
/// machine, pages of 4,096 bytes.
///
/// For one thread at a time, while nobody writes the file. What values hold has checksums of its
/// own.
class File {
 public:
  static constexpr std::size_t kPageBytes = 4096;
  using Page = std::array<char, kPageBytes>;

  /// The two newest commits are both in the file, each with a tree of its own.
  enum class Snapshot { newest, previous };

  /// A value, inside a leaf or in pages of its own.
  struct Value {
    std::uint64_t bytes = 0;
    std::uint64_t page = 0;    // first page of its own; 0: none
    std::string_view in_leaf;  // without pages of its own

    [[nodiscard]] std::uint64_t pages() const noexcept;
  };
  using Visit = std::function<void(std::string_view key, const Value& value)>;

  /// How closely find_fault() looks.
  enum class Scrutiny {
    trees,  ///< every page that LMDB has to walk; cheap even with a large backlog
    values  ///< and the header of each value's own pages, by which LMDB frees them
  };

  /// Throws Error when the file cannot be opened, and SpoolError when it, or its folder, is a link.
  explicit File(const std::filesystem::path& path);

  /// Whether there is nothing in it yet, as after a crash of the very first start.
  [[nodiscard]] bool is_empty() const noexcept { return page_count_ == 0; }

  /// The first fault of the newest commit, for a person: metas, trees, free pages. Nothing: LMDB
  /// can walk all of it, and no page is used twice.
  [[nodiscard]] std::optional<std::string> find_fault(Scrutiny scrutiny) const;

  /// Every entry of a named database that can be reached, in the order of its keys as far as they
  /// are sound.
  void walk(Snapshot snapshot, std::string_view database, const Visit& visit) const;

  /// Whether both meta pages are sound; if not, what is taken for the newest commit may be the one
  /// before.
  [[nodiscard]] bool knows_its_newest() const;

  /// Every entry of every leaf, reached by a tree or not: also of older commits, of others that
  /// failed, and of the list of free pages. Reads the whole file.
  void scan(const Visit& visit) const;

  /// The bytes of a value, or its first ones; nothing where they cannot be read.
  [[nodiscard]] std::optional<std::string> load(const Value& value,
                                                std::uint64_t max_bytes = ~std::uint64_t{0}) const;

 private:
  struct Tree {
    std::uint16_t flags = 0;
    std::uint16_t depth = 0;
    std::uint64_t branch_pages = 0;
    std::uint64_t leaf_pages = 0;
    std::uint64_t overflow_pages = 0;
    std::uint64_t entries = 0;
    std::uint64_t root = 0;
  };
  struct Meta {
    Tree free_pages;
    Tree main;
    std::uint64_t map_bytes = 0;
    std::uint64_t last_page = 0;
    std::uint64_t transaction = 0;
  };
  class Walker;

  [[nodiscard]] bool is_header_of(const Value& value) const;
  [[nodiscard]] static Tree decode_tree(const char* from);
  [[nodiscard]] bool read(std::uint64_t page, Page& to) const;
  [[nodiscard]] std::optional<Meta> read_meta(std::uint64_t page, std::string& fault) const;
  [[nodiscard]] std::optional<Meta> meta_of(Snapshot snapshot) const;
  [[nodiscard]] std::optional<std::string> find_fault_of(const Meta& meta, Scrutiny scrutiny) const;

  Fd fd_;
  std::uint64_t page_count_ = 0;
};

/// Whether LMDB will free just the pages of this value, which it goes by their header for. `value`
/// is where LMDB keeps it, under a key of eight bytes.
[[nodiscard]] bool frees_its_own_pages(std::string_view value) noexcept;

}  // namespace m2b::lmdb
