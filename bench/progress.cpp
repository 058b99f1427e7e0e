#include "bench/progress.hpp"

#include <unistd.h>

#include <utility>

#include <fmt/format.h>

namespace m2b::bench {

Progress::Progress(std::string what)
    : what_(std::move(what)), is_terminal_(::isatty(STDERR_FILENO) != 0) {
  if (is_terminal_) fmt::print(stderr, "\r\033[K{} …", what_);
}

Progress::~Progress() {
  if (is_terminal_) fmt::print(stderr, "\r\033[K");
}

void Progress::show(std::size_t done, std::size_t total) const {
  if (is_terminal_) fmt::print(stderr, "\r\033[K{}: {} of {}", what_, done, total);
}

}  // namespace m2b::bench
