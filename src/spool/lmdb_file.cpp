#include "spool/lmdb_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "spool/lmdb.hpp"
#include "spool/private_files.hpp"

namespace m2b::lmdb {
namespace {

// MDB_page
constexpr std::size_t kPageHeaderBytes = 16;
constexpr std::size_t kPageNumberAt = 0;
constexpr std::size_t kPageFlagsAt = 10;
constexpr std::size_t kLowerAt = 12;
constexpr std::size_t kUpperAt = 14;
constexpr std::uint16_t kBranch = 0x01;
constexpr std::uint16_t kLeaf = 0x02;
constexpr std::uint16_t kOverflow = 0x04;
constexpr std::uint16_t kMetaPage = 0x08;

// MDB_node
constexpr std::size_t kNodeHeaderBytes = 8;
constexpr std::uint16_t kOwnPages = 0x01;    // F_BIGDATA
constexpr std::uint16_t kSubTree = 0x02;     // F_SUBDATA
constexpr std::size_t kMaxNodeBytes = 2038;  // me_nodemax: larger values get pages of their own
constexpr std::size_t kMaxDepth = 32;        // CURSOR_STACK

// MDB_db and MDB_meta
constexpr std::size_t kTreeBytes = 48;
constexpr std::uint16_t kIntegerKey = 0x08;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kMetas = 2;
constexpr std::uint64_t kMaxMapBytes = std::uint64_t{1} << 46U;  // LMDB maps what the meta says

template <class Number>
Number load_native(const char* from) noexcept {
  Number number{};
  std::memcpy(&number, from, sizeof number);
  return number;
}

/// The order of keys, as LMDB has it.
int compare(std::string_view a, std::string_view b, bool integers) {
  if (integers && a.size() == sizeof(std::uint64_t) && b.size() == sizeof(std::uint64_t)) {
    const auto x = load_native<std::uint64_t>(a.data());
    const auto y = load_native<std::uint64_t>(b.data());
    return x < y ? -1 : x > y ? 1 : 0;
  }
  return a.compare(b);
}

struct Node {
  std::string_view key;
  std::uint64_t child = 0;  // branch
  std::uint16_t flags = 0;  // leaf
  File::Value value;        // leaf
};

/// OVPAGES
std::uint64_t own_pages(std::uint64_t bytes) noexcept {
  return (kPageHeaderBytes - 1 + bytes) / File::kPageBytes + 1;
}

/// Which pages are taken.
class PageUse {
 public:
  explicit PageUse(std::uint64_t count) : taken_(count, false) {}

  /// False when one of them is outside of the file or taken already.
  [[nodiscard]] bool take(std::uint64_t first, std::uint64_t count) {
    if (first < kMetas || count > taken_.size() || first > taken_.size() - count) {
      return false;
    }
    for (std::uint64_t page = first; page < first + count; ++page) {
      if (taken_[page]) {
        return false;
      }
      taken_[page] = true;
    }
    return true;
  }

