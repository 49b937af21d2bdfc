// Activations that a dense layer can apply to its own output.
#pragma once

#include <cstdint>
#include <string>

namespace bpcore {

enum class Activation : uint8_t { None, Relu, Sigmoid, Tanh };

Activation activation_from_name(const std::string& name);  // "" is None; throws ValueError

// In place.
void activate(Activation activation, int64_t count, float* x);
void activate(Activation activation, int64_t count, double* x);

}  // namespace bpcore
