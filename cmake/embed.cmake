# cmake -DNAMESPACE=<namespace> -DHEADER=<header> -DOUTPUT=<file.cpp> -P embed.cmake -- FILES...
# A source file with a function for each file that returns its bytes: page.html -> page_html().
set(text "// Made by cmake/embed.cmake; not to be changed.\n#include \"${HEADER}\"\n\nnamespace ${NAMESPACE} {\n")
set(is_file FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(index RANGE ${last})
  set(argument "${CMAKE_ARGV${index}}")
  if(is_file)
    get_filename_component(name "${argument}" NAME)
    string(MAKE_C_IDENTIFIER "${name}" name)
    file(READ "${argument}" bytes HEX)
    string(REPEAT "." 32 row)  # 16 bytes
    string(REGEX REPLACE "(${row})" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
    string(APPEND text "\nstd::string_view ${name}() noexcept {\n  static constexpr char kBytes[] = {${bytes}};\n"
      "  return {kBytes, sizeof kBytes};\n}\n")
  elseif(argument STREQUAL "--")
    set(is_file TRUE)
  endif()
endforeach()
string(APPEND text "\n}  // namespace ${NAMESPACE}\n")
file(WRITE "${OUTPUT}" "${text}")
