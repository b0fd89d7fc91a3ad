"""Count what XLA compiles, to report compile time apart and to prove its absence."""

import contextlib
import dataclasses

import jax

__all__ = ["CompilationRecord", "recorded_compilations"]

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
