#include "status/process_usage.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>
#include <system_error>

namespace m2b {
namespace {

/// When the machine was started, in seconds since 1970 (proc(5), /proc/stat).
std::optional<double> boot_time() {
  std::ifstream stat("/proc/stat");
  for (std::string word; stat >> word;) {
    if (double since_1970 = 0; word == "btime" && stat >> since_1970) {
      return since_1970;
    }
    stat.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return std::nullopt;
}

double count_open_fds() {
  std::error_code error;
  const std::filesystem::directory_iterator fds("/proc/self/fd", error);
  return error ? 0 : static_cast<double>(std::distance(begin(fds), end(fds)));
}

}  // namespace

std::optional<ProcessUsage> read_process_usage() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  const auto boot = boot_time();
  const std::size_t name_end = line.rfind(')');  // the name may hold anything
  if (!boot || name_end == std::string::npos) {
    return std::nullopt;
  }
  // proc(5): the third field is the first behind the name.
  std::istringstream fields(line.substr(name_end + 1));
  constexpr int kFirst = 3;
  constexpr int kUserTime = 14;
  constexpr int kSystemTime = 15;
  constexpr int kStartTime = 22;
  constexpr int kResidentPages = 24;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  ProcessUsage usage;
  std::string field;
  for (int number = kFirst; number <= kResidentPages && fields >> field; ++number) {
    if (number == kUserTime || number == kSystemTime) {
      usage.cpu_seconds += std::stod(field) / ticks;
    } else if (number == kStartTime) {
      usage.start_time_seconds = *boot + std::stod(field) / ticks;
    } else if (number == kResidentPages) {
      usage.resident_bytes = std::stod(field) * static_cast<double>(::sysconf(_SC_PAGESIZE));
    }
  }
  usage.open_fds = count_open_fds();
  return fields ? std::optional(usage) : std::nullopt;
}

}  // namespace m2b
