#include "m2b/util/fail_point.hpp"

// Nothing of this is in a build without CMake's option M2B_FAIL_POINTS.
#ifdef M2B_FAIL_POINTS

#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace m2b {
namespace {

/// What is not understood must not pass for a run in which nothing happened.
[[noreturn]] void refuse(const char* variable, std::string_view text) noexcept {
  std::fprintf(stderr, "%s=%.*s: no such thing\n", variable, static_cast<int>(text.size()),
               text.data());
  std::_Exit(EX_USAGE);
}

std::string_view read_variable(const char* name) noexcept {
  const char* const text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  return text != nullptr ? text : "";
}

struct Armed {
  std::size_t point = kFailPoints.size();
  std::uint64_t passage = 0;
};

Armed read_armed() noexcept {
  constexpr const char* kVariable = "M2B_FAIL_POINT";
  const std::string_view text = read_variable(kVariable);
  if (text.empty()) {
    return {};
  }
  const std::size_t colon = text.find(':');
  const auto* const found = std::ranges::find(kFailPoints, text.substr(0, colon));
  Armed armed{static_cast<std::size_t>(found - kFailPoints.begin()), 0};
  if (found == kFailPoints.end() || colon == std::string_view::npos) {
    refuse(kVariable, text);
  }
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, armed.passage);
  if (error != std::errc() || rest != end || armed.passage == 0) {
    refuse(kVariable, text);
  }
  return armed;
}

std::string_view read_sabotage() noexcept {
  constexpr const char* kVariable = "M2B_SABOTAGE";
  const std::string_view text = read_variable(kVariable);
  if (!text.empty() && text != "no_sync" && text != "no_meta_sync") {
    refuse(kVariable, text);
  }
  return text;
}

// Read before main, so that a mistake ends the process whatever it was started for.
const Armed armed_with = read_armed();
const std::string_view sabotage = read_sabotage();
std::atomic<std::uint64_t> passages = 0;

}  // namespace

void fail_point(FailPoint point) noexcept {
  if (point.index() == armed_with.point && passages.fetch_add(1) + 1 == armed_with.passage) {
    ::kill(::getpid(), SIGKILL);
    ::pause();  // the signal may reach another thread first; this one must not go on
  }
}

bool is_sabotaged(Sabotage way) noexcept {
  return sabotage == (way == Sabotage::no_sync ? "no_sync" : "no_meta_sync");
}

}  // namespace m2b

#endif
