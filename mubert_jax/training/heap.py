"""How the C library treats freed memory where JAX computes on the CPU."""

import ctypes
import importlib.util
import os
import sys

# Numbers of the parameters in glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Lets this process keep the memory it frees; to be called before JAX starts its threads.

    XLA allocates the temporaries of a step (gigabytes) again in every step. By default glibc
    returns them to the kernel, which then clears them page by page: a fifth of a step at the
    paper's size, and more on a virtual machine. Does nothing where there is an accelerator or
    another C library.
    """
    if not sys.platform.startswith("linux") or not _cpu_only():
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_ARENA_MAX, 1)):
            mallopt(parameter, value)


def _cpu_only() -> bool:
    """Whether JAX will use the CPU: it is told to, or no accelerator's plugin is installed.

    JAX itself is not started.
    """
    if os.environ.get("JAX_PLATFORMS"):
        return os.environ["JAX_PLATFORMS"] == "cpu"
    return not any(map(importlib.util.find_spec, ("jax_plugins", "libtpu")))
