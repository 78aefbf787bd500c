"""A receiver of webhooks on loopback that behaves as a test wants."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HANG = -1
HANG_UP = -2


@dataclass
class Receiver:
    """What was received, in order; `answer` says the status for a document, HANG never answers, HANG_UP closes the connection."""

    url: str
    answer: Callable[[dict, int], int] = lambda document, times: 200
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    delay_s: float = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    tries: Counter = field(default_factory=Counter)

    @property
    def documents(self) -> list[dict]:
        return [json.loads(body) for body in self.bodies]

    def told(self, order_id) -> list[str]:
        return [one["type"] for one in self.documents if one["order_id"] == str(order_id)]

    async def receive(self, reader, writer) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.splitlines()[1:])}
                body = await reader.readexactly(int(headers["content-length"]))
                status = await self.decide(headers, body)
                if status == HANG:
                    await self.closing.wait()
                    break
                if status == HANG_UP:
                    break
                extra = "Location: http://127.0.0.1:9/\r\n" if 300 <= status < 400 else ""
                writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 2\r\n{extra}\r\nok".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def decide(self, headers: dict[str, str], body: bytes) -> int:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.delay_s)
        self.at_once -= 1
        document = json.loads(body)
        self.tries[document["event_id"]] += 1
        status = self.answer(document, self.tries[document["event_id"]])
        if 200 <= status < 300:
            self.headers.append(headers)
            self.bodies.append(body)
        return status


@asynccontextmanager
async def receiving(answer=None, delay_s=0.0):
    receiver = Receiver("", delay_s=delay_s) if answer is None else Receiver("", answer, delay_s=delay_s)
    tasks: set[asyncio.Task] = set()

    async def connected(reader, writer):
        tasks.add(asyncio.current_task())
        await receiver.receive(reader, writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/notices"
    try:
        yield receiver
    finally:
        server.close()
        receiver.closing.set()
        await asyncio.wait(tasks, timeout=5) if tasks else None
