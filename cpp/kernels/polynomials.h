// The polynomials of vector_math.h, lowest power first: minimax approximations, found by Remez's exchange in
// 200-bit arithmetic and rounded. `Polynomials<T>` also has the constants that depend on the format alone.
#pragma once

namespace bpcore::kernels {

template <class T>
struct Polynomials;

template <>
struct Polynomials<float> {
  // ln 2 in two parts; a product of the first and an exponent is exact even without fused multiply-adds.
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  // Where exp has become 0, is still a normal number, has become infinity; where expm1 has become -1, tanh
  // and erf 1.
  static constexpr float exp_low = -104, exp_normal = -87, exp_high = 89;
  static constexpr float expm1_low = -20, tanh_end = 10, erf_end = 4;

  // (e^r - 1 - r) / r², |r| <= ln(2) / 2; with it, e^r has a relative error of 2^-28.
  static constexpr float exp[] = {5.000000000e-01f, 1.666652113e-01f, 4.166621342e-02f, 8.368718438e-03f,
                                  1.395008643e-03f};
  // (2 atanh(√z) / √z - 2) / z, 0 <= z <= (3 - 2√2)²; log(1 + f) with it: 2^-30.
  static constexpr float log[] = {0.6666678190231323f, 0.3997679054737091f, 0.298935204744339f};
  // erf(√z) / √z - 1, 0 <= z <= 1; erf with it: 2^-29.
  static constexpr float erf[] = {0.12837916612625122f,   -0.3761262595653534f,  0.11283578723669052f,
                                  -0.026853347197175026f, 0.005187162198126316f, -0.0007997853099368513f,
                                  7.806903158780187e-05f};
  // log(1 - erf(1 + u)), 0 <= u <= 3; erf with it: 2^-27.
  static constexpr float erf_tail[] = {-1.849605560e+00f, -2.638966799e+00f, -8.431175947e-01f,
                                       -4.150349274e-02f, 9.895452298e-03f,  -1.829377143e-03f,
                                       1.863775833e-04f};
  // Φ(-a) e^(a²/2), 0 <= a <= normal_end, Φ the normal distribution function, weighted with e^(-a²/2): Φ with
  // it has an absolute error of 2^-26.
  static constexpr float normal_end = 5.5f;
  static constexpr float normal[] = {4.999999702e-01f,  -3.989405930e-01f, 2.499725670e-01f,
                                     -1.328057945e-01f, 6.192393601e-02f,  -2.547182143e-02f,
                                     9.003850631e-03f,  -2.590092132e-03f, 5.636533024e-04f,
                                     -8.477111260e-05f, 7.708792509e-06f,  -3.155437298e-07f};
};

template <>
struct Polynomials<double> {
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
  static constexpr double exp_low = -746, exp_normal = -708, exp_high = 710;
  static constexpr double expm1_low = -40, tanh_end = 20, erf_end = 6;

  // 2^-57
  static constexpr double exp[] = {5.00000000000000999e-01, 1.66666666666666963e-01, 4.16666666665338817e-02,
                                   8.33333333330904709e-03, 1.38888889428736358e-03, 1.98412699140259897e-04,
                                   2.48014937212494529e-05, 2.75572188945912471e-06, 2.76300690501106724e-07,
                                   2.51171368828540131e-08};
  // 2^-66
  static constexpr double log[] = {0.6666666666666666,  0.40000000000005076, 0.28571428569335705,
                                   0.22222222620862403, 0.18181777104523494, 0.1538704794996221,
                                   0.13250740779060627, 0.13248099750805328};
  // 2^-56
  static constexpr double erf[] = {0.12837916709551256,     -0.37612638903183343,    0.11283791670936955,
                                   -0.02686617064196058,    0.005223977596754443,    -0.0008548325486221989,
                                   0.00012055280543272601,  -1.4924466731189292e-05, 1.6444166403421675e-06,
                                   -1.6184130097540622e-07, 1.3617373967578397e-08,  -7.6092035101273e-10};
  // 0 <= u <= 5; 2^-57
  static constexpr double erf_tail[] = {
      -1.84960550993324824e+00, -2.63896751423478859e+00, -8.43107256358658907e-01, -4.15610980421841220e-02,
      1.00338253784808158e-02,  -1.97790259419981448e-03, 2.37322591478548068e-04,  2.62775598207266909e-05,
      -2.71584706933472814e-05, 9.60795037524020694e-06,  -2.05873233976270867e-06, 1.42027552936374431e-07,
      9.80629508992602841e-08,  -5.22700919299783278e-08, 1.49876454810862699e-08,  -2.88170059932103265e-09,
      3.70982344513507421e-10,  -2.90688213406928312e-11, 1.04969483771107738e-12};
};

}  // namespace bpcore::kernels
