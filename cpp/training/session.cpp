#include "training/session.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"

namespace bpcore {

Update::Update(std::shared_ptr<Store> owner, const std::string& name, const Hyper& hyper)
    : store(std::move(owner)),
      gradients(store->parameter_layout.allocate()),
      optimizer(
          make_optimizer(name, hyper, store->parameter_layout.elements(), store->parameter_layout.dtype())) {}

namespace {

constexpr int64_t gathered_alone = 16 << 10;  // bytes that are not worth sharing out

double scalar_at(const char* data, DType dtype) {
  return dtype == DType::Float32 ? double{*reinterpret_cast<const float*>(data)}
                                 : *reinterpret_cast<const double*>(data);
}

}  // namespace

Session::Session(std::shared_ptr<const Plan> plan, std::shared_ptr<const Plan> tail,
                 std::shared_ptr<Store> store, std::shared_ptr<Update> update,
                 std::vector<SampleArray> arrays, SessionOptions options)
    : store_(std::move(store)), update_(std::move(update)), options_(options) {
  if (arrays.empty()) throw ValueError("session: at least one array is needed");
  if (options_.batch_size < 1)
    throw ValueError(concat("session: batch_size must be at least 1, got ", options_.batch_size));
  if (update_ && update_->store != store_)
    throw ValueError("session: the optimizer belongs to another store");
  rows_ = arrays.front().rows;
  for (const SampleArray& array : arrays)
    if (array.rows != rows_)
      throw ValueError(concat("session: arrays of ", rows_, " and ", array.rows, " rows"));
  if (rows_ < 1) throw ValueError("session: the arrays have no rows");
  const int64_t rest = rows_ % options_.batch_size;
  steps_per_epoch_ = rows_ / options_.batch_size + (rest > 0 ? 1 : 0);
  if ((tail != nullptr) != (rest > 0))
    throw ValueError(concat("session: ", rest, " rows are left behind the last full batch, which ",
                            rest > 0 ? "needs" : "leaves no use for", " a plan of its own"));

  for (SampleArray& array : arrays) {
    const size_t number = inputs_.size();
    if (number >= plan->inputs().size()) throw ValueError("session: more arrays than the plan has inputs");
    const TensorType& type = plan->inputs()[number];
    Input input{
        array, gather_function(array.type, type.dtype), same_representation(array.type, type.dtype), {}};
    input.batch = Buffer(static_cast<size_t>(std::min(options_.batch_size, rows_) * array.row_elements) *
                         size_of(type.dtype));
    inputs_.push_back(std::move(input));
  }
  check(*plan, options_.batch_size);
  if (tail) check(*tail, rest);
  if (tail && tail->outputs().size() != plan->outputs().size())
    throw ValueError("session: the two plans have different outputs");

  threads_ = plan->threads(options_.threads);
  full_ = make_part(std::move(plan), options_.batch_size, threads_);
  if (tail) tail_ = make_part(std::move(tail), rest, threads_);
  totals_.assign(full_.plan->outputs().size(), 0.0);
  last_ = totals_;
  order_.resize(static_cast<size_t>(rows_));
  std::iota(order_.begin(), order_.end(), int64_t{0});
}

void Session::check(const Plan& plan, int64_t rows) const {
  if (plan.inputs().size() != inputs_.size())
    throw ValueError(
        concat("session: ", inputs_.size(), " arrays for a plan of ", plan.inputs().size(), " inputs"));
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Shape& shape = plan.inputs()[i].shape;
    if (shape.rank() == 0 || shape[0] != rows || shape.elements() != rows * inputs_[i].array.row_elements)
      throw ValueError(concat("session: input ", i, " of the plan has shape ", shape, ", the batch has ",
                              rows, " rows of ", inputs_[i].array.row_elements, " elements"));
  }
  for (const TensorType& output : plan.output_types())
    if (!is_float(output.dtype) || output.shape.elements() != 1)
      throw ValueError(concat("session: outputs must be float scalars, got shape ", output.shape));
  if (plan.outputs().empty()) throw ValueError("session: the plan has no outputs");
  if (!update_ && !plan.gradients().empty())
    throw ValueError("session: a plan with gradients needs an optimizer");
  check_store(plan, *store_);
}

Session::Part Session::make_part(std::shared_ptr<const Plan> plan, int64_t rows, int threads) {
  auto workspace = std::make_unique<Workspace>(*plan, threads);
  Bases bases;
  bases.parameters = addresses(store_->parameter_layout, store_->parameters);
  bases.states = addresses(store_->state_layout, store_->states);
  if (update_) bases.gradients = addresses(store_->parameter_layout, update_->gradients);
  for (const Input& input : inputs_) bases.inputs.push_back(input.batch.data());
  workspace->bind(bases);
  std::vector<Range> updated = update_ ? updated_ranges(*plan) : std::vector<Range>{};
  return {std::move(plan), std::move(workspace), rows, std::move(updated)};
}