 private:
  std::vector<bool> taken_;
};

/// Where the nodes of a page are, if its header can be believed.
std::optional<std::vector<std::size_t>> node_offsets(const File::Page& page, std::uint64_t number,
                                                     bool is_leaf) {
  const auto lower = load_native<std::uint16_t>(&page[kLowerAt]);
  const auto upper = load_native<std::uint16_t>(&page[kUpperAt]);
  const bool sound =
      load_native<std::uint64_t>(&page[kPageNumberAt]) == number &&
      load_native<std::uint16_t>(&page[kPageFlagsAt]) == (is_leaf ? kLeaf : kBranch) &&
      lower > kPageHeaderBytes && lower % 2 == 0 && lower <= upper && upper <= File::kPageBytes;
  if (!sound) {
    return std::nullopt;
  }
  std::vector<std::size_t> offsets;
  for (std::size_t at = kPageHeaderBytes; at < lower; at += sizeof(std::uint16_t)) {
    offsets.push_back(load_native<std::uint16_t>(&page[at]));
    if (offsets.back() < upper || offsets.back() + kNodeHeaderBytes > File::kPageBytes) {
      return std::nullopt;
    }
  }
  return offsets;
}

std::optional<Node> node_at(const File::Page& page, std::size_t offset, bool is_leaf) {
  const auto low = load_native<std::uint16_t>(&page[offset]);
  const auto high = load_native<std::uint16_t>(&page[offset + 2]);
  const auto flags = load_native<std::uint16_t>(&page[offset + 4]);
  const auto key_bytes = load_native<std::uint16_t>(&page[offset + 6]);
  const std::size_t data_at = offset + kNodeHeaderBytes + key_bytes;
  if (data_at > File::kPageBytes) {
    return std::nullopt;
  }
  Node node;
  node.key = {page.data() + offset + kNodeHeaderBytes, key_bytes};
  if (!is_leaf) {
    node.child = low | std::uint64_t{high} << 16U | std::uint64_t{flags} << 32U;
    return node;
  }
  node.flags = flags;
  node.value.bytes = low | std::uint64_t{high} << 16U;
  const bool has_own_pages = (flags & kOwnPages) != 0;
  const std::size_t whole_bytes = kNodeHeaderBytes + key_bytes + node.value.bytes;
  const std::size_t bytes_here = has_own_pages ? sizeof(std::uint64_t) : node.value.bytes;
  if (has_own_pages != (whole_bytes > kMaxNodeBytes) || (flags & ~(kOwnPages | kSubTree)) != 0 ||
      bytes_here > File::kPageBytes - data_at) {
    return std::nullopt;
  }
  if (has_own_pages) {
    node.value.page = load_native<std::uint64_t>(&page[data_at]);
  } else {
    node.value.in_leaf = {page.data() + data_at, bytes_here};
  }
  return node;
}

}  // namespace

std::uint64_t File::Value::pages() const noexcept { return page == 0 ? 0 : own_pages(bytes); }

/// Walks one tree. Goes on behind a fault, so that what can be reached is reached; the first fault
/// is kept.
class File::Walker {
 public:
  /// `use`: where pages are noted; without it none is taken for used twice.
  Walker(const File& file, const Meta& meta, const Tree& tree, Scrutiny scrutiny, PageUse* use)
      : file_(file), meta_(meta), tree_(tree), scrutiny_(scrutiny), use_(use), pages_(kMaxDepth) {}

  using VisitNode = std::function<void(const Node&)>;

  void walk(const VisitNode& visit) {
    if (tree_.root == kNoPage) {
      return;
    }
    if (tree_.depth == 0 || tree_.depth > kMaxDepth) {
      return note(fmt::format("a tree of depth {}", tree_.depth));
    }
    descend(tree_.root, 1, {}, {}, visit);
  }

  /// Whether the tree is what its record says; after walk().
  void compare_counts() {
    if (tree_.root == kNoPage) {
      if (tree_.entries != 0 || tree_.depth != 0) {
        note("a tree without a root that has entries");
      }
      return;
    }
    const bool same =
        seen_.branch_pages == tree_.branch_pages && seen_.leaf_pages == tree_.leaf_pages &&
        seen_.overflow_pages == tree_.overflow_pages && seen_.entries == tree_.entries;
    if (!same) {
      note(fmt::format("the tree at page {} has other counts than are written of it", tree_.root));
    }
  }

  [[nodiscard]] const std::optional<std::string>& fault() const noexcept { return fault_; }

 private:
  void note(std::string fault) {
    if (!fault_) {
      fault_ = std::move(fault);
    }
  }

  [[nodiscard]] bool integers() const noexcept { return (tree_.flags & kIntegerKey) != 0; }

  /// `from` and `below` bound the keys of the page; empty: no bound.
  void descend(std::uint64_t number, std::size_t level, std::string_view from,
               std::string_view below, const VisitNode& visit) {
    const bool is_leaf = level == tree_.depth;
    Page& page = pages_[level - 1];
    if (number > meta_.last_page || number < kMetas ||
        (use_ != nullptr && !use_->take(number, 1))) {
      return note(fmt::format("page {} is outside of the file or used twice", number));
    }
    if (!file_.read(number, page)) {
      return note(fmt::format("page {} cannot be read", number));
    }
    const auto nodes = node_offsets(page, number, is_leaf);
    if (!nodes) {
      return note(fmt::format("page {} is not the {} that it should be", number,
                              is_leaf ? "leaf" : "branch"));
    }
    (is_leaf ? seen_.leaf_pages : seen_.branch_pages) += 1;
    if (is_leaf) {
      visit_leaf(page, number, *nodes, from, below, visit);
    } else {
      visit_branch(page, number, level, *nodes, from, below, visit);
    }
  }

