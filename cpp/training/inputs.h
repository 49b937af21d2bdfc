// The samples of a session: which rows make up a batch, and how they come to where a plan reads them.
#pragma once

#include <string>
#include <vector>

#include "core/buffer.h"
#include "graph/executor.h"
#include "training/rows.h"

namespace bpcore {

class Inputs {
 public:
  // One array per plan input, in order, for batches of at most batch_size rows. Ragged rows lie one after the
  // other at the beginning of their input, which must have room for those of any batch; an input of their
  // places goes before. `rows`: those of the arrays
  // that are the samples, in this order; empty for all. Throws ValueError where these don't fit together.
  Inputs(const Plan& plan, const std::vector<SampleArray>& arrays, std::vector<int64_t> rows,
         int64_t batch_size);

  // Throws ValueError unless `plan` takes batches of so many rows of these arrays.
  void check(const Plan& plan, int64_t rows) const;

  // Looks at every batch, but at no ragged rows, for values that are not finite; `names` are those of the
  // arrays, for messages.
  void look_for_nonfinite(std::vector<std::string> names);

  int64_t samples() const { return static_cast<int64_t>(order_.size()); }
  std::vector<const char*> batches() const;  // where gathered rows lie, by input

  // The order of an epoch: drawn anew, or as given.
  void shuffle(uint64_t seed, uint64_t epoch);
  void in_order();

  // Makes the workspace read the samples [first, first + count): in place where they can be, else gathered.
  // False, with a message, if one of them is not finite and that is looked for.
  bool fill(Team& team, const Plan& plan, Workspace& workspace, int64_t first, int64_t count);
  const std::string& message() const { return message_; }
  // Where the batch that begins with sample `first` has its input.
  const char* place(size_t input, int64_t first) const { return place(inputs_[input], first); }

 private:
  struct Input {
    SampleArray array;
    GatherFunction gather;
    bool in_place;  // rows can be read where they are, unless their order is another
    Buffer batch;
    size_t places = 0;  // of ragged rows: the input of their places in the batch

    bool is_ragged() const { return array.indptr != nullptr && array.data != nullptr; }
    bool is_places() const { return array.indptr != nullptr && array.data == nullptr; }
  };

  const char* place(const Input& input, int64_t first) const;
  void add_ragged(const Plan& plan, const SampleArray& array);
  void check_ragged(const Plan& plan, size_t number, int64_t rows) const;
  void gather(Team& team, const Plan& plan, int64_t first, int64_t count);
  void gather_ragged(const Plan& plan, size_t number, int64_t first, Range rows);
  void fetch(int64_t first, int64_t count) const;
  bool finite(const Plan& plan, int64_t first, int64_t count);

  std::vector<Input> inputs_;
  std::vector<int64_t> selected_, order_;
  bool straight_ = true;  // sample i is row i
  std::vector<std::string> names_;
  std::string message_;
};

}  // namespace bpcore