// The slots that the plan computes gradients for, neighbours merged, cut into tasks. A frozen parameter, or
// one that this loss doesn't reach, is in none: neither weight decay nor momentum moves it.
std::vector<Range> Session::updated_ranges(const Plan& plan) const {
  std::vector<Range> slots;
  const int64_t step = static_cast<int64_t>(alignment / size_of(store_->parameter_layout.dtype()));
  for (const auto& [number, type] : plan.gradients()) {
    const int64_t begin = store_->parameter_layout.slot(number).offset;
    slots.push_back({begin, begin + round_up(type.shape.elements(), step)});
  }
  std::sort(slots.begin(), slots.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> merged;
  for (const Range& slot : slots) {
    if (!merged.empty() && merged.back().end == slot.begin)
      merged.back().end = slot.end;
    else
      merged.push_back(slot);
  }
  std::vector<Range> tasks;
  for (const Range& range : merged)
    for (int64_t begin = range.begin; begin < range.end; begin += update_elements)
      tasks.push_back({begin, std::min(range.end, begin + update_elements)});
  return tasks;
}

void Session::begin_epoch(uint64_t epoch, bool shuffle) {
  if (shuffle)
    permutation(rows_, options_.seed, epoch, order_.data());
  else if (shuffled_)
    std::iota(order_.begin(), order_.end(), int64_t{0});
  shuffled_ = shuffle;
  position_ = 0;
  std::fill(totals_.begin(), totals_.end(), 0.0);
}

int64_t Session::run(int64_t steps, const double* rates) {
  wanted_ = std::min(steps, steps_per_epoch_ - position_);
  done_ = 0;
  if (wanted_ <= 0) return 0;
  rates_ = rates;
  go_on_ = true;
  status_.reset();
  auto program = [this](Team& team) { this->program(team); };
  run_team(threads_, program);
  if (!status_.ok()) throw ValueError(status_.message());
  return done_;
}

// Inputs that can be read in place are; the others are gathered.
void Session::prepare(Part& part) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    if (!input.in_place) continue;
    const int64_t row_bytes = input.array.row_elements * static_cast<int64_t>(size_of(input.array.type));
    part.workspace->bind_input(
        static_cast<int64_t>(i),
        shuffled_ ? input.batch.data() : input.array.data + position_ * options_.batch_size * row_bytes);
  }
}

void Session::gather(Team& team, const Part& part) {
  const int64_t* rows = order_.data() + position_ * options_.batch_size;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    if (input.in_place && !shuffled_) continue;
    const size_t row_bytes =
        static_cast<size_t>(input.array.row_elements) * size_of(part.plan->inputs()[i].dtype);
    const bool small = static_cast<int64_t>(row_bytes) * part.rows < gathered_alone;
    const int64_t tasks = team.size() == 1 || small ? 1 : std::min<int64_t>(part.rows, 4 * team.size());
    team.run(tasks, [&](int64_t task, int) {
      const auto [begin, end] = part_of(part.rows, tasks, task);
      input.gather(input.array, rows + begin, end - begin,
                   input.batch.data() + static_cast<size_t>(begin) * row_bytes);
    });
  }
}

// Steps are counted by the optimizer, whose state is saved: a run that is resumed goes on with the random
// numbers that it would have had.
RunKey Session::key() const {
  return update_ ? RunKey{options_.seed, static_cast<uint64_t>(update_->optimizer->steps)} : RunKey{};
}

// Reads the outputs and decides whether the update happens and whether to go on.
void Session::finish(const Part& part, double rate) {
  for (size_t i = 0; i < last_.size(); ++i)
    last_[i] = scalar_at(part.workspace->output(i), part.plan->output_types()[i].dtype);
  go_on_ = status_.ok() && (!update_ || std::isfinite(last_[0]));
  if (!go_on_) return;
  for (size_t i = 0; i < last_.size(); ++i) totals_[i] += last_[i];
  if (update_) update_->optimizer->begin_step(rate);
}

void Session::update(Team& team, const Part& part) const {
  const Optimizer& optimizer = *update_->optimizer;
  team.run(static_cast<int64_t>(part.updated.size()), [&](int64_t task, int) {
    const Range& range = part.updated[static_cast<size_t>(task)];
    optimizer.update(store_->parameters.data(), update_->gradients.data(), range.begin, range.end);
  });
}

void Session::program(Team& team) {
  for (int64_t step = 0; step < wanted_; ++step) {
    Part& part = tail_.plan && position_ == steps_per_epoch_ - 1 ? tail_ : full_;
    prepare(part);
    gather(team, part);
    part.workspace->run(team, status_, key());
    finish(part, rates_[step]);
    if (!go_on_) return;
    part.workspace->commit(team, status_);
    if (update_) update(team, part);
    ++position_;
    ++done_;
  }
}

}  // namespace bpcore
