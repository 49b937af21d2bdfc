// Activations that a dense layer can apply to its own output.
#pragma once

#include <cstdint>
#include <string>

#include "graph/value.h"

namespace bpcore {

enum class Activation : uint8_t { None, Relu, Sigmoid, Tanh };

Activation activation_from_name(const char* op, const std::string& name);  // "" is None; throws ValueError

// The gradient of an activation's input from that of its output, which is all it reads of the forward pass.
Value activation_gradient(const std::string& activation, Value seed, Value output);

// In place.
void activate(Activation activation, int64_t count, float* x);
void activate(Activation activation, int64_t count, double* x);

}  // namespace bpcore
