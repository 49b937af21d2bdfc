// One step of one row of a recurrent layer, forward and backward: all of it in one pass, vector by vector.
// In the arrays of a row, gates follow each other, `units` elements each.
#pragma once

#include "kernels/vector_math.h"
#include "kernels/vectors.h"

namespace bpcore::kernels {

// ---- LSTM; gates i, f, g, o ----

template <class T>
struct LstmForward {
  const T* x;     // (4, units), the input's part of the gates
  const T* cell;  // (units), before
  T* state;       // (units): the old one becomes the new one
  T* previous;    // (units): the old one
  T* gates;       // (4, units): the state's part becomes the gates
  T* next_cell;   // (units)
  T* output;      // (units): the new state
};

template <class T>
void lstm_step(int64_t units, const LstmForward<T>& row) {
  using V = simd::Vec<T>;
  for_vectors<T>(units, [&](int64_t j, const auto& access) {
    const auto sum = [&](int64_t gate) {
      return access.load(row.x + gate * units + j) + access.load(row.gates + gate * units + j);
    };
    const V i = sigmoid<T>(sum(0)), f = sigmoid<T>(sum(1)), g = hyperbolic_tangent<T>(sum(2)),
            o = sigmoid<T>(sum(3));
    access.store(row.gates + j, i);
    access.store(row.gates + units + j, f);
    access.store(row.gates + 2 * units + j, g);
    access.store(row.gates + 3 * units + j, o);
    access.store(row.next_cell + j, simd::fma(i, g, f * access.load(row.cell + j)));
  });
  // By itself: functions of functions are waited for, and too few other vectors are at work meanwhile.
  for_vectors<T>(units, [&](int64_t j, const auto& access) {
    const V h =
        access.load(row.gates + 3 * units + j) * hyperbolic_tangent<T>(access.load(row.next_cell + j));
    access.store(row.previous + j, access.load(row.state + j));
    access.store(row.state + j, h);
    access.store(row.output + j, h);
  });
}

template <class T>
struct LstmBackward {
  const T* seed;       // (units), or null: gradient of the output
  const T* carried;    // (units), or null: gradient of the state, from the next step
  const T* gates;      // (4, units)
  const T* cell;       // (units), before
  const T* next_cell;  // (units)
  T* cell_gradient;    // (units): of next_cell, becomes that of cell
  T* gradient;         // (4, units), of the gates before their activations
  T* copy;             // (4, units), the same
};

template <class T>
void lstm_step_back(int64_t units, const LstmBackward<T>& row) {
  using V = simd::Vec<T>;
  for_vectors<T>(units, [&](int64_t j, const auto& access) {
    V dh{};
    if (row.carried != nullptr) dh = access.load(row.carried + j);
    if (row.seed != nullptr) dh += access.load(row.seed + j);
    const V i = access.load(row.gates + j), f = access.load(row.gates + units + j),
            g = access.load(row.gates + 2 * units + j), o = access.load(row.gates + 3 * units + j);
    const V tanh_c = hyperbolic_tangent<T>(access.load(row.next_cell + j));
    const V dc = simd::fma(dh * o, simd::fma(-tanh_c, tanh_c, simd::broadcast(T(1))),
                           access.load(row.cell_gradient + j));
    const auto put = [&](int64_t gate, V value) {
      access.store(row.gradient + gate * units + j, value);
      access.store(row.copy + gate * units + j, value);
    };
    put(0, dc * g * (i * (T(1) - i)));
    put(1, dc * access.load(row.cell + j) * (f * (T(1) - f)));
    put(2, dc * i * simd::fma(-g, g, simd::broadcast(T(1))));
    put(3, dh * tanh_c * (o * (T(1) - o)));
    access.store(row.cell_gradient + j, dc * f);
  });
}

// ---- GRU; gates r, z, n ----

template <class T>
struct GruForward {
  const T* x;      // (3, units), the input's part of the gates
  const T* bias;   // (units), inside of the reset
  const T* state;  // (units)
  T* gates;        // (4, units): the state's part becomes r, z, what r is a factor of; then n
  T* next;         // (units): the new state
  T* output;       // (units), the same
};

template <class T>
void gru_step(int64_t units, const GruForward<T>& row) {
  using V = simd::Vec<T>;
  for_vectors<T>(units, [&](int64_t j, const auto& access) {
    const auto sum = [&](int64_t gate) {
      return access.load(row.x + gate * units + j) + access.load(row.gates + gate * units + j);
    };
    access.store(row.gates + j, sigmoid<T>(sum(0)));
    access.store(row.gates + units + j, sigmoid<T>(sum(1)));
  });
  // By itself, as in lstm_step.
  for_vectors<T>(units, [&](int64_t j, const auto& access) {
    const V r = access.load(row.gates + j), z = access.load(row.gates + units + j);
    const V inner = access.load(row.gates + 2 * units + j) + access.load(row.bias + j);
    const V n = hyperbolic_tangent<T>(simd::fma(r, inner, access.load(row.x + 2 * units + j)));
    const V before = access.load(row.state + j), h = simd::fma(z, before - n, n);
    access.store(row.gates + 2 * units + j, inner);
    access.store(row.gates + 3 * units + j, n);
    access.store(row.next + j, h);
    access.store(row.output + j, h);
  });
}

template <class T>
struct GruBackward {
  const T* seed;      // (units), or null: gradient of the output
  const T* carried;   // (units): gradient of the state, from the next step's product
  const T* gates;     // (4, units): r, z, what r is a factor of, n
  const T* previous;  // (units)
  T* direct;     // (units): gradient of the state past the product, from the next step; becomes this one's
  T* bias;       // (units), of the bias: this step's is added
  T* gradient;   // (3, units), of the input's part of the gates
  T* recurrent;  // (3, units), of the state's part
};

template <class T>
void gru_step_back(int64_t units, const GruBackward<T>& row) {
  using V = simd::Vec<T>;
  for_vectors<T>(units, [&](int64_t j, const auto& access) {
    V dh = access.load(row.carried + j) + access.load(row.direct + j);
    if (row.seed != nullptr) dh += access.load(row.seed + j);
    const V r = access.load(row.gates + j), z = access.load(row.gates + units + j),
            inner = access.load(row.gates + 2 * units + j), n = access.load(row.gates + 3 * units + j);
    const V dz = dh * (access.load(row.previous + j) - n) * (z * (T(1) - z));
    const V dn = dh * (T(1) - z) * simd::fma(-n, n, simd::broadcast(T(1)));
    const V dr = dn * inner * (r * (T(1) - r));
    const auto put = [&](int64_t gate, V by_input, V by_state) {
      access.store(row.gradient + gate * units + j, by_input);
      access.store(row.recurrent + gate * units + j, by_state);
    };
    const V inner_gradient = dn * r;
    put(0, dr, dr);
    put(1, dz, dz);
    put(2, dn, inner_gradient);
    access.store(row.bias + j, access.load(row.bias + j) + inner_gradient);
    access.store(row.direct + j, dh * z);
  });
}

// ---- RNN: tanh or relu of the sum ----

template <class T>
struct RnnForward {
  const T* x;        // (units), the input's part
  const T* product;  // (units), the state's part
  T* state;          // (units): the old one becomes the new one
  T* previous;       // (units): the old one
  T* output;         // (units): the new one
};

template <class T>
void rnn_step(int64_t units, bool relu, const RnnForward<T>& row) {
  for_vectors<T>(units, [&](int64_t j, const auto& access) {
    const simd::Vec<T> sum = access.load(row.x + j) + access.load(row.product + j);
    const simd::Vec<T> h = relu ? simd::relu(sum) : hyperbolic_tangent<T>(sum);
    access.store(row.previous + j, access.load(row.state + j));
    access.store(row.state + j, h);
    access.store(row.output + j, h);
  });
}

template <class T>
struct RnnBackward {
  const T* seed;     // (units), or null: gradient of the output
  const T* carried;  // (units), or null: gradient of the state, from the next step
  const T* output;   // (units)
  T* gradient;       // (units), of the sum
  T* copy;           // (units), the same
};

template <class T>
void rnn_step_back(int64_t units, bool relu, const RnnBackward<T>& row) {
  using V = simd::Vec<T>;
  for_vectors<T>(units, [&](int64_t j, const auto& access) {
    V dh{};
    if (row.carried != nullptr) dh = access.load(row.carried + j);
    if (row.seed != nullptr) dh += access.load(row.seed + j);
    const V h = access.load(row.output + j);
    const V sum = relu ? (h > V{} ? dh : V{}) : dh * simd::fma(-h, h, simd::broadcast(T(1)));
    access.store(row.gradient + j, sum);
    access.store(row.copy + j, sum);
  });
}

}  // namespace bpcore::kernels
