"""The shell around a child's work: it tells the supervisor that it lives, and ends when the supervisor has gone."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Final

import structlog
import uvloop

from entrepot.bootstrap.logs import configure_logs
from entrepot.bootstrap.settings import Settings, read_settings

HEARTBEAT_VARIABLE: Final = "ENTREPOT_HEARTBEAT_FD"
HEARTBEAT_S: Final = 2
_YOUNG_RECORDS: Final = 50_000
_YOUNG_ROUNDS: Final = 20
_OLD_ROUNDS: Final = 50


def run_child(name: str, work: Callable[[Settings], Coroutine[object, object, None]]) -> int:
    """Run a child's work until SIGTERM or until the supervisor's end of the pipe closes."""
    settings = read_settings()
    configure_logs(settings, name)
    look_for_cycles_rarely()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_stopped(work(settings)))


def look_for_cycles_rarely() -> None:
    """Let Python look for reference cycles after some batches, not within each, and never again through what was loaded at the start.

    A batch of 128 orders makes tens of thousands of records without cycles; with Python's own thresholds the looking was a fifth of the time of placing one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_RECORDS, _YOUNG_ROUNDS, _OLD_ROUNDS)


async def _until_stopped(work: Coroutine[object, object, None]) -> int:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    beat = loop.create_task(_beat(task))
    with suppress(asyncio.CancelledError):
        await task
    beat.cancel()
    return 0


async def _beat(task: asyncio.Task[None]) -> None:
    """Write one byte to the supervisor now and then; nobody there to read it means that we are orphans."""
    descriptor = os.environ.get(HEARTBEAT_VARIABLE)
    if descriptor is None:  # started by hand
        return
    while True:
        try:
            os.write(int(descriptor), b".")
        except BlockingIOError:  # the supervisor is busy: the pipe is full of beats
            pass
        except OSError:
            structlog.get_logger(__name__).warning("supervisor_gone")
            task.cancel()
        await asyncio.sleep(HEARTBEAT_S)
