#include "ops/op_list.h"

#include <string>
#include <unordered_map>

#include "core/error.h"

namespace bpcore {

namespace {

OpList make_list() {
  OpList ops;
  for (const auto add :
       {add_activation_ops, add_arithmetic_ops, add_attention_ops, add_batch_norm_ops, add_comparison_ops,
        add_conv_ops,       add_copy_ops,       add_ctc_ops,       add_cumsum_ops,     add_dense_ops,
        add_gelu_ops,       add_gru_ops,        add_index_ops,     add_loss_ops,       add_lstm_ops,
        add_matmul_ops,     add_norm_ops,       add_part_ops,      add_pool_ops,       add_random_ops,
        add_reduction_ops,  add_rnn_ops,        add_softmax_ops,   add_sparse_ops,     add_unary_ops,
        add_view_ops})
    add(ops);
  return ops;
}

const OpList& all_ops() {
  static const OpList ops = make_list();
  return ops;
}

}  // namespace

const Op& find_op(const std::string& name) {
  static const auto by_name = [] {
    std::unordered_map<std::string, const Op*> table;
    for (const auto& op : all_ops()) table.emplace(op->name(), op.get());
    return table;
  }();
  const auto found = by_name.find(name);
  if (found == by_name.end()) throw ValueError(concat("graph: there is no op named ", name));
  return *found->second;
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const auto& op : all_ops()) names.emplace_back(op->name());
  return names;
}

}  // namespace bpcore
