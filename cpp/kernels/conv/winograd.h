// Convolutions of 3 × 3 windows with a stride of 1 by Winograd's algorithm: 4 products instead of 9 for each
// output, and transforms around them. Sums of neighbours meet the weights, so an error is small beside the
// largest of them, not beside the output alone; and what isn't finite reaches the tiles that see it.
#pragma once

#include <cstdint>

#include "kernels/conv/blocks.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/winograd_tiles.h"

namespace bpcore::kernels {

// As Correlation, for T float. The 16 numbers of each tile of 2 × 2 outputs are 16 matrix products (tiles,
// depth) × (depth, columns) over the tiles of a block. Every element of these is one chain in the order of
// the depth: bits depend on neither blocks nor tasks.
template <class T>
class WinogradCorrelation {
 public:
  // Whether the algorithm applies, and transforms cost less than the products that it saves.
  static bool pays(const CorrelationShape& shape);

  WinogradCorrelation(const CorrelationShape& shape, int64_t most_tasks);

  int64_t tasks() const { return tasks_; }
  int64_t scratch_elements() const { return scratch_elements_; }

  void run(int64_t task, const T* source, const T* weight, T* target, const Epilogue<T>& epilogue,
           T* scratch) const;

  // As Correlation's.
  template <class Body>
  void each_row(int64_t task, Body&& body) const {
    blocks_.each(tasks_, task, [&](const Block& block) {
      for_tile_rows(block, [&](int64_t image, int64_t row, int64_t) {
        const OutputRows rows = output_rows(block, image, row);
        for (int64_t y = 0; y < rows.rows; ++y)
          body(rows.offset + y * shape_.x.target * shape_.columns, rows.outputs * shape_.columns);
      });
    });
  }

 private:
  // body(image, row of tiles, number of its first tile in the block)
  template <class Body>
  static void for_tile_rows(const Block& block, Body&& body) {
    int64_t first = 0;
    for (int64_t image = block.images.begin; image < block.images.end; ++image)
      for (int64_t row = block.y.begin; row < block.y.end; ++row, first += block.x.end - block.x.begin)
        body(image, row, first);
  }
  struct OutputRows {  // of a row of tiles
    int64_t offset, rows, outputs;
  };
  OutputRows output_rows(const Block& block, int64_t image, int64_t row) const;

  void pack(const T* weight, T* packed, T* taps) const;
  int64_t row_panels(int64_t rows) const;
  int64_t tiles_of_products(int64_t rows) const;
  // A step of `fetch` for each of these tiles.
  void multiply(int64_t rows, const T* inputs, const T* packed, T* products,
                Fetch<FetchBy::Load>& fetch) const;
  Wanted<T> outputs(const Block& block, const T* target) const;

  CorrelationShape shape_;
  Blocks blocks_;  // of tiles
  Bands bands_;
  int64_t strips_, strip_columns_, pieces_;
  int64_t tasks_, band_elements_;
  int64_t input_apart_, weight_apart_, product_apart_;  // see Spread
  int64_t tap_elements_ = 0, scratch_elements_;
};

// As WeightGradient, for T float: 16 products (channels, tiles) × (tiles, filters).
template <class T>
class WinogradWeightGradient {
 public:
  static bool pays(const ConvShape& shape);

  WinogradWeightGradient(const ConvShape& shape, int64_t most_tasks);

  int64_t tasks() const { return channel_parts_ * filter_parts_; }
  int64_t scratch_elements() const { return scratch_elements_; }

  void run(int64_t task, const T* x, const T* gradient, T* result, T* sums, T* scratch) const;

 private:
  Range channels_of(int64_t task) const;
  Range filters_of(int64_t task) const;
  struct Grid {  // of a product's tiles
    int64_t row_panels, strips;
  };
  Grid grid(int64_t channels, int64_t filters) const;
  // A step of `fetch` for each tile of the products.
  void multiply(int64_t rows, int64_t channels, int64_t filters, const T* inputs, const T* gradients,
                bool accumulate, T* products, Fetch<FetchBy::Load>& fetch) const;

  ConvShape shape_;
  Blocks blocks_;  // of tiles
  Bands inputs_, gradients_;
  int64_t channel_parts_, filter_parts_;
  int64_t input_stride_, gradient_stride_;  // of a tile's numbers in scratch
  int64_t band_elements_, gradient_band_elements_;
  int64_t input_apart_, gradient_apart_, sum_apart_;
  int64_t scratch_elements_;
};

extern template class WinogradCorrelation<float>;
extern template class WinogradWeightGradient<float>;

}  // namespace bpcore::kernels
