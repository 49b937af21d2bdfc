#include "graph/routine.h"

#include <cstring>

#include "core/error.h"

namespace bpcore {

std::string Status::message() const {
  const bool index = std::strcmp(what_, "index") == 0;
  const std::string range = index ? concat("[0, ", most_ + 1, ")") : concat("[", least_, ", ", most_, "]");
  const bool gaps = !index && value_ == 0;  // what a recurrent layer makes of a mask with gaps
  return concat(op_, ": ", what_, ' ', value_, " is out of range ", range,
                gaps ? "; a length of 0 also stands for a mask with gaps" : "");
}

}  // namespace bpcore
