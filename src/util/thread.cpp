#include "m2b/util/thread.hpp"

#include <pthread.h>

namespace m2b {

void name_this_thread(const std::string& name) noexcept {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace m2b
