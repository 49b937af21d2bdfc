# Finds the build requirements that are Python packages: pybind11, and Eigen's headers in cmeel-eigen.

# Runs one line of Python in the interpreter that the modules are built for.
function(_bpcore_ask_python code result)
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "${code}"
    OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(${result} "${answer}" PARENT_SCOPE)
endfunction()

macro(bpcore_find_pybind11)
  # The package's FindPython mode: it takes the interpreter found above.
  set(PYBIND11_FINDPYTHON ON)
  _bpcore_ask_python("import pybind11; print(pybind11.get_cmake_dir())" pybind11_dir)
  find_package(pybind11 2.12 CONFIG HINTS "${pybind11_dir}")
  if(NOT pybind11_FOUND)
    message(FATAL_ERROR "pybind11 >= 2.12 was not found in ${Python_EXECUTABLE}. `pip install pybind11` brings it; "
                        "`pip install .` does so by itself.")
  endif()
endmacro()

# Eigen3::Eigen from a system's Eigen (or EIGEN3_ROOT, CMAKE_PREFIX_PATH), else from cmeel-eigen. Its config file
# accepts no other major version than the one asked for, hence the two tries.
macro(bpcore_find_eigen)
  # cmeel installs into site-packages/cmeel.prefix. Every folder of sys.path is tried, since pip's isolated build
  # environments put it into one that sysconfig doesn't know.
  _bpcore_ask_python(
    "import os, sys; print(';'.join(q for p in sys.path if os.path.isdir(q := os.path.join(p, 'cmeel.prefix'))))"
    cmeel_prefixes)
  find_package(Eigen3 3.4 CONFIG QUIET HINTS ${cmeel_prefixes})
  if(NOT Eigen3_FOUND)
    find_package(Eigen3 5 CONFIG QUIET HINTS ${cmeel_prefixes})
  endif()
  if(NOT Eigen3_FOUND)
    message(FATAL_ERROR "Eigen >= 3.4 was found neither on the system nor in ${Python_EXECUTABLE}. `pip install "
                        "cmeel-eigen` brings its headers; so does libeigen3-dev, eigen3-devel or brew install eigen.")
  endif()
  message(STATUS "Eigen ${Eigen3_VERSION}: ${Eigen3_DIR}")
endmacro()
