#pragma once

#include <cstddef>
#include <string>

namespace m2b::bench {

/// One line on stderr that changes in place; nothing at all where stderr is no terminal.
class Progress {
 public:
  explicit Progress(std::string what);
  /// Wipes the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::size_t done, std::size_t total) const;

 private:
  std::string what_;
  bool is_terminal_;
};

}  // namespace m2b::bench
