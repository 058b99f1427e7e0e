#pragma once

#include <memory>

namespace m2b {

/// Gives back what a C library handed out: `free` is the function of that library for it.
template <auto free>
struct FreeBy {
  template <class Object>
  void operator()(Object* object) const noexcept {
    free(object);
  }
};

/// The one owner of an object of a C library.
template <class Object, auto free>
using Handle = std::unique_ptr<Object, FreeBy<free>>;

}  // namespace m2b
