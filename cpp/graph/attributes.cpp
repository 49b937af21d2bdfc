#include "graph/attributes.h"

#include <algorithm>

#include "core/error.h"

namespace bpcore {

Attributes::Attributes(std::initializer_list<std::pair<std::string, Value>> entries) {
  for (const auto& [name, value] : entries) set(name, value);
}

void Attributes::set(const std::string& name, Value value) {
  const auto at =
      std::lower_bound(entries_.begin(), entries_.end(), name,
                       [](const auto& entry, const std::string& key) { return entry.first < key; });
  if (at != entries_.end() && at->first == name)
    at->second = std::move(value);
  else
    entries_.insert(at, {name, std::move(value)});
}

const Attributes::Value* Attributes::find(const std::string& name) const {
  for (const auto& entry : entries_)
    if (entry.first == name) return &entry.second;
  return nullptr;
}

template <class T>
const T& Attributes::get(const std::string& name) const {
  const Value* value = find(name);
  if (value == nullptr) throw ValueError(concat("attribute '", name, "' is missing"));
  const T* typed = std::get_if<T>(value);
  if (typed == nullptr) throw TypeError(concat("attribute '", name, "' is of the wrong type"));
  return *typed;
}

int64_t Attributes::integer(const std::string& name) const { return get<int64_t>(name); }
double Attributes::number(const std::string& name) const { return get<double>(name); }
double Attributes::number(const std::string& name, double otherwise) const {
  return find(name) == nullptr ? otherwise : get<double>(name);
}
const std::vector<int64_t>& Attributes::integers(const std::string& name) const {
  return get<std::vector<int64_t>>(name);
}
const std::string& Attributes::text(const std::string& name) const { return get<std::string>(name); }
std::string Attributes::text(const std::string& name, const std::string& otherwise) const {
  return find(name) == nullptr ? otherwise : get<std::string>(name);
}
bool Attributes::flag(const std::string& name) const { return find(name) != nullptr && get<bool>(name); }

std::string Attributes::key() const {
  std::string key;
  for (const auto& [name, value] : entries_) {
    key += name + '=';
    std::visit(
        [&key](const auto& held) {
          using T = std::decay_t<decltype(held)>;
          if constexpr (std::is_same_v<T, std::string>) {
            key += held;
          } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
            for (int64_t item : held) key += std::to_string(item) + ',';
          } else {
            key.append(reinterpret_cast<const char*>(&held), sizeof held);
          }
        },
        value);
    key += ';';
  }
  return key;
}

}  // namespace bpcore
