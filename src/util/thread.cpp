#include "m2b/util/thread.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

namespace m2b {

void name_this_thread(const std::string& name) noexcept {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

void step_back() noexcept {
  constexpr int kNice = 10;
  // Of Linux, for one thread (setpriority(2), BUGS). Where it is forbidden, all goes on as it is.
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice));
}

}  // namespace m2b
