// Products of other libraries for benchmarks/peers/products.py, called as product_library.cpp's is: a call
// from Python costs each of them the same. All are C (m, n) = A (m, k) · B (k, n), row-major float32.
#include <cstdint>

#if defined(BPCORE_EIGEN)
#include <Eigen/Core>
#endif

#define BPCORE_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

struct Shape {
  int64_t m, n, k;
};

// dnnl_sgemm of oneDNN's C interface, which is row-major.
using Sgemm = int (*)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*,
                      int64_t, float, float*, int64_t);

struct OnednnProduct {
  Shape shape;
  Sgemm sgemm;
};

}  // namespace

BPCORE_EXPORT OnednnProduct* onednn_product_make(int64_t m, int64_t n, int64_t k, Sgemm sgemm) {
  return new OnednnProduct{{m, n, k}, sgemm};
}

BPCORE_EXPORT void onednn_product_run(const OnednnProduct* product, const float* a, const float* b,
                                      float* c) {
  const auto [m, n, k] = product->shape;
  product->sgemm('N', 'N', m, n, k, 1, a, k, b, n, 0, c, n);
}

BPCORE_EXPORT void onednn_product_free(OnednnProduct* product) { delete product; }

#if defined(BPCORE_EIGEN)
// One thread: the build sets EIGEN_DONT_PARALLELIZE.
BPCORE_EXPORT Shape* eigen_product_make(int64_t m, int64_t n, int64_t k) { return new Shape{m, n, k}; }

BPCORE_EXPORT void eigen_product_run(const Shape* shape, const float* a, const float* b, float* c) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto [m, n, k] = *shape;
  Eigen::Map<Matrix>(c, m, n).noalias() =
      Eigen::Map<const Matrix>(a, m, k) * Eigen::Map<const Matrix>(b, k, n);
}

BPCORE_EXPORT void eigen_product_free(Shape* shape) { delete shape; }
#endif
