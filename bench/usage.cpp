#include "bench/usage.hpp"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>

#include <fmt/format.h>

namespace m2b::bench {

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

std::uint64_t private_bytes(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string name; file >> name;) {
    if (name == "RssAnon:") {
      std::uint64_t kibibytes = 0;
      file >> kibibytes;
      return kibibytes * 1024;
    }
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

}  // namespace m2b::bench
