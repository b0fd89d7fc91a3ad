"""Functions compiled once, and a count of what XLA compiles, so that its time is told apart."""

import contextlib
import dataclasses
import functools

import jax

__all__ = ["CompilationRecord", "compiled", "mapped", "recorded_compilations"]

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass(eq=False)
class CompilationRecord:
    """Number of compiled programs (those fetched from a persistent cache too) and seconds."""

    count: int = 0
    seconds: float = 0.0


_ACTIVE: list[CompilationRecord] = []


def _listen(event: str, duration_secs: float, **_):
    if event == COMPILE_EVENT:
        for record in _ACTIVE:
            record.count += 1
            record.seconds += duration_secs


jax.monitoring.register_event_duration_secs_listener(_listen)


@contextlib.contextmanager
def recorded_compilations():
    """Yield a `CompilationRecord` that counts while the block runs."""
    record = CompilationRecord()
    _ACTIVE.append(record)
    try:
        yield record
    finally:
        _ACTIVE.remove(record)


@functools.cache
def compiled(function):
    """Return the compiled function, one per function."""
    return jax.jit(function)


@functools.cache
def mapped(function):
    """Return the compiled function mapped over its first argument, one per function."""
    return jax.jit(jax.vmap(function, (0, None)))
