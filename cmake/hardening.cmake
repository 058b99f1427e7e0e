# Flags that make a mistake in memory handling end the process instead of serving an attacker. For
# every target of a build that is shipped; what they cost is in docs/security.md. A sanitizer finds
# the same mistakes by itself and does not go together with FORTIFY_SOURCE.

# Bounds and preconditions of the C++ library: operator[], front(), optional, unique_ptr and such. In
# tests as well: what would end the daemon has to end them.
if(M2B_HARDENING)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
if(NOT M2B_HARDENING OR M2B_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  return()
endif()

include(CheckCXXCompilerFlag)
# m2b_harden(<flag>): for compiling, where the compiler knows it (it depends on the processor).
function(m2b_harden flag)
  string(MAKE_C_IDENTIFIER "M2B_HAS${flag}" known)
  check_cxx_compiler_flag(${flag} ${known})
  if(${known})
    add_compile_options(${flag})
  endif()
endfunction()

# Programs at an address that nobody knows beforehand. Not by POSITION_INDEPENDENT_CODE, which compiles
# static libraries as if they were to be shared ones: calls inside of them then take a detour.
add_compile_options($<$<NOT:$<STREQUAL:$<TARGET_PROPERTY:TYPE>,MODULE_LIBRARY>>:-fPIE>)
add_link_options($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
# Bounds of what the C library copies, as far as the compiler knows them or can compute them.
add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
m2b_harden(-fstack-protector-strong)
m2b_harden(-fstack-clash-protection)
# Where calls and jumps may land, by the processor: x86 and ARM.
m2b_harden(-fcf-protection=full)
m2b_harden(-mbranch-protection=standard)
# What is not initialised is zero, not what lay there before.
m2b_harden(-ftrivial-auto-var-init=zero)
# All addresses of the libraries are looked up at start, and their table is read-only from then on.
add_link_options(-Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code)
