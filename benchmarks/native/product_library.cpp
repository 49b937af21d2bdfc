// One matrix product as a C function, which benchmarks/peers/products.py calls beside other libraries'
// products.
#include <cstdint>

#include "core/buffer.h"
#include "core/parallel.h"
#include "kernels/gemm/gemm.h"

// Everything that is decided and allocated before the product: a plan has done so, too, when it runs.
struct Product {
  bpcore::kernels::Gemm<float> gemm;
  int64_t scratch_elements;  // of a thread
  bpcore::Buffer scratch;
  int threads;
};

#define BPCORE_EXPORT extern "C" __attribute__((visibility("default")))

// C (m, n) = A (m, k) · B (k, n), row-major float32.
BPCORE_EXPORT Product* bpcore_product_make(int64_t m, int64_t n, int64_t k, int threads) {
  const bpcore::kernels::Gemm<float> gemm({m, n, k, false, false, k, n, n}, threads == 1 ? 1 : 2 * threads);
  const int64_t elements = bpcore::round_up(gemm.scratch_elements(), 16);
  return new Product{gemm, elements, bpcore::Buffer(static_cast<size_t>(threads * elements) * sizeof(float)),
                     threads};
}

BPCORE_EXPORT void bpcore_product_run(const Product* product, const float* a, const float* b, float* c) {
  auto program = [&](bpcore::Team& team) {
    team.run(product->gemm.tasks(), [&](int64_t task, int rank) {
      product->gemm.run(task, a, b, c, {}, product->scratch.as<float>() + rank * product->scratch_elements);
    });
  };
  bpcore::run_team(product->threads, program);
}

BPCORE_EXPORT void bpcore_product_free(Product* product) { delete product; }
