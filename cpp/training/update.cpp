#include "training/update.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "optim/stretch.h"

namespace bpcore {

namespace {

constexpr int64_t constrained_columns = 64;  // of a task

}  // namespace

Update::Update(std::shared_ptr<Store> store, const std::string& name, UpdateOptions options)
    : store_(std::move(store)), options_(std::move(options)) {
  const FlatLayout& layout = store_->parameter_layout;
  const size_t count = layout.slots().size();
  std::vector<int64_t>&groups = options_.group_of_slot, &layers = options_.layer_of_slot;
  if (groups.empty()) groups.assign(count, 0);
  if (layers.empty())
    for (size_t slot = 0; slot < count; ++slot) layers.push_back(static_cast<int64_t>(slot));
  if (groups.size() != count || layers.size() != count)
    throw ValueError(concat("optimizer: groups and layers of ", groups.size(), " and ", layers.size(),
                            " parameters for a model of ", count));
  for (int64_t group : groups)
    if (group < 0 || group >= static_cast<int64_t>(options_.groups.size()))
      throw ValueError(concat("optimizer: there is no group ", group));
  for (int64_t layer : layers) {
    if (layer < 0) throw ValueError(concat("optimizer: there is no layer ", layer));
    layers_ = std::max(layers_, static_cast<size_t>(layer) + 1);
  }
  for (const Constraint& constraint : options_.constraints) layout.slot(constraint.slot);  // throws
  optimizer_ = make_optimizer({name, options_.groups, layout.elements(), layout.dtype()});
  elementwise_ = dynamic_cast<ElementwiseOptimizer*>(optimizer_.get());
  tensorwise_ = dynamic_cast<const TensorwiseOptimizer*>(optimizer_.get());
  gradients_ = layout.allocate();
  if (has_average()) average_ = layout.allocate();
  const size_t most_pieces = static_cast<size_t>(layout.elements() / update_elements) + count;
  partial_.resize(most_pieces);
  other_.resize(most_pieces);
  by_layer_.resize(layers_);
  of_gradients_.resize(layers_);
  factors_.resize(layers_);
  lengths_.resize(count);
  zero_.resize(count);
}

bool Update::takes_rows() const {
  return elementwise_ != nullptr && !measures() && options_.clip_value == 0 && options_.constraints.empty() &&
         !has_average();
}

void Update::expect_zeros(const std::vector<int64_t>& slots) {
  const FlatLayout& layout = store_->parameter_layout;
  for (int64_t number : slots) {
    const Slot& slot = layout.slot(number);
    const size_t bytes = static_cast<size_t>(slot.shape.elements()) * size_of(layout.dtype());
    if (!zero_[static_cast<size_t>(number)]) std::memset(layout.address(gradients_, slot), 0, bytes);
  }
  std::fill(zero_.begin(), zero_.end(), false);
  for (int64_t number : slots) zero_[static_cast<size_t>(number)] = true;
}

bool Update::measures() const {
  return options_.clip_norm > 0 || options_.clip_layer_norm > 0 || options_.check_gradients;
}

std::vector<Piece> Update::pieces(const Plan& plan, bool by_slot) const {
  const FlatLayout& layout = store_->parameter_layout;
  const int64_t step = static_cast<int64_t>(alignment / size_of(layout.dtype()));
  std::vector<Piece> tensors;
  for (const auto& [number, type] : plan.gradients()) {
    const auto is_it = [slot = number](const RowGradient& each) { return each.slot == slot; };
    const std::vector<RowGradient>& by_rows = plan.row_gradients();
    if (std::any_of(by_rows.begin(), by_rows.end(), is_it)) continue;
    const int64_t begin = layout.slot(number).offset;
    const size_t slot = static_cast<size_t>(number);
    tensors.push_back({{begin, begin + round_up(type.shape.elements(), step)},
                       static_cast<size_t>(options_.group_of_slot[slot]),
                       slot});
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const Piece& a, const Piece& b) { return a.range.begin < b.range.begin; });
  std::vector<Piece> merged;
  for (const Piece& tensor : tensors) {
    if (!merged.empty() && !by_slot && !needs_slots() && merged.back().range.end == tensor.range.begin &&
        merged.back().group == tensor.group)
      merged.back().range.end = tensor.range.end;
    else
      merged.push_back(tensor);
  }
  std::vector<Piece> pieces;
  for (const Piece& each : merged)
    for (int64_t begin = each.range.begin; begin < each.range.end; begin += update_elements)
      pieces.push_back({{begin, std::min(each.range.end, begin + update_elements)}, each.group, each.slot});
  return pieces;
}

