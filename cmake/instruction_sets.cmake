# Which instruction sets the core is built for, and by which compiler flags. python/bpcore/_native.py knows the same
# names, cpp/cpu/cpu.cpp tells at import which of them a CPU runs.

# The names, narrowest first.
function(bpcore_instruction_sets result)
  # CMAKE_OSX_ARCHITECTURES is what the compiler builds for on macOS; two at once share one generic module.
  set(processor "${CMAKE_SYSTEM_PROCESSOR}")
  if(CMAKE_OSX_ARCHITECTURES)
    set(processor "${CMAKE_OSX_ARCHITECTURES}")
  endif()

  if(BPCORE_NATIVE_ONLY)
    set(isas native)
  elseif(processor MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
    set(isas x86-64-v2 x86-64-v3 x86-64-v4)
  else()
    set(isas generic)
  endif()
  set(${result} ${isas} PARENT_SCOPE)
endfunction()

function(bpcore_isa_flags isa result)
  set(flags)
  if(NOT isa STREQUAL "generic")
    list(APPEND flags -march=${isa})
  endif()
  if(isa STREQUAL "x86-64-v4" OR (isa STREQUAL "native" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$"))
    # Compilers hold AVX-512 code back to 256-bit vectors unless told otherwise.
    list(APPEND flags -mprefer-vector-width=512)
    # GCC 12's own AVX-512 header trips these warnings, in every Eigen kernel (GCC bug 105593).
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      list(APPEND flags -Wno-uninitialized -Wno-maybe-uninitialized)
    endif()
  endif()
  set(${result} ${flags} PARENT_SCOPE)
endfunction()
