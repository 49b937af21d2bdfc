// Convolutions of channels-last images as matrix products whose left factor is read from the images in place.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/conv/blocks.h"
#include "kernels/gemm/gemm.h"

namespace bpcore::kernels {

// Output o looks at positions o * stride - before + tap * dilation of the input; those outside it are zero.
struct ConvAxis {
  int64_t in, out, kernel, stride, before, dilation;
};

// x (images, y.in, x.in, channels), weight (y.kernel, x.kernel, channels / groups, filters), output (images,
// y.out, x.out, filters); group g of the filters sees group g of the channels.
struct ConvShape {
  int64_t images, channels, filters, groups;
  ConvAxis y, x;

  int64_t group_channels() const { return channels / groups; }
  int64_t group_filters() const { return filters / groups; }
  bool depthwise() const { return groups > 1 && groups == channels && groups == filters; }
  double products() const;  // multiplications of a pass
};

// The same products in fewer and longer runs: where windows lie side by side along x, what each sees is the
// channels of one position; so it is along y where x has one position left; and with a kernel of a single
// position, all images are one row.
ConvShape merged(const ConvShape& shape);

// A window slides over a source and meets some taps of the weight in an order of its own; every so many
// elements of the target are written. It has taps, some or all of which may lie outside of the source. The
// forward pass is one of them; the input gradient consists of several (input_gradient.h).
struct CorrelationAxis {
  Window window;
  int64_t target, first, every;         // output o goes to position first + o * every of `target`
  int64_t kernel, tap_first, tap_step;  // tap j of the window is tap_first + j * tap_step of the weight's
};

struct CorrelationShape {
  int64_t images, depth, columns, groups;  // depth: channels of the source; columns: of the target
  bool transposed;  // a tap of the weight is (columns, depth) instead of (depth, columns), of each group
  CorrelationAxis y, x;
};

CorrelationShape forward_correlation(const ConvShape& shape);

// target = epilogue(source correlated with weight); for T float and double. Every element is one chain of
// fused multiply-adds in the order of the window's taps, and of channels within a tap: its bits depend on
// neither blocks nor tasks. An object is immutable; a task runs once, on any thread.
//
// Where the columns are few, outputs that lie side by side along x share a vector: they are taken as one
// output with a longer window and more columns, of which each output's have zeros where its own window is
// not. A zero that is added changes no bit.
//
// The rows of a tile are outputs side by side along x. Where many of their taps lie outside of the source, as
// in the input gradient of a small image, they are the same output of several images instead, which leave the
// same taps out. Only a weight that isn't finite could tell.
template <class T>
class Correlation {
 public:
  Correlation(const CorrelationShape& shape, int64_t most_tasks);

  int64_t tasks() const { return tasks_; }
  int64_t scratch_elements() const { return scratch_elements_; }

  void run(int64_t task, const T* source, const T* weight, T* target, const Epilogue<T>& epilogue,
           T* scratch) const;

  // body(offset, count) for each run of elements of the target that a task writes, if it writes every one.
  template <class Body>
  void each_row(int64_t task, Body&& body) const {
    blocks_.each(tasks_, task, [&](const Block& block) {
      for (int64_t image = block.images.begin; image < block.images.end; ++image)
        for (int64_t y = block.y.begin; y < block.y.end; ++y)
          body(target_offset(image, y, block.x.begin),
               (std::min(block.x.end * together_, x_outputs_) - block.x.begin * together_) * shape_.columns);
    });
  }

 private:
  int64_t target_offset(int64_t image, int64_t y, int64_t x) const {
    const CorrelationAxis &ay = shape_.y, &ax = shape_.x;
    const int64_t row = image * ay.target + ay.first + y * ay.every;
    return (row * ax.target + ax.first + x * together_ * ax.every) * shape_.columns;
  }
  int64_t tap_row(int64_t y_tap, int64_t x_tap) const {
    return (shape_.y.tap_first + y_tap * shape_.y.tap_step) * shape_.x.kernel + shape_.x.tap_first +
           x_tap * shape_.x.tap_step;
  }

