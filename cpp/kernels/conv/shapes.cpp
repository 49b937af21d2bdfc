// What a convolution amounts to.
#include "kernels/conv/conv.h"

namespace bpcore::kernels {

double ConvShape::products() const {
  return static_cast<double>(images) * static_cast<double>(y.out * x.out * y.kernel * x.kernel) *
         static_cast<double>(group_channels() * filters);
}

ConvShape merged(const ConvShape& shape) {
  ConvShape s = shape;
  const ConvAxis one{1, 1, 1, 1, 0, 1};
  const auto tiled = [](const ConvAxis& a) {
    return a.before == 0 && a.stride == a.kernel && a.dilation == 1 && a.in == a.out * a.kernel;
  };
  const auto single = [](const ConvAxis& a) {
    return a.before == 0 && a.kernel == 1 && a.stride == 1 && a.out == a.in;
  };
  // With one output, any stride is as good as one that leads to the next image.
  for (ConvAxis* axis : {&s.y, &s.x})
    if (axis->before == 0 && axis->out == 1 && axis->kernel == axis->in) axis->stride = axis->kernel;
  if (s.groups == 1 && tiled(s.x)) {
    s.channels *= s.x.kernel;
    s.x = {s.x.out, s.x.out, 1, 1, 0, 1};
  }
  if (s.groups == 1 && tiled(s.y) && single(s.x) && s.x.in == 1) {
    s.channels *= s.y.kernel;
    s.y = {s.y.out, s.y.out, 1, 1, 0, 1};
  }
  if (single(s.y) && single(s.x)) {
    const int64_t pixels = s.images * s.y.in * s.x.in;
    s.images = 1;
    s.y = one;
    s.x = {pixels, pixels, 1, 1, 0, 1};
  }
  return s;
}

CorrelationShape forward_correlation(const ConvShape& s) {
  const auto axis = [](const ConvAxis& a) -> CorrelationAxis {
    return {{a.in, a.out, a.stride, -a.before, a.kernel, a.dilation}, a.out, 0, 1, a.kernel, 0, 1};
  };
  return {s.images, s.channels, s.filters, s.groups, false, axis(s.y), axis(s.x)};
}

}  // namespace bpcore::kernels
