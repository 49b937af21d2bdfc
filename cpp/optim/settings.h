// Hyper-parameters by name: each is read once, and those that nobody reads are objected to.
#pragma once

#include <string>
#include <utility>

#include "core/error.h"
#include "optim/optimizer.h"

namespace bpcore {

class Settings {
 public:
  Settings(std::string optimizer, const Hyper& hyper) : optimizer_(std::move(optimizer)), rest_(hyper) {}
  double take(const char* name) {
    const auto found = rest_.find(name);
    if (found == rest_.end()) throw ValueError(concat(optimizer_, ": ", name, " is missing"));
    const double value = found->second;
    rest_.erase(found);
    return value;
  }
  void expect_empty() const {
    if (!rest_.empty()) throw ValueError(concat(optimizer_, ": there is no setting ", rest_.begin()->first));
  }

 private:
  std::string optimizer_;
  Hyper rest_;
};

}  // namespace bpcore
