#include "optim/settings.h"

#include "core/error.h"

namespace bpcore {

Settings::Settings(const std::string& optimizer, const Hyper& hyper) : optimizer_(optimizer), rest_(hyper) {}

Settings::~Settings() = default;

double Settings::take(const char* name) {
  const auto found = rest_.find(name);
  if (found == rest_.end()) throw ValueError(concat(optimizer_, ": ", name, " is missing"));
  const double value = found->second;
  rest_.erase(found);
  return value;
}

void Settings::expect_empty() const {
  if (!rest_.empty()) throw ValueError(concat(optimizer_, ": there is no setting ", rest_.begin()->first));
}

}  // namespace bpcore
