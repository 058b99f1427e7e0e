#include "status/process_usage.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <chrono>
#include <memory>
#include <vector>

#include "m2b/util/fd.hpp"

namespace {

TEST_SUITE("process_usage") {
  using namespace m2b;

  double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }

  TEST_CASE("it is that of this process") {
    const auto usage = read_process_usage();
    REQUIRE(usage);
    CHECK(usage->start_time_seconds <= now() + 1);
    CHECK(usage->start_time_seconds > now() - 24.0 * 3600);
    CHECK(usage->cpu_seconds >= 0);
    CHECK(usage->resident_bytes > 1e6);
  }

  TEST_CASE("it grows with what is taken") {
    const auto before = read_process_usage();
    const std::vector<char> memory(std::size_t{64} << 20, 'x');
    const Fd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const auto after = read_process_usage();
    REQUIRE((before && after));
    CHECK(after->open_fds == before->open_fds + 1);
    CHECK(after->resident_bytes - before->resident_bytes > 32e6);
    CHECK(memory.back() == 'x');
  }
}

}  // namespace
