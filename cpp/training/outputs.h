// What a session keeps of the values that its plans give: sums over an epoch, or every sample's row.
#pragma once

#include <map>
#include <vector>

#include "core/buffer.h"
#include "graph/executor.h"

namespace bpcore {

class Outputs {
 public:
  // Every output is a float tensor. Output 0 is a scalar, the mean loss; of several batches that make one
  // step it becomes their mean, weighted by output 2. Those numbered in `collected` have a row for each of
  // the batch's, which are kept for an epoch of so many samples; all others are summed. Throws ValueError.
  Outputs(const Plan& plan, const std::vector<int64_t>& collected, int64_t samples);

  // Throws ValueError unless `plan`, for batches of so many rows, has such outputs; `more` allows further
  // ones behind them.
  void check(const Plan& plan, int64_t rows, bool more) const;

  void begin_epoch();
  void begin_step();
  void read(const Plan& plan, const Workspace& workspace, int64_t rows);  // of a batch of the step at hand
  void keep();                                                            // the step at hand was good

  size_t count() const { return places_.size(); }
  double loss() const { return last_[0]; }
  double weight() const { return last_[2]; }                     // of the step at hand, if output 2 is it
  bool has_weight() const;                                       // output 2 is a scalar that is summed
  const std::vector<double>& totals() const { return totals_; }  // elements of what is summed, in order
  const std::vector<double>& last() const { return last_; }      // of the last step

  struct Rows {
    DType dtype;
    const char* data;
    int64_t rows, row_elements;
  };
  Rows collected(int64_t number) const;  // of this epoch so far; throws ValueError if it isn't collected

  // Goes on in the middle of an epoch in which at most `most` rows can have been kept: `collected` has them
  // by output, of all that are collected or of none. Throws ValueError before anything changes where these
  // don't fit.
  void resume(const std::vector<double>& totals, const std::map<int64_t, Rows>& collected, int64_t most);

 private:
  struct Place {
    TensorType type;
    bool collected;
    size_t first, elements;  // in totals_, or elements of a row
    Buffer rows;
  };

  std::vector<Place> places_;
  std::vector<double> totals_, last_;
  int64_t samples_, kept_ = 0, read_ = 0;  // rows kept in this epoch, and rows read in the step at hand
  bool first_ = true;                      // batch of the step at hand
};

// Element `at` of a float tensor.
double element_at(const char* data, DType dtype, size_t at);

}  // namespace bpcore
