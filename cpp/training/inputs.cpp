#include "training/inputs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"
#include "kernels/simd.h"

namespace bpcore {

namespace {

constexpr int64_t gathered_alone = 16 << 10;  // bytes that are not worth sharing out

// Bytes of a batch that are asked for a step ahead. A few rows at random places of a large array would each
// be waited for; many have enough to do, and so many requests would be in the step's way.
constexpr int64_t fetched_ahead = 4 << 10;

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
    if (array.indptr != nullptr) {
      add_ragged(plan, array);
      continue;
    }
    const DType dtype = plan.inputs()[number].dtype;
    Input input{array, gather_function(array.type, dtype), same_representation(array.type, dtype), {}};
    input.batch =
        Buffer(static_cast<size_t>(std::min(batch_size, samples()) * array.row_elements) * size_of(dtype));
    inputs_.push_back(std::move(input));
  }
}

void Inputs::add_ragged(const Plan& plan, const SampleArray& array) {
  const TensorType& type = plan.inputs()[inputs_.size()];
  Input input{array, gather_function(array.type, type.dtype), false,
              Buffer(static_cast<size_t>(type.bytes()))};
  if (input.is_places()) {
    if (type.dtype != DType::Int64) throw ValueError("session: places of rows are int64");
    if (array.indptr[0] < 0) throw ValueError("session: the first row begins before its array");
    for (int64_t i = 0; i < array.rows; ++i)
      if (array.indptr[i + 1] < array.indptr[i])
        throw ValueError(concat("session: row ", i, " ends before it begins"));
  } else {
    const auto is_its = [&](const Input& each) {
      return each.is_places() && each.array.indptr == array.indptr;
    };
    const auto found = std::find_if(inputs_.begin(), inputs_.end(), is_its);
    if (found == inputs_.end()) throw ValueError("session: ragged rows without an input of their places");
    input.places = static_cast<size_t>(found - inputs_.begin());
    if (array.indptr[array.rows] > array.row_elements)
      throw ValueError(concat("session: rows of ", array.indptr[array.rows], " elements in an array of ",
                              array.row_elements));
  }
  inputs_.push_back(std::move(input));
}

// There must be room for the longest rows.
void Inputs::check_ragged(const Plan& plan, size_t number, int64_t rows) const {
  const Input& input = inputs_[number];
  const TensorType& type = plan.inputs()[number];
  int64_t least = rows + 1;
  if (input.is_ragged()) {
    std::vector<int64_t> lengths;
    for (int64_t row : order_) lengths.push_back(input.array.indptr[row + 1] - input.array.indptr[row]);
    const int64_t longest = std::min(rows, samples());
    std::nth_element(lengths.begin(), lengths.begin() + (longest - 1), lengths.end(), std::greater<>());
    least = std::accumulate(lengths.begin(), lengths.begin() + longest, int64_t{0});
  }
  const bool fits = type.shape.rank() == 1 && type.shape[0] >= least &&
                    (input.is_ragged() || type.shape[0] == least) &&
                    type.bytes() <= static_cast<int64_t>(input.batch.bytes());
  if (!fits)
    throw ValueError(concat("session: input ", number, " of the plan has shape ", type.shape, ", ", rows,
                            input.is_ragged() ? " ragged rows need up to " : " places of ragged rows need ",
                            least));
}

void Inputs::check(const Plan& plan, int64_t rows) const {
  if (plan.inputs().size() != inputs_.size())
    throw ValueError(
        concat("session: ", inputs_.size(), " arrays for a plan of ", plan.inputs().size(), " inputs"));
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Shape& shape = plan.inputs()[i].shape;
    if (inputs_[i].array.indptr != nullptr) {
      check_ragged(plan, i, rows);
      continue;
    }
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
  fetch(first + count, count);
  return names_.empty() || finite(plan, first, count);
}

// Asks the caches for the samples from `first` on that are to be gathered next.
void Inputs::fetch(int64_t first, int64_t count) const {
  const int64_t end = std::min(first + count, samples());
  for (const Input& input : inputs_) {
    const int64_t row_bytes = input.array.row_elements * static_cast<int64_t>(size_of(input.array.type));
    if (straight_ || input.array.indptr != nullptr || row_bytes * count > fetched_ahead) continue;
    for (int64_t sample = first; sample < end; ++sample) {
      const char* row = input.array.data + order_[static_cast<size_t>(sample)] * row_bytes;
      for (int64_t at = 0; at < row_bytes; at += kernels::simd::line_bytes) kernels::simd::prefetch(row + at);
      if (row_bytes > 1) kernels::simd::prefetch(row + row_bytes - 1);  // it may begin within a line
    }
  }
}

void Inputs::gather(Team& team, const Plan& plan, int64_t first, int64_t count) {
  const int64_t* rows = order_.data() + first;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    if (input.in_place && straight_) continue;
    if (input.is_places()) {
      int64_t* ends = input.batch.as<int64_t>();
      ends[0] = 0;
      for (int64_t k = 0; k < count; ++k)
        ends[k + 1] = ends[k] + input.array.indptr[rows[k] + 1] - input.array.indptr[rows[k]];
      continue;
    }
    if (input.is_ragged()) {
      const int64_t* ends = inputs_[input.places].batch.as<int64_t>();
      const int64_t tasks = team.size() == 1 || ends[count] < gathered_alone / 8
                                ? 1
                                : std::min<int64_t>(count, 4 * team.size());
      team.run(tasks, [&](int64_t task, int) { gather_ragged(plan, i, first, part_of(count, tasks, task)); });
      continue;
    }
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

void Inputs::gather_ragged(const Plan& plan, size_t number, int64_t first, Range rows) {
  const Input& input = inputs_[number];
  const int64_t* ends = inputs_[input.places].batch.as<int64_t>();
  const size_t from = size_of(input.array.type), to = size_of(plan.inputs()[number].dtype);
  for (int64_t k = rows.begin; k < rows.end; ++k) {
    const int64_t begin = input.array.indptr[order_[static_cast<size_t>(first + k)]], whole = 0;
    const SampleArray row{input.array.data + static_cast<size_t>(begin) * from, input.array.type, 1,
                          ends[k + 1] - ends[k]};
    input.gather(row, &whole, 1, input.batch.data() + static_cast<size_t>(ends[k]) * to);
  }
}

bool Inputs::finite(const Plan& plan, int64_t first, int64_t count) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const SampleArray& array = inputs_[i].array;
    const TensorType& type = plan.inputs()[i];
    if (!is_float(array.type) || !is_float(type.dtype) || array.indptr != nullptr) continue;
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