  void visit_leaf(const Page& page, std::uint64_t number, const std::vector<std::size_t>& offsets,
                  std::string_view from, std::string_view below, const VisitNode& visit) {
    const std::vector<std::optional<Node>> nodes = nodes_at(page, offsets, true);
    const std::vector<bool> in_order = find_ordered(nodes, from, below);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (!in_order[i]) {
        note(fmt::format("page {} has a damaged entry", number));
        continue;
      }
      if (nodes[i]->value.page != 0 && !take_own_pages(nodes[i]->value)) {
        note(fmt::format("page {} has an entry whose own pages are damaged or used twice", number));
        continue;
      }
      ++seen_.entries;
      visit(*nodes[i]);
    }
  }

  static std::vector<std::optional<Node>> nodes_at(const Page& page,
                                                   const std::vector<std::size_t>& offsets,
                                                   bool is_leaf) {
    std::vector<std::optional<Node>> nodes;
    nodes.reserve(offsets.size());
    for (const std::size_t offset : offsets) {
      nodes.push_back(node_at(page, offset, is_leaf));
    }
    return nodes;
  }

  /// Which nodes have keys within the bounds and in order. Where they are not, as many as can be
  /// are taken for sound: one damaged key must not condemn all that stands behind it. (Longest
  /// increasing subsequence, by Schensted's piles.)
  [[nodiscard]] std::vector<bool> find_ordered(const std::vector<std::optional<Node>>& nodes,
                                               std::string_view from,
                                               std::string_view below) const {
    constexpr std::size_t kNone = ~std::size_t{0};
    std::vector<std::size_t> tops;  // of the sequences of each length, the end with the lowest key
    std::vector<std::size_t> before(nodes.size(), kNone);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const bool within = nodes[i] && !nodes[i]->key.empty() &&
                          (from.empty() || compare(from, nodes[i]->key, integers()) <= 0) &&
                          (below.empty() || compare(nodes[i]->key, below, integers()) < 0);
      if (!within) {
        continue;
      }
      const auto pile = std::partition_point(tops.begin(), tops.end(), [&](std::size_t top) {
        return compare(nodes[top]->key, nodes[i]->key, integers()) < 0;
      });
      before[i] = pile == tops.begin() ? kNone : *std::prev(pile);
      if (pile == tops.end()) {
        tops.push_back(i);
      } else {
        *pile = i;
      }
    }
    std::vector<bool> ordered(nodes.size(), false);
    for (std::size_t i = tops.empty() ? kNone : tops.back(); i != kNone; i = before[i]) {
      ordered[i] = true;
    }
    return ordered;
  }

  [[nodiscard]] bool take_own_pages(const Value& value) {
    const std::uint64_t count = value.pages();
    seen_.overflow_pages += count;
    const std::uint64_t end = std::min(meta_.last_page + 1, file_.page_count_);
    if (value.page < kMetas || value.page >= end || count > end - value.page) {
      return false;
    }
    if (scrutiny_ == Scrutiny::values && !file_.is_header_of(value)) {
      return false;
    }
    return use_ == nullptr || use_->take(value.page, count);
  }

  void visit_branch(const Page& page, std::uint64_t number, std::size_t level,
                    const std::vector<std::size_t>& offsets, std::string_view from,
                    std::string_view below, const VisitNode& visit) {
    const std::vector<std::optional<Node>> nodes = nodes_at(page, offsets, false);
    if (nodes.size() < 2) {
      note(fmt::format("branch page {} has one child only", number));
    }
    // The first key of a branch page stands for everything below the second.
    std::vector<std::optional<Node>> separators = nodes;
    separators.front().reset();
    const std::vector<bool> in_order = find_ordered(separators, from, below);
    // What is to be rescued may be bounded by a damaged key that is still in order, which must not
    // condemn it: there the bounds are those of the neighbours.
    const std::size_t margin = use_ != nullptr ? 0 : 1;
    std::vector<std::string_view> bounds(margin + 1, from);
    std::vector<std::size_t> first_bound;  // of each node
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (in_order[i]) {
        bounds.push_back(nodes[i]->key);
      } else if (i > 0 || !nodes[i]) {
        note(fmt::format("branch page {} has a damaged entry", number));
      }
      first_bound.push_back(bounds.size() - 1 - margin);
    }
    bounds.insert(bounds.end(), margin + 1, below);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i]) {
        const std::size_t lower = first_bound[i];
        descend(nodes[i]->child, level + 1, bounds[lower], bounds[lower + 1 + 2 * margin], visit);
      }
    }
  }

  const File& file_;
  const Meta& meta_;
  const Tree& tree_;
  const Scrutiny scrutiny_;
  PageUse* const use_;
  std::vector<Page> pages_;  // one a level; keys of the levels above stay valid
  Tree seen_;
  std::optional<std::string> fault_;
};

