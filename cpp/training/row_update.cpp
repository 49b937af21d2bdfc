#include "training/row_update.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace bpcore {

namespace {

constexpr size_t most_steps = 256;          // that are put off
constexpr double nanoseconds_a_step = 0.5;  // of an element

}  // namespace

RowUpdate::RowUpdate(Update& update, const RowGradient& gradient, int64_t most)
    : update_(update), gradient_(gradient) {
  const Slot& slot = update.store()->parameter_layout.slot(gradient.slot);
  rows_ = slot.shape[0];
  width_ = slot.shape.elements() / rows_;
  offset_ = slot.offset;
  rows_per_task_ = std::max<int64_t>(1, update_elements / 2 / width_);
  group_ = update.group_of(gradient.slot);
  rests_ = update.elementwise().rests(group_);
  seen_.assign(static_cast<size_t>(rows_), 0);
  if (!rests_) done_.assign(static_cast<size_t>(rows_), 0);
  listed_.reserve(static_cast<size_t>(std::min(most, rows_)));
}

// Put off or not, every row takes every step, unless it rests.
double RowUpdate::cost() const {
  const auto rows = static_cast<double>(rests_ ? listed_.capacity() : static_cast<size_t>(rows_));
  return nanoseconds_a_step * rows * static_cast<double>(width_);
}

template <class Body>
void RowUpdate::each_row(Team& team, Body&& body) {
  const int64_t count = static_cast<int64_t>(listed_.size());
  team.run(ceil_div(count, rows_per_task_), [&](int64_t task, int) {
    const int64_t end = std::min(count, (task + 1) * rows_per_task_);
    for (int64_t i = task * rows_per_task_; i < end; ++i) body(listed_[static_cast<size_t>(i)]);
  });
}

void RowUpdate::begin(Team& team, const int64_t* rows, int64_t count) {
  ++batch_;
  listed_.clear();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = rows[i];
    if (row < 0 || row >= rows_ || seen_[static_cast<size_t>(row)] == batch_) continue;
    seen_[static_cast<size_t>(row)] = batch_;
    listed_.push_back(row);
  }
  if (rests_) return;
  const ElementwiseOptimizer& optimizer = update_.elementwise();
  const size_t kept = optimizer.kept_steps();
  each_row(team, [&](int64_t row) {
    uint32_t& done = done_[static_cast<size_t>(row)];
    const int64_t begin = offset_ + row * width_;
    if (done < kept)
      optimizer.catch_up(update_.store()->parameters.data(), begin, begin + width_, group_, done);
    done = static_cast<uint32_t>(kept);
  });
}

void RowUpdate::clear(int64_t begin) {
  const size_t size = size_of(update_.optimizer().dtype());
  std::memset(update_.gradients().data() + static_cast<size_t>(begin) * size, 0,
              static_cast<size_t>(width_) * size);
}

void RowUpdate::apply(Team& team) {
  const ElementwiseOptimizer& optimizer = update_.elementwise();
  each_row(team, [&](int64_t row) {
    const int64_t begin = offset_ + row * width_;
    optimizer.update(update_.store()->parameters.data(), update_.gradients().data(), begin, begin + width_,
                     group_);
    clear(begin);
    if (!rests_) done_[static_cast<size_t>(row)] = static_cast<uint32_t>(optimizer.kept_steps());
  });
}

void RowUpdate::drop(Team& team) {
  each_row(team, [&](int64_t row) { clear(offset_ + row * width_); });
}

void RowUpdate::finish(Team& team) {
  if (rests_) return;
  const ElementwiseOptimizer& optimizer = update_.elementwise();
  const size_t kept = optimizer.kept_steps();
  team.run(ceil_div(rows_, rows_per_task_), [&](int64_t task, int) {
    const int64_t end = std::min(rows_, (task + 1) * rows_per_task_);
    for (int64_t row = task * rows_per_task_; row < end; ++row) {
      uint32_t& done = done_[static_cast<size_t>(row)];
      const int64_t begin = offset_ + row * width_;
      if (done < kept)
        optimizer.catch_up(update_.store()->parameters.data(), begin, begin + width_, group_, done);
      done = 0;
    }
  });
}

RowUpdates::RowUpdates(Update* update, const Plan& plan, const Plan* tail) : update_(update) {
  for (const RowGradient& gradient : plan.row_gradients()) slots_.push_back(gradient.slot);
  if (tail != nullptr && tail->row_gradients() != plan.row_gradients())
    throw ValueError("session: the plans differ in their row gradients");
  if (slots_.empty()) return;
  if (update_ == nullptr || !update_->takes_rows())
    throw ValueError("session: row gradients need an update that takes them");
  for (const RowGradient& gradient : plan.row_gradients()) {
    const TensorType& list = plan.inputs()[static_cast<size_t>(gradient.indices)];
    updates_.emplace_back(*update_, gradient, list.shape.elements());
    puts_off_ = puts_off_ || updates_.back().puts_off();
  }
  if (puts_off_) update_->elementwise().make_room_for_steps(most_steps);
}

double RowUpdates::cost() const {
  double total = 0;
  for (const RowUpdate& each : updates_) total += each.cost();
  return total;
}

void RowUpdates::begin_run() {
  if (update_ == nullptr) return;
  update_->expect_zeros(slots_);
  if (puts_off_) update_->elementwise().keep_steps(most_steps);
}

void RowUpdates::apply(Team& team) {
  for (RowUpdate& each : updates_) each.apply(team);
  if (puts_off_ && update_->elementwise().kept_steps() == most_steps) finish(team);
}

void RowUpdates::drop(Team& team) {
  for (RowUpdate& each : updates_) each.drop(team);
}

void RowUpdates::finish(Team& team) {
  for (RowUpdate& each : updates_) each.finish(team);
  update_->elementwise().forget_steps();
}

void RowUpdates::end_run(Team& team) {
  if (!puts_off_) return;
  finish(team);
  update_->elementwise().keep_steps(0);
}

}  // namespace bpcore