void Update::prepare_to_accumulate() {
  if (sums_.data() == nullptr) sums_ = store_->parameter_layout.allocate();
}

void Update::prepare_to_measure() {
  if (before_.data() == nullptr) before_ = store_->parameter_layout.allocate();
}

void Update::accumulate(Team& team, const std::vector<Piece>& pieces, double weight, bool first, bool last) {
  const DType dtype = optimizer_->dtype();
  weight_ = first ? weight : weight_ + weight;
  const double share = weight_ > 0 ? 1 / weight_ : 0;
  team.run(static_cast<int64_t>(pieces.size()), [&](int64_t task, int) {
    const Range& range = pieces[static_cast<size_t>(task)].range;
    stretch::blend(dtype, sums_.data(), first ? 0 : 1, gradients_.data(), weight, range.begin, range.end);
    if (last) stretch::blend(dtype, gradients_.data(), 0, sums_.data(), share, range.begin, range.end);
  });
}

// Sums of squares of `values`, laid out as the parameters are, by layer: those of the pieces in their order.
void Update::measure(Team& team, const std::vector<Piece>& pieces, const void* values) {
  const DType dtype = optimizer_->dtype();
  team.run(static_cast<int64_t>(pieces.size()), [&](int64_t task, int) {
    const size_t piece = static_cast<size_t>(task);
    const Range& range = pieces[piece].range;
    partial_[piece] = stretch::sum_of_squares(dtype, values, range.begin, range.end);
  });
  std::fill(by_layer_.begin(), by_layer_.end(), 0.0);
  for (size_t piece = 0; piece < pieces.size(); ++piece)
    by_layer_[static_cast<size_t>(options_.layer_of_slot[pieces[piece].slot])] += partial_[piece];
}

bool Update::control(Team& team, const std::vector<Piece>& pieces, bool measured) {
  wrong_layer_ = -1;
  if (measured || measures()) measure(team, pieces, gradients_.data());
  if (measured) of_gradients_ = by_layer_;
  if (measures()) {
    for (size_t layer = 0; layer < layers_; ++layer)
      if (!std::isfinite(by_layer_[layer])) {
        wrong_layer_ = static_cast<int64_t>(layer);
        return false;
      }
    if (options_.clip_norm > 0 || options_.clip_layer_norm > 0) scale_layers(team, pieces);
  }
  if (options_.clip_value > 0)
    team.run(static_cast<int64_t>(pieces.size()), [&](int64_t task, int) {
      const Range& range = pieces[static_cast<size_t>(task)].range;
      stretch::clamp(optimizer_->dtype(), gradients_.data(), options_.clip_value, range.begin, range.end);
    });
  return true;
}

// As PyTorch's clip_grad_norm_: by most / (norm + 1e-6) where that is below 1.
void Update::scale_layers(Team& team, const std::vector<Piece>& pieces) {
  const auto factor = [](double most, double squares) {
    return std::min(1.0, most / (std::sqrt(squares) + 1e-6));
  };
  if (options_.clip_norm > 0) {
    double total = 0;
    for (double squares : by_layer_) total += squares;
    std::fill(factors_.begin(), factors_.end(), factor(options_.clip_norm, total));
  } else {
    for (size_t layer = 0; layer < layers_; ++layer)
      factors_[layer] = factor(options_.clip_layer_norm, by_layer_[layer]);
  }
  if (std::all_of(factors_.begin(), factors_.end(), [](double each) { return each == 1; })) return;
  team.run(static_cast<int64_t>(pieces.size()), [&](int64_t task, int) {
    const Piece& piece = pieces[static_cast<size_t>(task)];
    const double by = factors_[static_cast<size_t>(options_.layer_of_slot[piece.slot])];
    if (by < 1)
      stretch::scale(optimizer_->dtype(), gradients_.data(), by, piece.range.begin, piece.range.end);
  });
}

