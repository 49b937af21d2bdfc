// The settings of one node: axes, shapes, rates, flags. Few and small, read when a node is made or compiled,
// never at run time.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace bpcore {

class Attributes {
 public:
  using Value = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>>;

  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, Value>> entries);

  void set(const std::string& name, Value value);  // keeps the entries sorted by name

  // Throw ValueError when the attribute is missing and has no default, TypeError when it is of another kind.
  int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  double number(const std::string& name, double otherwise) const;
  const std::vector<int64_t>& integers(const std::string& name) const;
  const std::string& text(const std::string& name) const;
  std::string text(const std::string& name, const std::string& otherwise) const;
  bool flag(const std::string& name) const;  // false when missing

  // A text that is equal exactly when the attributes are.
  std::string key() const;

 private:
  const Value* find(const std::string& name) const;
  template <class T>
  const T& get(const std::string& name) const;

  std::vector<std::pair<std::string, Value>> entries_;
};

}  // namespace bpcore
