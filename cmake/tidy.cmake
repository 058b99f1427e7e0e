# The target `tidy`: clang-tidy over our own code. A file is looked at again after it, a header or the
# configuration has changed, so that asking twice costs nothing.
find_program(M2B_CLANG_TIDY clang-tidy)
if(NOT M2B_CLANG_TIDY)
  return()
endif()

file(GLOB_RECURSE tidy_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.cpp)
if(M2B_BENCH)
  file(GLOB_RECURSE bench_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bench/*.cpp)
  list(APPEND tidy_sources ${bench_sources})
endif()
file(GLOB_RECURSE tidy_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.hpp ${PROJECT_SOURCE_DIR}/include/*.hpp
     ${PROJECT_SOURCE_DIR}/bench/*.hpp)
set(tidy_stamps)
foreach(source IN LISTS tidy_sources)
  file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${source})
  # The analyzer follows memory and handles of C. Where there are none it is left out: it takes a third of the
  # time, and the sanitizers look there as well.
  set(less)
  if(name MATCHES "^(src/(cli|config|control|object|pipeline|status|tools)|bench)/")
    set(less --checks=-clang-analyzer-*)
  endif()
  string(REPLACE "/" "-" stamp ${name})
  set(stamp ${PROJECT_BINARY_DIR}/tidy/${stamp}.ok)
  add_custom_command(OUTPUT ${stamp}
    COMMAND ${M2B_CLANG_TIDY} --quiet ${less} -p ${PROJECT_BINARY_DIR} ${source}
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
    DEPENDS ${source} ${tidy_headers} ${PROJECT_SOURCE_DIR}/.clang-tidy
    COMMENT "clang-tidy ${name}" VERBATIM)
  list(APPEND tidy_stamps ${stamp})
endforeach()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/tidy)
add_custom_target(tidy DEPENDS ${tidy_stamps})
