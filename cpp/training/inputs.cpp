#include "training/inputs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"

namespace bpcore {

namespace {

constexpr int64_t gathered_alone = 16 << 10;  // bytes that are not worth sharing out

double float_at(const char* data, SampleType type, int64_t at) {
  return type == SampleType::Float32 ? double{reinterpret_cast<const float*>(data)[at]}
                                     : reinterpret_cast<const double*>(data)[at];
}

bool is_float(SampleType type) { return type == SampleType::Float32 || type == SampleType::Float64; }

}  // namespace

Inputs::Inputs(const Plan& plan, const std::vector<SampleArray>& arrays, std::vector<int64_t> rows,
               int64_t batch_size)
    : selected_(std::move(rows)) {
  if (arrays.empty()) throw ValueError("session: at least one array is needed");
  if (batch_size < 1) throw ValueError(concat("session: batch_size must be at least 1, got ", batch_size));
  const int64_t length = arrays.front().rows;
  for (const SampleArray& array : arrays)
    if (array.rows != length)
      throw ValueError(concat("session: arrays of ", length, " and ", array.rows, " rows"));
  for (int64_t row : selected_)
    if (row < 0 || row >= length) throw ValueError(concat("session: there is no row ", row, " of ", length));
  order_.resize(selected_.empty() ? static_cast<size_t>(length) : selected_.size());
  if (order_.empty()) throw ValueError("session: the arrays have no rows");
  in_order();

  for (const SampleArray& array : arrays) {
    const size_t number = inputs_.size();
    if (number >= plan.inputs().size()) throw ValueError("session: more arrays than the plan has inputs");
    const DType dtype = plan.inputs()[number].dtype;
    Input input{array, gather_function(array.type, dtype), same_representation(array.type, dtype), {}};
    input.batch =
        Buffer(static_cast<size_t>(std::min(batch_size, samples()) * array.row_elements) * size_of(dtype));
    inputs_.push_back(std::move(input));
  }
}

void Inputs::check(const Plan& plan, int64_t rows) const {
  if (plan.inputs().size() != inputs_.size())
    throw ValueError(
        concat("session: ", inputs_.size(), " arrays for a plan of ", plan.inputs().size(), " inputs"));
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Shape& shape = plan.inputs()[i].shape;
    if (shape.rank() == 0 || shape[0] != rows || shape.elements() != rows * inputs_[i].array.row_elements)
      throw ValueError(concat("session: input ", i, " of the plan has shape ", shape, ", the batch has ",
                              rows, " rows of ", inputs_[i].array.row_elements, " elements"));
  }
}

void Inputs::look_for_nonfinite(std::vector<std::string> names) {
  if (names.size() != inputs_.size())
    throw ValueError(concat("session: ", names.size(), " names for ", inputs_.size(), " arrays"));
  names_ = std::move(names);
}

std::vector<const char*> Inputs::batches() const {
  std::vector<const char*> found;
  for (const Input& input : inputs_) found.push_back(input.batch.data());
  return found;
}

void Inputs::shuffle(uint64_t seed, uint64_t epoch) {
  permutation(samples(), seed, epoch, order_.data());
  if (!selected_.empty())
    for (int64_t& at : order_) at = selected_[static_cast<size_t>(at)];
  straight_ = false;
}

void Inputs::in_order() {
  straight_ = selected_.empty();
  if (straight_)
    std::iota(order_.begin(), order_.end(), int64_t{0});
  else
    std::copy(selected_.begin(), selected_.end(), order_.begin());
}

// Where the rows of a batch can be read.
const char* Inputs::place(const Input& input, int64_t first) const {
  const int64_t row_bytes = input.array.row_elements * static_cast<int64_t>(size_of(input.array.type));
  return straight_ && input.in_place ? input.array.data + first * row_bytes : input.batch.data();
}

bool Inputs::fill(Team& team, const Plan& plan, Workspace& workspace, int64_t first, int64_t count) {
  for (size_t i = 0; i < inputs_.size(); ++i)
    if (inputs_[i].in_place) workspace.bind_input(static_cast<int64_t>(i), place(inputs_[i], first));
  gather(team, plan, first, count);
  return names_.empty() || finite(plan, first, count);
}

void Inputs::gather(Team& team, const Plan& plan, int64_t first, int64_t count) {
  const int64_t* rows = order_.data() + first;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    if (input.in_place && straight_) continue;
    const size_t row_bytes = static_cast<size_t>(input.array.row_elements) * size_of(plan.inputs()[i].dtype);
    const bool small = static_cast<int64_t>(row_bytes) * count < gathered_alone;
    const int64_t tasks = team.size() == 1 || small ? 1 : std::min<int64_t>(count, 4 * team.size());
    team.run(tasks, [&](int64_t task, int) {
      const auto [begin, end] = part_of(count, tasks, task);
      input.gather(input.array, rows + begin, end - begin,
                   input.batch.data() + static_cast<size_t>(begin) * row_bytes);
    });
  }
}

bool Inputs::finite(const Plan& plan, int64_t first, int64_t count) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const SampleArray& array = inputs_[i].array;
    const TensorType& type = plan.inputs()[i];
    if (!is_float(array.type) || !is_float(type.dtype)) continue;
    const SampleType kind = type.dtype == DType::Float32 ? SampleType::Float32 : SampleType::Float64;
    int64_t at = first_not_finite({place(inputs_[i], first), kind, count, array.row_elements}, type.dtype);
    if (at < 0) continue;
    const int64_t row = order_[static_cast<size_t>(first + at / array.row_elements)];
    at %= array.row_elements;
    const double value = float_at(array.data, array.type, row * array.row_elements + at);
    std::string index;
    for (int axis = type.shape.rank() - 1; axis > 0; --axis) {
      index = concat(", ", at % type.shape[axis], index);
      at /= type.shape[axis];
    }
    const std::string what = std::isnan(value) ? "nan" : concat(value);
    message_ =
        concat(names_[i], "[", row, index, "] is ", what,
               std::isfinite(value) ? concat(", which overflows ", name_of(type.dtype))
                                    : std::string("; clean the data, or allow it by check_finite=False"));
    return false;
  }
  return true;
}

}  // namespace bpcore
