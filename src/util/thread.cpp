#include "m2b/util/thread.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <system_error>
#include <vector>

namespace m2b {

void name_this_thread(const std::string& name) noexcept {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

std::size_t threads_to_be_had(std::size_t wanted) {
  std::mutex held;
  std::vector<std::jthread> threads;  // joined once the mutex is free
  const std::lock_guard until_all_are_there(held);
  try {
    while (threads.size() < wanted) {
      threads.emplace_back([&held] { const std::lock_guard wait(held); });
    }
  } catch (const std::system_error&) {
    return threads.size();
  }
  return wanted;
}

void step_back() noexcept {
  constexpr int kNice = 10;
  // Of Linux, for one thread (setpriority(2), BUGS). Where it is forbidden, all goes on as it is.
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice));
}

}  // namespace m2b
