// Matrix products of row-major matrices, with what follows them done while the results are in registers.
#pragma once

#include <cstdint>

#include "core/ranges.h"
#include "kernels/gemm/epilogue.h"
#include "kernels/simd.h"

namespace bpcore::kernels {

template <class T>
struct Ahead;

struct GemmShape {
  int64_t m, n, k;
  bool transpose_a, transpose_b;  // A is stored (k, m), B is stored (n, k)
  int64_t lda, ldb, ldc;          // elements between rows as stored
};

// A matrix of m rows, `stride` elements apart, that is read right after a product: its lines are fetched
// while the product runs, and so are those of C, which need not be in the caches either.
template <class T>
struct ReadNext {
  const T* begin = nullptr;  // null: nothing
  int64_t stride = 0, columns = 0;
};

// C (m, n) = op(A) (m, k) op(B) (k, n), then the epilogue; for T float and double.
//
// But for n = 1, every element of C is one chain acc = fma(a[i, p], b[p, j], acc), p = 0 ... k - 1, from zero
// (a product and a sum, both rounded, where the instruction set has no fused one). So the bits do not depend
// on blocking, tiles, threads or the other rows. With n = 1 and A not transposed it is a sum in an order of
// its own, which depends on k alone (column.h). With k = 0, C is zero before the epilogue.
//
// The constructor takes every decision, from the shape alone; an object is immutable and may be shared by
// threads. The product is cut in tasks() independent tiles of C: each task runs once, on any thread.
template <class T>
class Gemm {
 public:
  // Cut in at most about `most_tasks` tiles, and in fewer if it is small. Tiles cost: some of A and B is
  // packed twice. A lone thread wants one, unless A is too large for the level-2 cache.
  Gemm(const GemmShape& shape, int64_t most_tasks);

  int64_t tasks() const { return tile_rows_ * tile_columns_; }

  // Elements of scratch, 64-byte aligned, for one task at a time: threads that run tasks at once have their
  // own.
  int64_t scratch_elements() const { return scratch_elements_; }

  struct Tile {
    int64_t row_begin, row_end, column_begin, column_end;
  };
  Tile tile(int64_t task) const;

  // a, b, c: as the shape says, c not overlapping the others. Writes tile(task) of c only, reads nothing
  // outside the matrices.
  void run(int64_t task, const T* a, const T* b, T* c, const Epilogue<T>& epilogue, T* scratch) const {
    multiply(task, a, b, nullptr, c, epilogue, {}, scratch);
  }

  // For many products with one B: it is packed once, 64-byte aligned, and run_packed, which has the bits of
  // run, reads it as often as is wanted. run_packed needs the scratch of run.
  int64_t packed_b_elements() const;
  void pack_b(const T* b, T* packed) const;
  void run_packed(int64_t task, const T* a, const T* packed_b, T* c, const Epilogue<T>& epilogue,
                  const ReadNext<T>& next, T* scratch) const {
    multiply(task, a, nullptr, packed_b, c, epilogue, next, scratch);
  }

 private:
  // Where part i of `parts` nearly equal parts of 0 ... total begins. Small products are one part: no
  // division.
  static int64_t part_begin(int64_t i, int64_t total, int64_t parts) {
    return parts == 1 ? i * total : i * total / parts;
  }
  int64_t row_begin(int64_t panel) const { return row_cut_.begin(panel); }
  int64_t column_begin(int64_t panel) const {
    const int64_t column = vector_cut_.begin(panel) * simd::vector_width<T>;
    return column < wide_ ? column : wide_;
  }

  struct Panels {  // of a tile
    int64_t row_begin, row_end, column_begin, column_end;
  };
  Panels panels(int64_t task) const;
  // One of b and packed_b is null.
  void multiply(int64_t task, const T* a, const T* b, const T* packed_b, T* c, const Epilogue<T>& epilogue,
                const ReadNext<T>& next, T* scratch) const;
  const T* block_of_b(const T* b, int64_t step) const {  // (depth, n) or (n, depth)
    return shape_.transpose_b ? b + step : b + step * shape_.ldb;
  }
  void pack_strip(const T* b_block, int64_t depth, int64_t strip, T* packed) const;
  // Of the strip in a B that is packed whole: a block's strips follow each other, then the next block's.
  int64_t packed_offset(int64_t block, int64_t strip) const {
    const int64_t step = depth_cut_.begin(block), depth = depth_cut_.begin(block + 1) - step;
    return (step * column_panels_ + strip * depth) * panel_columns_;
  }
  void choose_tiles(int64_t most_tasks, bool large);
  void run_rows(const Tile& tile, const T* a, const T* b, T* c, const Epilogue<T>& epilogue,
                T* scratch) const;
  void run_narrow(const Panels& tile, const T* a, const T* b, const T* packed_b, T* c,
                  const Epilogue<T>& epilogue, T* scratch) const;
  void run_column(const Tile& tile, const T* a, const T* b, T* c, const Epilogue<T>& epilogue) const;
  Ahead<T> next_of_a(const T* a_block, int64_t depth, int64_t row) const;
  Ahead<T> next_of_b(const T* b_block, int64_t depth, int64_t column, int64_t number) const;

  GemmShape shape_;
  int64_t wide_;            // columns that panels hold; what is left is narrow (narrow.h)
  int64_t panel_rows_;      // most rows of a panel, no more than a micro-kernel's
  int64_t row_panels_;      // of nearly equal height
  int64_t column_vectors_;  // of vector_width columns, the last perhaps partial
  int64_t column_panels_;   // of nearly equal numbers of vectors, no more than panel_columns_ columns
  int64_t depth_blocks_;    // of nearly equal depth
  int64_t panel_columns_;
  Cut row_cut_, vector_cut_, depth_cut_;  // of rows, of vectors of columns, of steps of k
  int64_t tile_rows_ = 1;                 // the grid of tasks
  int64_t tile_columns_ = 1;
  int64_t packed_a_ = 0;  // elements of a task's packed A; a packed panel of B follows it in scratch
  int64_t scratch_elements_ = 0;
  bool pack_a_ = false;
  bool pack_b_ = false;
  bool fetch_ = false;   // ahead of use what the level-2 cache can't hold, or another core has written
  bool column_ = false;  // B is one column, without gaps
  bool rows_ = false;    // so few rows that B is not packed
};

extern template class Gemm<float>;
extern template class Gemm<double>;

}  // namespace bpcore::kernels
