// Errors that cross into Python, and how their messages are put together.
//
// ValueError: shapes and values; TypeError: dtypes; StateError: an object used at the wrong time
// (RuntimeError in Python). Messages begin with the name of the op or object.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace bpcore {

struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

struct TypeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct StateError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Never inlined, and made small instead of fast: all the places where something may be wrong would carry a
// stream of their own.
template <class... Parts>
[[gnu::cold, gnu::noinline]] std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

}  // namespace bpcore
