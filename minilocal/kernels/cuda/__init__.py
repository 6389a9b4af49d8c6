"""The forms that are fast on CuPy: kernels in CUDA C++, each beside the plain form that it is tested equal to."""

__all__: list[str] = []
