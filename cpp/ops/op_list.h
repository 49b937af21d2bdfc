// Every op there is. A new family adds its function here and calls it in op_list.cpp.
#pragma once

#include <memory>
#include <vector>

#include "graph/op.h"

namespace bpcore {

using OpList = std::vector<std::unique_ptr<const Op>>;

void add_activation_ops(OpList& ops);
void add_arithmetic_ops(OpList& ops);
void add_attention_ops(OpList& ops);
void add_batch_norm_ops(OpList& ops);
void add_comparison_ops(OpList& ops);
void add_conv_ops(OpList& ops);
void add_copy_ops(OpList& ops);
void add_ctc_ops(OpList& ops);
void add_cumsum_ops(OpList& ops);
void add_dense_ops(OpList& ops);
void add_gelu_ops(OpList& ops);
void add_gru_ops(OpList& ops);
void add_index_ops(OpList& ops);
void add_loss_ops(OpList& ops);
void add_lstm_ops(OpList& ops);
void add_matmul_ops(OpList& ops);
void add_norm_ops(OpList& ops);
void add_part_ops(OpList& ops);
void add_pool_ops(OpList& ops);
void add_random_ops(OpList& ops);
void add_reduction_ops(OpList& ops);
void add_rnn_ops(OpList& ops);
void add_softmax_ops(OpList& ops);
void add_sparse_ops(OpList& ops);
void add_unary_ops(OpList& ops);
void add_view_ops(OpList& ops);

}  // namespace bpcore
