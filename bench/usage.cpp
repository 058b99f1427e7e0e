#include "bench/usage.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace m2b::bench {
namespace {

/// From /proc/PID/status; 0 when there is none of that name.
std::uint64_t status_number(pid_t pid, std::string_view field) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string name; file >> name;) {
    if (name == field) {
      std::uint64_t number = 0;
      file >> number;
      return number;
    }
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

}  // namespace

CpuTime& CpuTime::operator+=(const CpuTime& other) noexcept {
  user += other.user;
  system += other.system;
  return *this;
}

CpuTime cpu_time(const std::string& task) {
  std::ifstream file(task + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // The second field is the name in brackets, which may hold anything (proc(5)).
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  return {user / ticks, system / ticks};
}

CpuTime cpu_time(pid_t pid) { return cpu_time(fmt::format("/proc/{}", pid)); }

std::uint64_t private_bytes(pid_t pid) { return status_number(pid, "RssAnon:") * 1024; }

std::uint64_t threads(pid_t pid) { return status_number(pid, "Threads:"); }

std::uint64_t open_handles(pid_t pid) {
  std::error_code gone;
  const std::filesystem::directory_iterator handles(fmt::format("/proc/{}/fd", pid), gone);
  return static_cast<std::uint64_t>(std::distance(begin(handles), end(handles)));
}

}  // namespace m2b::bench
