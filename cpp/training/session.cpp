#include "training/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/error.h"
#include "core/rng.h"

namespace bpcore {

namespace {

constexpr int64_t gathered_alone = 16 << 10;  // bytes that are not worth sharing out

double scalar_at(const char* data, DType dtype) {
  return dtype == DType::Float32 ? double{*reinterpret_cast<const float*>(data)}
                                 : *reinterpret_cast<const double*>(data);
}

}  // namespace

Session::Session(std::shared_ptr<const Plan> plan, std::shared_ptr<const Plan> tail,
                 std::shared_ptr<const Plan> watching, std::shared_ptr<Store> store,
                 std::shared_ptr<Update> update, std::vector<SampleArray> arrays, SessionOptions options)
    : store_(std::move(store)), update_(std::move(update)), options_(options) {
  if (arrays.empty()) throw ValueError("session: at least one array is needed");
  if (options_.batch_size < 1)
    throw ValueError(concat("session: batch_size must be at least 1, got ", options_.batch_size));
  if (options_.accumulate < 1)
    throw ValueError(concat("session: accumulate must be at least 1, got ", options_.accumulate));
  if (update_ && update_->store() != store_)
    throw ValueError("session: the optimizer belongs to another store");
  rows_ = arrays.front().rows;
  for (const SampleArray& array : arrays)
    if (array.rows != rows_)
      throw ValueError(concat("session: arrays of ", rows_, " and ", array.rows, " rows"));
  if (rows_ < 1) throw ValueError("session: the arrays have no rows");
  const int64_t rest = rows_ % options_.batch_size;
  batches_ = rows_ / options_.batch_size + (rest > 0 ? 1 : 0);
  steps_per_epoch_ = ceil_div(batches_, options_.accumulate);
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
  if (options_.accumulate > 1) {
    if (!update_ || full_.plan->outputs().size() < 3)
      throw ValueError(
          "session: to accumulate gradients, it needs an optimizer and the weight of each batch");
    update_->prepare_to_accumulate();
    states_before_ = store_->state_layout.allocate();
  }
  if (options_.watch_every > 0) {
    if (!update_ || !watching || watching->outputs().size() < full_.plan->outputs().size())
      throw ValueError("session: to watch steps, it needs an optimizer and a plan with as many outputs");
    check(*watching, options_.batch_size);
    watched_values_ = 1 + 3 * update_->layers() + watching->outputs().size() - full_.plan->outputs().size();
    watching_ = make_part(std::move(watching), options_.batch_size, threads_, true);
    update_->prepare_to_measure();
    next_watched_ = update_->optimizer().steps;
  }
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

Session::Part Session::make_part(std::shared_ptr<const Plan> plan, int64_t rows, int threads, bool by_slot) {
  auto workspace = std::make_unique<Workspace>(*plan, threads);
  Bases bases;
  bases.parameters = addresses(store_->parameter_layout, store_->parameters);
  bases.states = addresses(store_->state_layout, store_->states);
  if (update_) bases.gradients = addresses(store_->parameter_layout, update_->gradients());
  for (const Input& input : inputs_) bases.inputs.push_back(input.batch.data());
  workspace->bind(bases);
  std::vector<Piece> updated = update_ ? update_->pieces(*plan, by_slot) : std::vector<Piece>{};
  return {std::move(plan), std::move(workspace), rows, std::move(updated)};
}

void Session::begin_epoch(uint64_t epoch, bool shuffle) {
  if (shuffle)
    permutation(rows_, options_.seed, epoch, order_.data());
  else if (shuffled_)
    std::iota(order_.begin(), order_.end(), int64_t{0});
  shuffled_ = shuffle;
  position_ = skipped_ = 0;
  std::fill(totals_.begin(), totals_.end(), 0.0);
}

int64_t Session::run(int64_t steps, const double* rates) {
  wanted_ = std::min(steps, steps_per_epoch_ - position_);
  done_ = 0;
  if (wanted_ <= 0) return 0;
  rates_ = rates;
  wrong_layer_ = -1;
  losses_.clear();
  watched_.clear();
  if (options_.watch_every > 0) {
    losses_.reserve(static_cast<size_t>(wanted_));
    watched_.reserve(static_cast<size_t>(wanted_ / options_.watch_every + 1) * watched_values_);
  }
  status_.reset();
  auto program = [this](Team& team) { this->program(team); };
  run_team(threads_, program);
  if (!status_.ok()) throw ValueError(status_.message());
  return done_;
}

// Inputs that can be read in place are; the others are gathered.
void Session::prepare(Part& part, int64_t batch) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    if (!input.in_place) continue;
    const int64_t row_bytes = input.array.row_elements * static_cast<int64_t>(size_of(input.array.type));
    part.workspace->bind_input(
        static_cast<int64_t>(i),
        shuffled_ ? input.batch.data() : input.array.data + batch * options_.batch_size * row_bytes);
  }
}

