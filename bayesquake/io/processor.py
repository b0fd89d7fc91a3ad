"""Which processor this is: programs compiled for one may not run, or round alike, on another."""

import functools
import hashlib
import os
import platform
from pathlib import Path

__all__ = ["available_cores", "processor"]

NAMES = ("model name", "vendor_id", "cpu family", "model", "stepping")
FEATURES = ("flags", "Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part")


@functools.cache
def processor():
    """Return the processor's name and eight digits of the SHA-256 of its instruction sets.

    Where the operating system does not list them (outside Linux), the computer's name
    stands for them.
    """
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        described = {"model name": platform.processor(), "flags": platform.node()}
    else:
        lines = (line.partition(":") for line in first.splitlines())
        described = {name.strip(): value.strip() for name, _, value in lines}
    name = described.get("model name") or platform.machine()
    known = [f"{key}={described[key]}" for key in (*NAMES, *FEATURES) if key in described]
    return f"{name} #{hashlib.sha256('|'.join(known).encode()).hexdigest()[:8]}"


def available_cores():
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