void Update::apply(Team& team, const std::vector<Piece>& pieces, const double* rates) {
  optimizer_->begin_step(rates);
  const double share = optimizer_->steps == 1 ? 1 : 1 - options_.average;
  if (has_average() && optimizer_->steps == 1)  // also of what is frozen
    std::memcpy(average_.data(), store_->parameters.data(), store_->parameter_layout.bytes());
  const bool at_once = elementwise_ != nullptr && options_.constraints.empty();  // nothing comes between
  if (tensorwise_ != nullptr) {
    move_by_tensor(team, pieces);
  } else {
    team.run(static_cast<int64_t>(pieces.size()), [&](int64_t task, int) {
      const Piece& piece = pieces[static_cast<size_t>(task)];
      elementwise_->update(store_->parameters.data(), gradients_.data(), piece.range.begin, piece.range.end,
                           piece.group);
      if (at_once) follow(piece, share);
    });
  }
  if (at_once) return;
  constrain(team, pieces);
  if (has_average())
    team.run(static_cast<int64_t>(pieces.size()),
             [&](int64_t task, int) { follow(pieces[static_cast<size_t>(task)], share); });
}

void Update::apply_measured(Team& team, const std::vector<Piece>& pieces, const double* rates,
                            double* norms) {
  const DType dtype = optimizer_->dtype();
  const char* parameters = store_->parameters.data();
  const auto write = [&](const std::vector<double>& squares) {
    for (double each : squares) *norms++ = std::sqrt(each);
  };
  write(of_gradients_);
  measure(team, pieces, parameters);
  write(by_layer_);
  std::memcpy(before_.data(), parameters, before_.bytes());
  apply(team, pieces, rates);
  team.run(static_cast<int64_t>(pieces.size()), [&](int64_t task, int) {
    const Range& range = pieces[static_cast<size_t>(task)].range;
    stretch::blend(dtype, before_.data(), -1, parameters, 1, range.begin, range.end);
  });
  measure(team, pieces, before_.data());
  write(by_layer_);
}

// The average moves towards the parameters.
void Update::follow(const Piece& piece, double share) {
  if (has_average())
    stretch::blend(optimizer_->dtype(), average_.data(), 1 - share, store_->parameters.data(), share,
                   piece.range.begin, piece.range.end);
}

void Update::move_by_tensor(Team& team, const std::vector<Piece>& pieces) {
  const DType dtype = optimizer_->dtype();
  char* parameters = store_->parameters.data();
  const int64_t tasks = static_cast<int64_t>(pieces.size());
  team.run(tasks, [&](int64_t task, int) {
    const size_t number = static_cast<size_t>(task);
    const auto& [range, group, slot] = pieces[number];
    tensorwise_->direct(parameters, gradients_.data(), range.begin, range.end, group);
    partial_[number] = stretch::sum_of_squares(dtype, parameters, range.begin, range.end);
    other_[number] = stretch::sum_of_squares(dtype, gradients_.data(), range.begin, range.end);
  });
  for (size_t i = 0; i < pieces.size();) {
    const size_t slot = pieces[i].slot;
    double of_parameters = 0, of_direction = 0;
    for (; i < pieces.size() && pieces[i].slot == slot; ++i) {
      of_parameters += partial_[i];
      of_direction += other_[i];
    }
    lengths_[slot] = tensorwise_->length(std::sqrt(of_parameters), std::sqrt(of_direction));
  }
  team.run(tasks, [&](int64_t task, int) {
    const auto& [range, group, slot] = pieces[static_cast<size_t>(task)];
    tensorwise_->move(parameters, gradients_.data(), range.begin, range.end, group, lengths_[slot]);
  });
}

// Frozen parameters are left alone.
void Update::constrain(Team& team, const std::vector<Piece>& pieces) {
  const DType dtype = optimizer_->dtype();
  for (const Constraint& constraint : options_.constraints) {
    const auto is_its = [&](const Piece& piece) {
      return piece.slot == static_cast<size_t>(constraint.slot);
    };
    if (std::none_of(pieces.begin(), pieces.end(), is_its)) continue;
    const Slot& slot = store_->parameter_layout.slot(constraint.slot);
    void* values = store_->parameter_layout.address(store_->parameters, slot);
    const int64_t elements = slot.shape.elements();
    if (constraint.kind == Constraint::Kind::NonNegative) {
      stretch::rectify(dtype, values, 0, elements);
      continue;
    }
    const int64_t columns = slot.shape.rank() > 0 ? slot.shape[slot.shape.rank() - 1] : 1;
    team.run(ceil_div(columns, constrained_columns), [&](int64_t task, int) {
      const int64_t begin = task * constrained_columns;
      stretch::limit_columns(dtype, values, elements / columns, columns, constraint.most, begin,
                             std::min(columns, begin + constrained_columns));
    });
  }
}

}  // namespace bpcore
