# How the core is compiled, and how its extension modules are linked and installed.

# What the core alone needs; `_cpu` has none of it.
add_library(bpcore_numerics INTERFACE)
target_link_libraries(bpcore_numerics INTERFACE Eigen3::Eigen $<$<BOOL:${OpenMP_CXX_FOUND}>:OpenMP::OpenMP_CXX>)
target_compile_definitions(bpcore_numerics INTERFACE
  EIGEN_DONT_PARALLELIZE  # cpp/core/parallel splits the work, by shape, so that results don't depend on threads
  EIGEN_MPL2_ONLY)
# Not -ffast-math: it reorders sums, drops NaN and flushes subnormals in the whole process.
target_compile_options(bpcore_numerics INTERFACE -fno-math-errno -fno-trapping-math -ffp-contract=fast)

set(_bpcore_exports "${CMAKE_CURRENT_LIST_DIR}/exports")

# bpcore_compile_options(TARGET [FLAGS flag...])
function(bpcore_compile_options name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "FLAGS")
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/cpp")
  target_compile_features(${name} PRIVATE cxx_std_20)
  set_target_properties(${name} PROPERTIES
    CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_compile_options(${name} PRIVATE -Wall -Wextra $<$<BOOL:${BPCORE_WERROR}>:-Werror>
    $<$<NOT:$<CONFIG:Debug>>:-O3> ${arg_FLAGS})

  if(BPCORE_SANITIZE)
    list(JOIN BPCORE_SANITIZE "," sanitizers)
    set(sanitize -fsanitize=${sanitizers})
    target_compile_options(${name} PRIVATE ${sanitize} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
    target_link_options(${name} PRIVATE ${sanitize})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # Unrolled kernels have hundreds of accesses: checks that are calls compile in a fraction of the time.
      target_compile_options(${name} PRIVATE --param=asan-instrumentation-with-call-threshold=100)
    endif()
  endif()
endfunction()

# bpcore_add_module(NAME SOURCES file... [FLAGS flag...])
function(bpcore_add_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;FLAGS")
  Python_add_library(${name} MODULE WITH_SOABI ${arg_SOURCES})
  bpcore_compile_options(${name} FLAGS ${arg_FLAGS})

  # Inline functions of Eigen and std keep default visibility; the linker hides them with everything else, so that
  # neither two instruction sets in one process nor another package's library can trade copies.
  if(APPLE)
    set(exports "${_bpcore_exports}.txt")
    target_link_options(${name} PRIVATE "LINKER:-exported_symbols_list,${exports}")
  else()
    set(exports "${_bpcore_exports}.map")
    target_link_options(${name} PRIVATE "LINKER:--version-script=${exports}")
  endif()
  set_target_properties(${name} PROPERTIES LINK_DEPENDS "${exports}")

  if(BPCORE_MODULE_DIR)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${BPCORE_MODULE_DIR}")
  endif()
  install(TARGETS ${name} LIBRARY DESTINATION bpcore)
endfunction()
