"""Batches: one order is a batch of one, functions that take mixed merchants say so, and concurrent requests are gathered into batches."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

from msgspec import Struct

from entrepot.base.errors import UnavailableError

Answer = TypeVar("Answer")
Function = TypeVar("Function", bound=Callable[..., object])
Item = TypeVar("Item")

BATCH_LIMIT: Final = 128
"""How many orders a batch holds at most."""


def batch(function: Function) -> Function:
    """Mark a store function that takes rows of several merchants in one call, or of one merchant per call with the same result."""
    return function


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into runs of at most `size`, in order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


class OverloadedError(UnavailableError):
    """More requests wait than can be answered soon; ask again after a moment with the same key."""


class BatchLimits(Struct, frozen=True):
    """How many items and how much weight (lines) a batch holds at most, how many batches run at once, and how many items may wait."""

    items: int = BATCH_LIMIT
    weight: int = 1000
    lanes: int = 2
    waiting: int = 2048


class Batcher(Generic[Item, Answer]):
    """Gathers concurrent requests of one kind into batches: the next batch gathers while the earlier ones commit, and nobody waits for company.

    `run` answers a batch, one answer per item in order; `observe` is told each batch's size. When it fails, its items run again one by one, so that what one of them breaks fails alone.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        weigh: Callable[[Item], int],
        limits: BatchLimits,
        observe: Callable[[int], None],
    ) -> None:
        self._run = run
        self._observe = observe
        self._weigh = weigh
        self._limits = limits
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._lanes: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Answer:
        """Return the answer to an item; raise `OverloadedError` before more wait than may."""
        if len(self._waiting) >= self._limits.waiting:
            raise OverloadedError("requests", len(self._waiting), "Ask again in a second with the same key.")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if len(self._lanes) < self._limits.lanes:
            lane = asyncio.create_task(self._work())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await answer

    async def _work(self) -> None:
        """Answer batches until nobody waits."""
        while self._waiting:
            taken = self._take()
            self._observe(len(taken))
            await self._answer(taken)

    def _take(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        """Take the next batch, first come first served; whoever has gone meanwhile is passed over before anything is written for them."""
        taken: list[tuple[Item, asyncio.Future[Answer]]] = []
        weight = 0
        while self._waiting and len(taken) < self._limits.items:
            item, answer = self._waiting[0]
            weight += self._weigh(item)
            if taken and weight > self._limits.weight:
                break
            self._waiting.popleft()
            if not answer.cancelled():
                taken.append((item, answer))
        return taken

    async def _answer(self, taken: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        """Run a batch and hand out its answers; after a failure each item alone."""
        if not taken:
            return
        try:
            answers = await self._run([item for item, _ in taken])
        except UnavailableError as error:
            for _, future in taken:
                _fail(future, error)
            return
        except Exception as error:  # noqa: BLE001 -- whatever it is, it belongs to whoever caused it
            if len(taken) == 1:
                _fail(taken[0][1], error)
                return
            for one in taken:
                await self._answer([one])
            return
        for (_, future), answer in zip(taken, answers, strict=True):
            if not future.done():
                future.set_result(answer)


def _fail(future: "asyncio.Future[Answer]", error: Exception) -> None:
    """Hand an error to whoever waits for the answer, if they still do."""
    if not future.done():
        future.set_exception(error)
