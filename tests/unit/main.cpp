#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "m2b/util/log.hpp"

int main(int argc, char** argv) {
  // What the code under test logs is not what a reader of the results looks for.
  m2b::log::set_level(m2b::log::Level::critical);
  return doctest::Context(argc, argv).run();
}
