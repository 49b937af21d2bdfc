// bpcore._cpu: which levels of x86-64 this CPU and its operating system run. Built without any -march, and
// without pybind11, since it is loaded before the core is chosen.
//
// Levels as in the x86-64 psABI, section 3.1.1; CPUID bits as in Intel's Software Developer's Manual, volume
// 2A.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#include <initializer_list>
#endif

namespace {

#if defined(__x86_64__)

struct CpuidAnswer {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// All zeros for a leaf that this CPU doesn't have.
CpuidAnswer cpuid(uint32_t leaf) {
  CpuidAnswer answer;
  __get_cpuid_count(leaf, 0, &answer.eax, &answer.ebx, &answer.ecx, &answer.edx);
  return answer;
}

// XCR0: the register sets that the operating system saves when it switches threads. Needs OSXSAVE. Written as
// the instruction since the intrinsic asks for -mxsave.
uint32_t saved_registers() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr uint32_t bits(std::initializer_list<int> positions) {
  uint32_t mask = 0;
  for (int position : positions) mask |= uint32_t{1} << position;
  return mask;
}

constexpr bool has(uint32_t value, uint32_t mask) { return (value & mask) == mask; }

// Leaf 1, ecx: SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT.
constexpr uint32_t v2_basic = bits({0, 9, 13, 19, 20, 23});
// Leaf 0x80000001, ecx: LAHF/SAHF.
constexpr uint32_t v2_extended = bits({0});
// Leaf 1, ecx: FMA, MOVBE, OSXSAVE, AVX, F16C.
constexpr uint32_t v3_basic = bits({12, 22, 27, 28, 29});
// Leaf 7, ebx: BMI1, AVX2, BMI2.
constexpr uint32_t v3_structured = bits({3, 5, 8});
// Leaf 0x80000001, ecx: LZCNT.
constexpr uint32_t v3_extended = bits({5});
// XCR0: xmm, ymm.
constexpr uint32_t v3_saved = bits({1, 2});
// Leaf 7, ebx: AVX512F, AVX512DQ, AVX512CD, AVX512BW, AVX512VL.
constexpr uint32_t v4_structured = bits({16, 17, 28, 30, 31});
// XCR0: mask registers, upper halves of zmm0-15, zmm16-31.
constexpr uint32_t v4_saved = bits({5, 6, 7});

// 1 (x86-64 itself) to 4.
int x86_64_level() {
  const uint32_t basic = cpuid(1).ecx;
  const uint32_t structured = cpuid(7).ebx;
  const uint32_t extended = cpuid(0x80000001).ecx;

  if (!has(basic, v2_basic) || !has(extended, v2_extended)) return 1;
  if (!has(basic, v3_basic) || !has(structured, v3_structured) || !has(extended, v3_extended)) return 2;
  const uint32_t saved = saved_registers();  // OSXSAVE is among v3_basic
  if (!has(saved, v3_saved)) return 2;
  if (!has(structured, v4_structured) || !has(saved, v4_saved)) return 3;
  return 4;
}

#else

int x86_64_level() { return 0; }

#endif

PyObject* x86_64_level_function(PyObject*, PyObject*) { return PyLong_FromLong(x86_64_level()); }

PyMethodDef methods[] = {
    {"x86_64_level", x86_64_level_function, METH_NOARGS,
     "The x86-64 level (1 to 4) that this CPU and its operating system run; 0 on other processors."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_cpu", nullptr, 0, methods, nullptr, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__cpu() { return PyModuleDef_Init(&module); }
