#include "training/outputs.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace bpcore {

double element_at(const char* data, DType dtype, size_t at) {
  return dtype == DType::Float32 ? double{reinterpret_cast<const float*>(data)[at]}
                                 : reinterpret_cast<const double*>(data)[at];
}

Outputs::Outputs(const Plan& plan, const std::vector<int64_t>& collected, int64_t samples)
    : samples_(samples) {
  const auto is_collected = [&](size_t number) {
    return std::find(collected.begin(), collected.end(), static_cast<int64_t>(number)) != collected.end();
  };
  for (int64_t number : collected)
    if (number < 1 || number >= static_cast<int64_t>(plan.output_types().size()))
      throw ValueError(concat("session: output ", number, " can't be collected"));
  for (const TensorType& type : plan.output_types()) {
    const size_t number = places_.size();
    if (!is_float(type.dtype) || (number == 0 && type.shape.elements() != 1))
      throw ValueError(concat("session: outputs must be float tensors, the first one a scalar; output ",
                              number, " is ", name_of(type.dtype), " of shape ", type.shape));
    Place place{type, is_collected(number), totals_.size(), static_cast<size_t>(type.shape.elements()), {}};
    if (place.collected) {
      if (type.shape.rank() == 0 || type.shape[0] < 1)
        throw ValueError(concat("session: output ", number, " has no rows to collect"));
      place.elements /= static_cast<size_t>(type.shape[0]);
      place.rows = Buffer(static_cast<size_t>(samples) * place.elements * size_of(type.dtype));
    } else {
      totals_.resize(totals_.size() + place.elements);
    }
    places_.push_back(std::move(place));
  }
  if (places_.empty()) throw ValueError("session: the plan has no outputs");
  last_ = totals_;
}

void Outputs::check(const Plan& plan, int64_t rows, bool more) const {
  const std::vector<TensorType>& types = plan.output_types();
  bool same = types.size() == count() || (more && types.size() > count());
  for (size_t i = 0; same && i < count(); ++i) {
    const Place& place = places_[i];
    const size_t parts = place.collected ? static_cast<size_t>(rows) : 1;
    same = types[i].dtype == place.type.dtype &&
           static_cast<size_t>(types[i].shape.elements()) == place.elements * parts;
  }
  if (!same) throw ValueError("session: the two plans have different outputs");
}

bool Outputs::has_weight() const {
  return count() > 2 && std::all_of(places_.begin(), places_.begin() + 3, [](const Place& place) {
           return !place.collected && place.elements == 1;
         });
}

void Outputs::begin_epoch() {
  std::fill(totals_.begin(), totals_.end(), 0.0);
  kept_ = read_ = 0;
}

void Outputs::begin_step() {
  std::fill(last_.begin(), last_.end(), 0.0);
  read_ = 0;
  first_ = true;
}

void Outputs::read(const Plan& plan, const Workspace& workspace, int64_t rows) {
  for (size_t i = 0; i < count(); ++i) {
    Place& place = places_[i];
    const char* data = workspace.output(i);
    if (place.collected) {
      const size_t row_bytes = place.elements * size_of(place.type.dtype);
      std::memcpy(place.rows.data() + static_cast<size_t>(kept_ + read_) * row_bytes, data,
                  static_cast<size_t>(rows) * row_bytes);
    } else if (i == 0 && !first_) {  // the mean over all batches so far
      const double value = element_at(data, place.type.dtype, 0);
      const double weight = element_at(workspace.output(2), plan.output_types()[2].dtype, 0);
      const double all = last_[2] + weight;
      last_[0] = all > 0 ? (last_[0] * last_[2] + value * weight) / all : value;
    } else {
      for (size_t k = 0; k < place.elements; ++k)
        last_[place.first + k] += element_at(data, place.type.dtype, k);
    }
  }
  read_ += rows;
  first_ = false;
}

void Outputs::keep() {
  for (size_t i = 0; i < last_.size(); ++i) totals_[i] += last_[i];
  kept_ += read_;
  read_ = 0;
}

void Outputs::resume(const std::vector<double>& totals, const std::map<int64_t, Rows>& collected,
                     int64_t most) {
  if (totals.size() != totals_.size())
    throw ValueError(concat("session: totals of ", totals.size(), " values instead of ", totals_.size()));
  const int64_t rows = collected.empty() ? 0 : collected.begin()->second.rows;
  for (const auto& [number, given] : collected) {
    const Rows known = this->collected(number);
    if (given.dtype != known.dtype || given.row_elements != known.row_elements || given.rows != rows ||
        rows > std::min(most, samples_))
      throw ValueError(concat("session: ", given.rows, " rows of ", given.row_elements, " ",
                              name_of(given.dtype), " elements can't be what was collected of output ",
                              number));
  }
  for (size_t number = 0; number < count(); ++number)
    if (!collected.empty() && places_[number].collected && collected.count(static_cast<int64_t>(number)) == 0)
      throw ValueError(concat("session: the rows collected of output ", number, " are missing"));
  totals_ = totals;
  for (const auto& [number, given] : collected) {
    const int64_t bytes = rows * given.row_elements * static_cast<int64_t>(size_of(given.dtype));
    if (bytes > 0)
      std::memcpy(places_[static_cast<size_t>(number)].rows.data(), given.data, static_cast<size_t>(bytes));
  }
  kept_ = rows;
}

Outputs::Rows Outputs::collected(int64_t number) const {
  if (number < 0 || number >= static_cast<int64_t>(count()) ||
      !places_[static_cast<size_t>(number)].collected)
    throw ValueError(concat("session: output ", number, " is not collected"));
  const Place& place = places_[static_cast<size_t>(number)];
  return {place.type.dtype, place.rows.data(), kept_, static_cast<int64_t>(place.elements)};
}

}  // namespace bpcore
