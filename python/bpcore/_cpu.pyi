"""What the CPU runs; loaded before the core is chosen (cpp/cpu/cpu.cpp)."""

def x86_64_level() -> int:
    """The x86-64 level (1 to 4) that this CPU and its operating system run; 0 on other processors."""