File::File(const std::filesystem::path& path) : fd_(private_files::open_file(path, O_RDONLY)) {
  struct stat stat {};
  if (!fd_ || ::fstat(fd_.get(), &stat) != 0) {
    throw Error("open data.mdb", fd_ ? errno : ENOENT);
  }
  page_count_ = static_cast<std::uint64_t>(stat.st_size) / kPageBytes;
}

bool File::read(std::uint64_t page, Page& to) const {
  return page < page_count_ &&
         ::pread(fd_.get(), to.data(), to.size(), static_cast<off_t>(page * kPageBytes)) ==
             static_cast<ssize_t>(to.size());
}

File::Tree File::decode_tree(const char* from) {
  return {.flags = load_native<std::uint16_t>(from + 4),
          .depth = load_native<std::uint16_t>(from + 6),
          .branch_pages = load_native<std::uint64_t>(from + 8),
          .leaf_pages = load_native<std::uint64_t>(from + 16),
          .overflow_pages = load_native<std::uint64_t>(from + 24),
          .entries = load_native<std::uint64_t>(from + 32),
          .root = load_native<std::uint64_t>(from + 40)};
}

std::optional<File::Meta> File::read_meta(std::uint64_t number, std::string& fault) const {
  Page page;
  if (!read(number, page)) {
    fault = fmt::format("meta page {} cannot be read", number);
    return std::nullopt;
  }
  const char* const meta = &page[kPageHeaderBytes];
  Meta result{.free_pages = decode_tree(meta + 24),
              .main = decode_tree(meta + 24 + kTreeBytes),
              .map_bytes = load_native<std::uint64_t>(meta + 16),
              .last_page = load_native<std::uint64_t>(meta + 24 + 2 * kTreeBytes),
              .transaction = load_native<std::uint64_t>(meta + 32 + 2 * kTreeBytes)};
  const auto page_bytes = load_native<std::uint32_t>(meta + 24);
  const bool sound =
      load_native<std::uint64_t>(&page[kPageNumberAt]) == number &&
      load_native<std::uint16_t>(&page[kPageFlagsAt]) == kMetaPage &&
      load_native<std::uint32_t>(meta) == kMagic &&
      load_native<std::uint32_t>(meta + 4) == kVersion &&
      load_native<std::uint64_t>(meta + 8) == 0 &&  // mm_address: only with MDB_FIXEDMAP
      page_bytes == kPageBytes && result.free_pages.flags == kIntegerKey &&
      result.main.flags == 0 &&
      // Each commit writes the other meta page.
      (result.transaction == 0 || result.transaction % kMetas == number) &&
      result.map_bytes <= kMaxMapBytes && result.last_page <= kMaxMapBytes / kPageBytes;
  if (!sound) {
    fault = fmt::format("meta page {} is damaged", number);
    return std::nullopt;
  }
  return result;
}

std::optional<File::Meta> File::meta_of(Snapshot snapshot) const {
  std::string ignored;
  const auto first = read_meta(0, ignored);
  const auto second = read_meta(1, ignored);
  if (!first || !second) {
    const auto& only = first ? first : second;
    return snapshot == Snapshot::newest ? only : std::nullopt;
  }
  const bool first_is_newer = first->transaction > second->transaction;
  return first_is_newer == (snapshot == Snapshot::newest) ? first : second;
}

bool File::knows_its_newest() const {
  std::string ignored;
  return read_meta(0, ignored) && read_meta(1, ignored);
}

std::optional<std::string> File::find_fault(Scrutiny scrutiny) const {
  std::string fault;
  const auto first = read_meta(0, fault);
  const auto second = read_meta(1, fault);
  if (!first || !second) {
    return fault;
  }
  const auto [older, newer] = std::minmax(first->transaction, second->transaction);
  const bool is_new = older == 0 && newer == 0;
  if (!is_new && newer - older != 1) {
    return fmt::format("the meta pages are of the transactions {} and {}", older, newer);
  }
  return find_fault_of(*meta_of(Snapshot::newest), scrutiny);
}

