"""CUDA kernels compiled at run time: no compiler is needed on the machine."""
