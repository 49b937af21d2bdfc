#include "training/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace bpcore {

namespace {

constexpr int64_t most_batches = (int64_t{1} << 31) - 1;  // of a step: sums of larger numbers might overflow

}  // namespace

Session::Session(std::shared_ptr<const Plan> plan, std::shared_ptr<const Plan> tail,
                 std::shared_ptr<const Plan> watching, std::shared_ptr<Store> store,
                 std::shared_ptr<Update> update, std::vector<SampleArray> arrays, SessionOptions options)
    : store_(std::move(store)),
      update_(std::move(update)),
      options_(std::move(options)),
      inputs_(*plan, arrays, options_.rows, options_.batch_size),
      outputs_(*plan, options_.collected, inputs_.samples()),
      row_updates_(update_.get(), *plan, tail.get()) {
  if (!plan->row_gradients().empty() && (options_.accumulate > 1 || options_.watch_every > 0))
    throw ValueError("session: gradients by rows can be neither accumulated nor watched");
  if (options_.accumulate < 1 || options_.accumulate > most_batches)
    throw ValueError(concat("session: accumulate must be at least 1 and at most ", most_batches, ", got ",
                            options_.accumulate));
  if (update_ && update_->store() != store_)
    throw ValueError("session: the optimizer belongs to another store");
  if (!options_.names.empty()) inputs_.look_for_nonfinite(options_.names);
  const int64_t rest = inputs_.samples() % options_.batch_size;
  batches_ = ceil_div(inputs_.samples(), options_.batch_size);
  steps_per_epoch_ = ceil_div(batches_, options_.accumulate);
  if ((tail != nullptr) != (rest > 0))
    throw ValueError(concat("session: ", rest, " rows are left behind the last full batch, which ",
                            rest > 0 ? "needs" : "leaves no use for", " a plan of its own"));
  check(*plan, options_.batch_size);
  if (tail) check(*tail, rest);

  threads_ = plan->threads(options_.threads, row_updates_.cost());
  full_ = make_part(std::move(plan), options_.batch_size, threads_);
  if (tail) tail_ = make_part(std::move(tail), rest, threads_);
  if (options_.accumulate > 1 && tail_.plan && tail_.updated != full_.updated)
    throw ValueError(
        "session: to accumulate gradients, all batches must reach the same parameters, "
        "which the last, smaller one doesn't");
  if (options_.accumulate > 1) {
    if (!update_ || !outputs_.has_weight())
      throw ValueError(
          "session: to accumulate gradients, it needs an optimizer and the weight of each batch");
    update_->prepare_to_accumulate();
    states_before_ = store_->state_layout.allocate();
  }
  if (options_.watch_every > 0) {
    if (!update_ || !watching)
      throw ValueError("session: to watch steps, it needs an optimizer and a plan for them");
    check(*watching, options_.batch_size, true);
    watched_values_ = 1 + 3 * update_->layers() + watching->outputs().size() - outputs_.count();
    watching_ = make_part(std::move(watching), options_.batch_size, threads_, true);
    update_->prepare_to_measure();
    next_watched_ = update_->optimizer().steps;
  }
}

void Session::check(const Plan& plan, int64_t rows, bool more) const {
  inputs_.check(plan, rows);
  outputs_.check(plan, rows, more);
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
  bases.inputs = inputs_.batches();
  workspace->bind(bases);
  std::vector<Piece> updated = update_ ? update_->pieces(*plan, by_slot) : std::vector<Piece>{};
  return {std::move(plan), std::move(workspace), rows, std::move(updated)};
}

void Session::begin_epoch(uint64_t epoch, bool shuffle) {
  if (shuffle)
    inputs_.shuffle(options_.seed, epoch);
  else
    inputs_.in_order();
  position_ = skipped_ = 0;
  outputs_.begin_epoch();
  if (options_.watch_every == 0) return;
  const int64_t steps = update_->optimizer().steps;  // some may have been taken back since the last run
  if (steps + options_.watch_every <= next_watched_) next_watched_ = steps;
}

