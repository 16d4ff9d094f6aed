"""Stops one thread of a process, by ptrace, while its other threads go on."""

import ctypes
import ctypes.util
import os

import pytest

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # __WALL of waitpid(2)


class Held:
    def __init__(self, thread):
        self.libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long
        self.thread = thread
        if self.libc.ptrace(PTRACE_SEIZE, thread, None, None) != 0:
            pytest.skip(f"no ptrace here: {os.strerror(ctypes.get_errno())}")
        assert self.libc.ptrace(PTRACE_INTERRUPT, thread, None, None) == 0
        os.waitpid(thread, WALL)  # until it has stopped

    def release(self):
        assert self.libc.ptrace(PTRACE_DETACH, self.thread, None, None) == 0
