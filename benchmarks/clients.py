"""Clients in a process of their own: prepared requests over keep-alive sockets and one epoll, so that the driver takes little and is counted apart."""

import math
import re
import select
import socket
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from entrepot.bootstrap.processes import LOOPBACK

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_SILENCE_S = 30
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)\r\n", re.IGNORECASE)

Note = Callable[[int, bytes, float], None]
"""Is told each answer: the number of its request, the whole answer, and the seconds it took."""


@dataclass(frozen=True)
class Drive:
    """What came back: counts by HTTP status, seconds from the first request to the last answer, latencies in seconds in order of the answers."""

    sent: int
    statuses: Counter[int]
    elapsed_s: float
    latencies_s: "array[float]"
    cpu_s: float
    odd: tuple[str, ...]
    """The first answers that are neither an acceptance nor a conflict."""


@dataclass(frozen=True)
class Answer:
    """One answer: its status, its body, the seconds it took, and after how many one is told to ask again, if one is."""

    status: int
    body: bytes
    took_s: float
    retry_after_s: int | None


def drive(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Drive:
    """Send requests for so many seconds, each client its next one when its last was answered, and wait for the last answers."""
    return _connected(port, requests, clients, seconds, lambda _number, _answer, _took_s: None)


def ask(port: int, requests: Sequence[bytes], clients: int) -> list[Answer]:
    """Send each request once, so many at a time, and return the answers in the order of the requests."""
    kept: dict[int, Answer] = {}

    def keep(number: int, answer: bytes, took_s: float) -> None:
        head, _, body = answer.partition(_END)
        found = _RETRY_AFTER.search(head + b"\r\n")
        kept[number] = Answer(int(answer[9:12]), body, took_s, int(found[1]) if found else None)

    if requests:
        _connected(port, requests, clients, math.inf, keep)
    return [kept[number] for number in range(len(requests))]


def _connected(port: int, requests: Sequence[bytes], clients: int, seconds: float, note: Note) -> Drive:
    """Open the clients' connections, let them talk, and close them."""
    sockets = [_connect(port) for _ in range(min(clients, len(requests)))]
    poll = select.epoll()
    by_number = {one.fileno(): one for one in sockets}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    try:
        return _converse(poll, by_number, requests, seconds, note)
    finally:
        poll.close()
        for one in sockets:
            one.close()


def _connect(port: int) -> socket.socket:
    one = socket.create_connection((LOOPBACK, port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one


def _converse(poll: select.epoll, sockets: dict[int, socket.socket], requests: Sequence[bytes], seconds: float, note: Note) -> Drive:
    """Turn the wheel; nothing is counted or sorted before it stands."""
    clock = time.perf_counter
    statuses: list[bytes] = []
    latencies, odd = array("d"), list[str]()
    halves: dict[int, bytes] = {}
    asked_s, asked = dict.fromkeys(sockets, 0.0), dict.fromkeys(sockets, 0)
    total, sent, cpu_s, began_s = len(requests), 0, time.process_time(), clock()
    until_s = began_s + seconds
    for number, one in sockets.items():
        asked_s[number], asked[number] = clock(), sent
        one.sendall(requests[sent])
        sent += 1
    while len(latencies) < sent:
        ready = poll.poll(_SILENCE_S)
        if not ready:
            raise SystemExit(f"{sent - len(latencies)} requests were not answered within {_SILENCE_S} seconds.")
        for number, _ in ready:
            one = sockets[number]
            answer = one.recv(1 << 18)
            if number in halves:
                answer = halves.pop(number) + answer
            if not _is_whole(answer):
                halves[number] = answer
                continue
            now_s = clock()
            latencies.append(now_s - asked_s[number])
            note(asked[number], answer, latencies[-1])
            status = answer[9:12]
            statuses.append(status)
            if status not in _USUAL and len(odd) < _SHOWN:
                odd.append(answer[:600].decode(errors="replace"))
            if now_s < until_s and sent < total:
                asked_s[number], asked[number] = now_s, sent
                one.sendall(requests[sent])
                sent += 1
    elapsed_s = clock() - began_s
    counted = Counter(int(status) for status in statuses)
    return Drive(sent, counted, elapsed_s, latencies, time.process_time() - cpu_s, tuple(odd))


_USUAL = frozenset({b"200", b"201", b"409"})
_SHOWN = 3


def _is_whole(answer: bytes) -> bool:
    """Tell whether an answer has arrived with all of its body; a connection that was closed is an answer nobody expects."""
    if not answer:
        raise SystemExit("The server closed a connection.")
    head = answer.find(_END)
    if head < 0:
        return False
    at = answer.find(_LENGTH, 0, head)
    if at < 0:
        at = answer[:head].lower().find(_LENGTH)
    if at < 0:
        raise SystemExit(f"An answer does not tell its length: {answer[:head].decode()}")
    end = answer.find(b"\r\n", at, head + 2)
    return len(answer) - head - len(_END) >= int(answer[at + len(_LENGTH) : end])