void Session::seek(int64_t position, const std::vector<double>& totals, int64_t skipped,
                   const std::map<int64_t, Outputs::Rows>& collected) {
  if (position < 0 || position > steps_per_epoch_ || skipped < 0 || skipped > position)
    throw ValueError(concat("session: there is no step ", position, " with ", skipped,
                            " left out in epochs of ", steps_per_epoch_, " steps"));
  const int64_t batches = std::min(position * options_.accumulate, batches_);
  outputs_.resume(totals, collected, batches * options_.batch_size);
  position_ = position;
  skipped_ = skipped;
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
  clean_ = true;
  auto program = [this](Team& team) { this->program(team); };
  run_team(threads_, program);
  if (!clean_) throw ValueError(inputs_.message());
  if (!status_.ok()) throw ValueError(status_.message());
  return done_;
}

// Steps are counted by the optimizer, whose state is saved: a run that is resumed goes on with the random
// numbers that it would have had. Batches whose gradients are accumulated differ in the upper bits.
RunKey Session::key(int64_t batch_of_step) const {
  if (!update_) return {};
  const auto step = static_cast<uint64_t>(update_->optimizer().steps);
  return {options_.seed, step | static_cast<uint64_t>(batch_of_step) << 40};
}

// Loss and gradients of one batch; false if the step must not go on.
bool Session::batch(Team& team, Part& part, const std::vector<Piece>& pieces, int64_t number, bool first,
                    bool last, bool watched) {
  clean_ = inputs_.fill(team, *part.plan, *part.workspace, number * options_.batch_size, part.rows);
  if (!clean_) return false;
  row_updates_.begin(team, *part.plan, [&](int64_t input) {
    return inputs_.place(static_cast<size_t>(input), number * options_.batch_size);
  });
  part.workspace->run(team, status_, key(number % options_.accumulate));
  const double before = options_.accumulate > 1 && !first ? outputs_.weight() : 0;
  if (first) outputs_.begin_step();
  outputs_.read(*part.plan, *part.workspace, part.rows);
  if (!status_.ok() || (update_ && !std::isfinite(outputs_.loss()))) return false;
  if (options_.accumulate > 1) update_->accumulate(team, pieces, outputs_.weight() - before, first, last);
  if (last && update_ && !update_->control(team, pieces, watched)) {
    wrong_layer_ = update_->wrong_layer();
    return false;
  }
  part.workspace->commit(team, status_);
  return true;
}

// A row of what is watched: room for norms, and what the plan gives beside loss and metrics.
void Session::record_watched() {
  const Plan& plan = *watching_.plan;
  watched_.push_back(static_cast<double>(update_->optimizer().steps));
  watched_.resize(watched_.size() + 3 * update_->layers());
  for (size_t i = outputs_.count(); i < plan.outputs().size(); ++i)
    watched_.push_back(element_at(watching_.workspace->output(i), plan.output_types()[i].dtype, 0));
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
  const auto part_of_batch = [&](int64_t number) -> Part& {
    return is_tail(number) ? tail_ : watched && number == begin ? watching_ : full_;
  };
  const std::vector<Piece>& pieces = part_of_batch(begin).updated;  // those of all its batches
  for (int64_t number = begin; number < end; ++number) {
    const bool first = number == begin;
    const bool good = batch(team, part_of_batch(number), pieces, number, first, number == end - 1, watched);
    if (good && watched && first) record_watched();
    if (!good) {
      row_updates_.drop(team);
      watched_.resize(recorded);
      if (states_before_.bytes() > 0)
        std::memcpy(store_->states.data(), states_before_.data(), states_before_.bytes());
      return false;
    }
  }
  outputs_.keep();
  if (options_.watch_every > 0) losses_.push_back(outputs_.loss());
  if (watched) {
    next_watched_ = update_->optimizer().steps + options_.watch_every;
    update_->apply_measured(team, pieces, rates, watched_.data() + recorded + 1);
  } else if (update_) {
    update_->apply(team, pieces, rates);
    row_updates_.apply(team);
  }
  return true;
}

void Session::program(Team& team) {
  row_updates_.begin_run();
  const double* rates = rates_;
  for (int64_t i = 0; i < wanted_; ++i) {
    if (step(team, rates)) {
      rates += groups();  // of the next update: a step that is left out uses up none
    } else {
      if (!options_.skip || !clean_ || !status_.ok()) break;
      ++skipped_;
    }
    ++position_;
    ++done_;
  }
  row_updates_.end_run(team);
}

}  // namespace bpcore
