# Flags of our own code; the libraries' headers are system headers and stay out of it.
add_library(m2b_flags INTERFACE)
target_compile_options(m2b_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough
  $<$<BOOL:${M2B_WARNINGS_AS_ERRORS}>:-Werror>)
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Several files to a unit are none that others include, which is what g++ would warn of.
  target_compile_options(m2b_flags INTERFACE -Wno-subobject-linkage)
endif()
target_compile_definitions(m2b_flags INTERFACE $<$<BOOL:${M2B_FAIL_POINTS}>:M2B_FAIL_POINTS>)
target_link_libraries(m2b_flags INTERFACE Threads::Threads)

if(M2B_SANITIZE)
  # On the directory, not on a target: object files with and without a sanitizer must not be mixed.
  add_compile_options(-fsanitize=${M2B_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${M2B_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # With a sanitizer's code in between, g++ 12 takes what an optional guards for uninitialised.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  if(M2B_SANITIZE MATCHES "thread")
    # moodycamel's queue has fences, which TSan does not follow; g++ warns of that at each use. What goes
    # through our BoundedQueue is ordered by its semaphores, which TSan does follow.
    add_compile_options(-Wno-tsan)
  endif()
endif()

# m2b_module(<name> PUBLIC <targets> PRIVATE <targets>)
# The static library m2b_<name> of all src/<name>/*.cpp; what it promises is in include/m2b/<name>.
function(m2b_module name)
  cmake_parse_arguments(MODULE "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  add_library(m2b_${name} STATIC ${sources})
  target_include_directories(m2b_${name}
    PUBLIC ${PROJECT_SOURCE_DIR}/include
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(m2b_${name} PRIVATE M2B_VERSION="${PROJECT_VERSION}")
  target_link_libraries(m2b_${name} PUBLIC ${MODULE_PUBLIC} PRIVATE m2b_flags ${MODULE_PRIVATE})
  m2b_tidy(m2b_${name})
endfunction()

# m2b_embed(<name> NAMESPACE <namespace> HEADER <header> FILES <files>)
# Puts files into the library m2b_<name>; the header, which declares a function for each, is in src.
function(m2b_embed name)
  cmake_parse_arguments(EMBED "" "NAMESPACE;HEADER" "FILES" ${ARGN})
  set(output ${PROJECT_BINARY_DIR}/embedded/${name}.cpp)
  set(files ${EMBED_FILES})
  list(TRANSFORM files PREPEND ${PROJECT_SOURCE_DIR}/src/)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DNAMESPACE=${EMBED_NAMESPACE} -DHEADER=${EMBED_HEADER} -DOUTPUT=${output}
      -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake -- ${files}
    DEPENDS ${files} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
    COMMENT "embedding the files of ${name}" VERBATIM)
  target_sources(m2b_${name} PRIVATE ${output})
endfunction()
