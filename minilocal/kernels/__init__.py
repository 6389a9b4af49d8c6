"""Fast forms of the operations in `minilocal.ops`, by where they run, each tested equal to the plain code there.

    cpu/            NumPy, in blocks that stay in the cache, shared by threads
    numba/          NumPy's arrays too, compiled by Numba
    choice.py       which of the two
    cuda/           any library that builds CUDA kernels (CuPy), in CUDA C++
    threads.py      the thread pool, and BLAS held to one thread
    workspace.py    scratch memory of each thread
    malloc.py       freed memory stays with the process
    underflow.py    a number too small for a float is 0

`ops.dispatch` reads the table `FORMS` {name of the operation: function} of cpu, numba and cuda.
"""
