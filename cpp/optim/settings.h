// Hyper-parameters by name: each is read once, and those that nobody reads are objected to.
#pragma once

#include <string>

#include "optim/optimizer.h"

namespace bpcore {

class Settings {
 public:
  Settings(const std::string& optimizer, const Hyper& hyper);
  ~Settings();
  double take(const char* name);  // throws ValueError where it is missing
  void expect_empty() const;      // throws ValueError if some are left

 private:
  std::string optimizer_;
  Hyper rest_;
};

}  // namespace bpcore