void Session::gather(Team& team, const Part& part, int64_t batch) {
  const int64_t* rows = order_.data() + batch * options_.batch_size;
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
// numbers that it would have had. Batches whose gradients are accumulated differ in the upper bits.
RunKey Session::key(int64_t batch_of_step) const {
  if (!update_) return {};
  const auto step = static_cast<uint64_t>(update_->optimizer().steps);
  return {options_.seed, step | static_cast<uint64_t>(batch_of_step) << 40};
}

// Reads the outputs of a batch and adds them to those of its step. False if the step must not go on.
bool Session::judge(const Part& part, bool first) {
  if (first) std::fill(last_.begin(), last_.end(), 0.0);
  for (size_t i = 0; i < last_.size(); ++i) {
    const double value = scalar_at(part.workspace->output(i), part.plan->output_types()[i].dtype);
    if (i == 0 && !first) {  // the mean over all batches so far
      const double weight = scalar_at(part.workspace->output(2), part.plan->output_types()[2].dtype);
      const double all = last_[2] + weight;
      last_[0] = all > 0 ? (last_[0] * last_[2] + value * weight) / all : value;
    } else {
      last_[i] += value;
    }
  }
  return status_.ok() && (!update_ || std::isfinite(last_[0]));
}

// Loss and gradients of one batch; false if the step must not go on.
bool Session::batch(Team& team, Part& part, const std::vector<Piece>& pieces, int64_t number, bool first,
                    bool last, bool watched) {
  prepare(part, number);
  gather(team, part, number);
  part.workspace->run(team, status_, key(number % options_.accumulate));
  const double before = first ? 0 : last_[2];
  if (!judge(part, first)) return false;
  if (options_.accumulate > 1) update_->accumulate(team, pieces, last_[2] - before, first, last);
  if (last && update_ && !update_->control(team, pieces, watched)) {
    wrong_layer_ = update_->wrong_layer();
    return false;
  }
  part.workspace->commit(team, status_);
  return true;
}

// A row of what is watched: room for norms, and what the plan gives beside loss and metrics.
void Session::record_outputs() {
  const Plan& plan = *watching_.plan;
  watched_.push_back(static_cast<double>(update_->optimizer().steps));
  watched_.resize(watched_.size() + 3 * update_->layers());
  for (size_t i = last_.size(); i < plan.outputs().size(); ++i)
    watched_.push_back(scalar_at(watching_.workspace->output(i), plan.output_types()[i].dtype));
}

// One update, or in evaluation one batch. False if it is not to be, with nothing changed.
bool Session::step(Team& team, const double* rates) {
  const int64_t begin = position_ * options_.accumulate;
  const int64_t end = std::min(begin + options_.accumulate, batches_);
  if (states_before_.bytes() > 0)
    std::memcpy(states_before_.data(), store_->states.data(), states_before_.bytes());
  const auto is_tail = [&](int64_t number) { return tail_.plan && number == batches_ - 1; };
  const bool watched =
      options_.watch_every > 0 && update_->optimizer().steps >= next_watched_ && !is_tail(begin);
  const size_t recorded = watched_.size();
  const std::vector<Piece>& pieces = (watched ? watching_ : full_).updated;
  for (int64_t number = begin; number < end; ++number) {
    const bool first = number == begin;
    Part& part = is_tail(number) ? tail_ : watched && first ? watching_ : full_;
    const bool good = batch(team, part, pieces, number, first, number == end - 1, watched);
    if (good && watched && first) record_outputs();
    if (!good) {
      watched_.resize(recorded);
      if (states_before_.bytes() > 0)
        std::memcpy(store_->states.data(), states_before_.data(), states_before_.bytes());
      return false;
    }
  }
  for (size_t i = 0; i < last_.size(); ++i) totals_[i] += last_[i];
  if (options_.watch_every > 0) losses_.push_back(last_[0]);
  if (watched) {
    next_watched_ = update_->optimizer().steps + options_.watch_every;
    update_->apply_measured(team, pieces, rates, watched_.data() + recorded + 1);
  } else if (update_) {
    update_->apply(team, pieces, rates);
  }
  return true;
}

void Session::program(Team& team) {
  for (int64_t i = 0; i < wanted_; ++i) {
    if (!step(team, rates_ + static_cast<size_t>(i) * groups())) {
      if (!options_.skip || !status_.ok()) return;
      ++skipped_;
    }
    ++position_;
    ++done_;
  }
}

}  // namespace bpcore
