// Arrays of samples and the gathering of their rows into batches.
#pragma once

#include <cstdint>
#include <string>

#include "core/dtype.h"

namespace bpcore {

// NumPy's element types, wider than the core's: samples are converted as they are gathered.
enum class SampleType : uint8_t {
  Bool,
  Int8,
  Int16,
  Int32,
  Int64,
  UInt8,
  UInt16,
  UInt32,
  UInt64,
  Float32,
  Float64
};

// Row-major samples, the first axis counts them. The memory belongs to the caller.
//
// With `indptr`, (rows + 1), rows are ragged: row i has the elements indptr[i] … indptr[i + 1). Without
// `data`, only the rows' places are meant: of a batch, where each of its rows begins and the last one ends.
struct SampleArray {
  const char* data;
  SampleType type;
  int64_t rows, row_elements;
  const int64_t* indptr = nullptr;
};

size_t size_of(SampleType type);

using GatherFunction = void (*)(const SampleArray& from, const int64_t* rows, int64_t count, void* to);

// A function that writes rows[0 … count) one after the other as `to` elements.
GatherFunction gather_function(SampleType from, DType to);

// Whether rows of `from` can be read in place as `to`.
bool same_representation(SampleType from, DType to);

// The first element that is NaN, infinite, or overflows as `to`; -1 if there is none.
int64_t first_not_finite(const SampleArray& array, DType to);

// The first element v without low <= v < high; -1 if there is none.
int64_t first_outside(const SampleArray& array, int64_t low, int64_t high);

}  // namespace bpcore
