# The target `tidy`: clang-tidy over our own code. All files of a target are one to it, since most of its
# time would go into the libraries' headers, for each file anew. Looked at again after a file, a header or
# the configuration has changed, so that asking twice costs nothing.
find_program(M2B_CLANG_TIDY clang-tidy)
if(M2B_CLANG_TIDY) # without it there is no such target, and whoever asks for it is told
  add_custom_target(tidy)
endif()
file(GLOB_RECURSE tidy_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*.hpp ${PROJECT_SOURCE_DIR}/include/*.hpp
     ${PROJECT_SOURCE_DIR}/bench/*.hpp)

# m2b_tidy(<target>): looks at its files; those that are made by the build are left out.
function(m2b_tidy target)
  if(NOT M2B_CLANG_TIDY)
    return()
  endif()
  get_target_property(folder ${target} SOURCE_DIR)
  get_target_property(files ${target} SOURCES)
  set(sources)
  foreach(file IN LISTS files)
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${folder})
    if(NOT file MATCHES "^${PROJECT_BINARY_DIR}/")
      list(APPEND sources ${file})
    endif()
  endforeach()

  # One behind the other and not by #include: what is included counts as a header, and some checks and the
  # analyzer pass that by.
  set(joined ${PROJECT_BINARY_DIR}/tidy/${target}.cpp)
  add_custom_command(OUTPUT ${joined}
    COMMAND awk "FNR == 1 { printf \"#line 1 \\\"%s\\\"\\n\", FILENAME } { print }" ${sources} > ${joined}
    DEPENDS ${sources} VERBATIM)

  # Never built: this is how clang-tidy learns of the flags.
  add_library(tidy-${target} OBJECT EXCLUDE_FROM_ALL ${joined})
  foreach(property INCLUDE_DIRECTORIES COMPILE_DEFINITIONS LINK_LIBRARIES)
    get_target_property(value ${target} ${property})
    if(value)
      set_target_properties(tidy-${target} PROPERTIES ${property} "${value}")
    endif()
  endforeach()

  add_custom_command(OUTPUT ${joined}.ok
    COMMAND sh -c [["$1" --quiet -p "$2" "$3" >"$3.log" 2>&1 || { awk -f "$4" "$3" "$3.log"; exit 1; }]]
      tidy ${M2B_CLANG_TIDY} ${PROJECT_BINARY_DIR} ${joined} ${PROJECT_SOURCE_DIR}/cmake/tidy.awk
    COMMAND ${CMAKE_COMMAND} -E touch ${joined}.ok
    DEPENDS ${joined} ${tidy_headers} ${PROJECT_SOURCE_DIR}/.clang-tidy ${PROJECT_SOURCE_DIR}/cmake/tidy.awk
    COMMENT "clang-tidy ${target}" VERBATIM)
  add_custom_target(tidy-of-${target} DEPENDS ${joined}.ok)
  add_dependencies(tidy tidy-of-${target})
endfunction()
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/tidy)