std::optional<std::string> File::find_fault_of(const Meta& meta, Scrutiny scrutiny) const {
  if (meta.last_page < kMetas - 1 ||
      meta.last_page >= std::max(page_count_, kMetas) + (1U << 20U)) {
    return fmt::format("the last page is {}, but the file has {}", meta.last_page, page_count_);
  }
  PageUse use(meta.last_page + 1);
  std::optional<std::string> fault;
  const auto keep = [&](const std::optional<std::string>& found) {
    if (!fault) {
      fault = found;
    }
  };

  Walker free_pages(*this, meta, meta.free_pages, scrutiny, &use);
  std::vector<std::uint64_t> free;
  free_pages.walk([&](const Node& node) {
    const auto list = load(node.value);
    const std::uint64_t room = list ? list->size() / sizeof(std::uint64_t) : 0;
    const std::uint64_t count = room > 0 ? load_native<std::uint64_t>(list->data()) : kNoPage;
    if (count >= room) {
      return keep("a list of free pages is damaged");
    }
    for (std::uint64_t i = 1; i <= count; ++i) {
      free.push_back(load_native<std::uint64_t>(list->data() + i * sizeof(std::uint64_t)));
    }
  });
  free_pages.compare_counts();
  keep(free_pages.fault());

  Walker main(*this, meta, meta.main, scrutiny, &use);
  std::vector<Tree> trees;
  main.walk([&](const Node& node) {
    if (node.flags == kSubTree && node.value.in_leaf.size() == kTreeBytes) {
      trees.push_back(decode_tree(node.value.in_leaf.data()));
    } else {
      keep("the list of databases is damaged");
    }
  });
  main.compare_counts();
  keep(main.fault());
  for (const Tree& tree : trees) {
    Walker walker(*this, meta, tree, scrutiny, &use);
    walker.walk([](const Node&) {});
    walker.compare_counts();
    keep(walker.fault());
  }
  for (const std::uint64_t page : free) {
    if (!use.take(page, 1)) {
      keep(fmt::format("page {} is free and in use, or outside of the file", page));
      break;
    }
  }
  return fault;
}

void File::walk(Snapshot snapshot, std::string_view database, const Visit& visit) const {
  const auto meta = meta_of(snapshot);
  if (!meta) {
    return;
  }
  std::optional<Tree> tree;
  Walker main(*this, *meta, meta->main, Scrutiny::trees, nullptr);
  main.walk([&](const Node& node) {
    if (node.key == database && node.flags == kSubTree && node.value.in_leaf.size() == kTreeBytes) {
      tree = decode_tree(node.value.in_leaf.data());
    }
  });
  if (tree) {
    Walker(*this, *meta, *tree, Scrutiny::trees, nullptr).walk([&](const Node& node) {
      visit(node.key, node.value);
    });
  }
}

bool frees_its_own_pages(std::string_view value) noexcept {
  if (kNodeHeaderBytes + sizeof(std::uint64_t) + value.size() <= kMaxNodeBytes) {
    return true;  // it stands in a leaf
  }
  const char* const header = value.data() - kPageHeaderBytes;
  return (load_native<std::uint16_t>(header + kPageFlagsAt) & kOverflow) != 0 &&
         load_native<std::uint32_t>(header + kLowerAt) == own_pages(value.size());
}

bool File::is_header_of(const Value& value) const {
  std::array<char, kPageHeaderBytes> header;
  return ::pread(fd_.get(), header.data(), header.size(),
                 static_cast<off_t>(value.page * kPageBytes)) ==
             static_cast<ssize_t>(header.size()) &&
         load_native<std::uint64_t>(&header[kPageNumberAt]) == value.page &&
         load_native<std::uint16_t>(&header[kPageFlagsAt]) == kOverflow &&
         load_native<std::uint32_t>(&header[kLowerAt]) == value.pages();
}

void File::scan(const Visit& visit) const {
  Page page;
  for (std::uint64_t number = kMetas; number < page_count_; ++number) {
    const auto offsets = read(number, page) ? node_offsets(page, number, true) : std::nullopt;
    for (const std::size_t offset : offsets.value_or(std::vector<std::size_t>{})) {
      if (const auto node = node_at(page, offset, true); node && node->flags != kSubTree) {
        visit(node->key, node->value);
      }
    }
  }
}

std::optional<std::string> File::load(const Value& value, std::uint64_t max_bytes) const {
  if (value.page == 0) {
    return std::string(value.in_leaf.substr(0, max_bytes));
  }
  if (value.page >= page_count_ || value.pages() > page_count_ - value.page) {
    return std::nullopt;
  }
  std::string bytes(std::min(value.bytes, max_bytes), '\0');
  const auto at = static_cast<off_t>(value.page * kPageBytes + kPageHeaderBytes);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        ::pread(fd_.get(), &bytes[done], bytes.size() - done, at + static_cast<off_t>(done));
    if (got <= 0) {
      return std::nullopt;
    }
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace m2b::lmdb