  // A piece of the sum: runs [first_run, last_run), of each the steps [begin, begin + depth).
  struct Piece {
    int64_t first_run, last_run, begin, depth;
  };
  Piece piece(int64_t number) const;
  Range strip(int64_t number) const { return strip_of<T>(group_columns(), strips_, number); }
  int64_t group_columns() const { return together_ * shape_.columns / shape_.groups; }
  void make_runs();
  void pack(const Piece& piece, int64_t group, Range columns, const T* weight, T* packed) const;
  void pack_together(const Piece& piece, const T* weight, T* packed) const;
  void pack_all(const T* weight, T* packed) const;
  template <class Panel>
  void multiply(const Block& block, const T* band, T* target, const Epilogue<T>& epilogue, Panel panel) const;
  template <class Panel>
  void multiply_images(const Block& block, const T* band, T* target, const Epilogue<T>& epilogue,
                       Panel panel) const;
  void multiply_channels(const Block& block, const T* band, const T* weight, T* target,
                         const Epilogue<T>& epilogue) const;

  CorrelationShape shape_;  // its window along x is that of `together_` outputs
  int64_t together_, x_outputs_;
  bool depthwise_, in_place_, pack_once_ = false;
  bool across_images_;  // the rows of a tile are images
  int64_t tile_rows_, strips_ = 1, pieces_ = 1;
  int64_t run_depth_ = 0;       // steps of a run
  int64_t run_pieces_ = 1;      // pieces of a run; or
  int64_t panel_elements_ = 0;  // a packed panel of B
  int64_t tasks_ = 1, band_elements_ = 0, scratch_elements_ = 0;
  Blocks blocks_;
  Bands bands_;
  std::vector<int64_t> runs_;     // where each run begins in a band
  int64_t row_runs_ = 1;          // runs of a row of taps
  std::vector<int64_t> weights_;  // depthwise: where each run's weights begin
};

// weight_gradient[tap, c, f] = sum over all outputs of x at the tap times the output's gradient. Each element
// is one chain in the order of the outputs; or, where the filters are few and outputs side by side along x
// share a vector, the sum of a chain for each place in it. The sums over all outputs of the gradient itself,
// which a bias wants, come along while its panels are in the level-1 cache; their order depends on the shape
// alone.
template <class T>
class WeightGradient {
 public:
  WeightGradient(const ConvShape& shape, int64_t most_tasks);

  int64_t tasks() const { return tasks_; }
  int64_t scratch_elements() const { return scratch_elements_; }

  // x and gradient as ConvShape says, result as the weight, sums (filters) or null.
  void run(int64_t task, const T* x, const T* gradient, T* result, T* sums, T* scratch) const;

 private:
  struct Panel {  // rows of the result that lie side by side in x
    int64_t row, offset;
    int rows;
  };
  void make_panels();
  void add_together(Range rows, const T* partial, const T* partial_sums, T* result, T* sums) const;
  void multiply(const Block& block, Range units, const T* band, const T* gradient, T* result, T* sums,
                T* packed) const;
  void multiply_channels(const Block& block, Range units, const T* band, const T* gradient, T* result,
                         T* sums) const;
  Range strip(int64_t number) const { return strip_of<T>(group_columns(), strips_, number); }
  int64_t x_taps() const { return shape_.x.kernel + (together_ - 1) * shape_.x.stride; }  // of a vector
  int64_t group_columns() const { return together_ * shape_.group_filters(); }

  ConvShape shape_;
  int64_t together_, partial_elements_ = 0;
  int64_t tile_rows_, strips_ = 1, units_ = 0, unit_panels_ = 1, tasks_ = 1, band_elements_ = 0,
                      scratch_elements_ = 0;
  bool in_place_;
  Blocks blocks_;
  Bands bands_;
  std::vector<int64_t> runs_;  // where each row of outputs of a block begins in its band
  std::vector<Panel> panels_;
  std::vector<int64_t> taps_;  // depthwise: where each tap lies in a band
};

extern template class Correlation<float>;
extern template class Correlation<double>;
extern template class WeightGradient<float>;
extern template class WeightGradient<double>;

}  // namespace bpcore::kernels
