"""The clients of the soak: each sends orders in bursts and retries by key until it has a definite answer, whatever dies meanwhile."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.soak_world import SoakWorld, Wish, draw_wish
from entrepot.bootstrap.processes import LOOPBACK

BURST = 12
"""Most orders that a client sends one right after the other."""
_PATIENCE_S = 15
_GIVE_UP_S = 180
_LONGEST_PAUSE_S = 2.0
_FIRST_PAUSE_S = 0.02
_HURRIED_PER_THOUSAND, _REPEATED_PER_THOUSAND, _CHANGED_PER_THOUSAND = 40, 40, 15
REFUSALS = frozenset({"not_enough_units", "cbec_year_over_limit"})
"""What an order of the soak may be refused for; everything it asks for is right otherwise."""
_HURRY_S = (0.002, 0.04)
"""Shortest and longest patience of those who send again before the answer could come."""


@dataclass
class Sent:
    """A wish that was sent, and the definite answer to it; status 0 while there is none."""

    wish: Wish
    status: int = 0
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def is_acknowledged(self) -> bool:
        """Tell whether the client was told that its order exists."""
        return self.status in {200, 201}


@dataclass
class Talk:
    """All that clients said and heard; each has one of its own."""

    sent: list[Sent] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, other: "Talk") -> None:
        """Take in what another client said and heard."""
        self.sent += other.sent
        self.counts += other.counts
        self.faults += other.faults


class Client:
    """One client with its connection."""

    def __init__(self, port: Callable[[], int], token: str, dice: random.Random) -> None:
        self.talk = Talk()
        self._port = port
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._dice = dice
        self._connection: http.client.HTTPConnection | None = None

    def order(self, wish: Wish) -> Sent:
        """Send an order until there is a definite answer; some send again too early, some ask again afterwards, some under a key that was used."""
        sent = Sent(wish)
        self.talk.sent.append(sent)
        is_hurried = self._dice.randrange(1000) < _HURRIED_PER_THOUSAND
        sent.status, sent.answer = self._insist(wish.key, wish.body, self._dice.uniform(*_HURRY_S) if is_hurried else _PATIENCE_S)
        if sent.status >= 400 and sent.answer.get("code") not in REFUSALS:
            self.talk.faults.append(f"{wish.key}: {sent.status} {sent.answer}")
        if sent.is_acknowledged and self._dice.randrange(1000) < _REPEATED_PER_THOUSAND:
            again = self._insist(wish.key, wish.body, _PATIENCE_S)
            self._compare(wish.key, "sent again", again, (200, sent.answer))
        if sent.is_acknowledged and self._dice.randrange(1000) < _CHANGED_PER_THOUSAND:
            status, answer = self._insist(wish.key, wish.body.replace(b'"quantity": ', b'"quantity": 1'), _PATIENCE_S)
            self._compare(wish.key, "sent with other values", (status, answer.get("code")), (409, "key_used_for_other_request"))
        return sent

    def find(self, sent: Sent) -> None:
        """Ask for the answer under a key."""
        answer = self._insist(sent.wish.key, None, _PATIENCE_S, f"/requests/{sent.wish.key}?buyer_id={sent.wish.person_id}")
        self._compare(sent.wish.key, "looked up", answer, (200, sent.answer))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _compare(self, key: str, what: str, got: tuple[int, object], expected: tuple[int, object]) -> None:
        if got != expected:
            self.talk.faults.append(f"{key}: {what}, got {got}, not {expected}")

    def _insist(self, key: str, body: bytes | None, first_patience_s: float, path: str = "/orders") -> tuple[int, dict[str, Any]]:
        """Send a request by its key until its answer is definite; (0, {}) if there is none for very long."""
        until_s = time.monotonic() + _GIVE_UP_S
        patience_s, pause_s = first_patience_s, _FIRST_PAUSE_S
        while time.monotonic() < until_s:
            try:
                status, wait_s, answer = self._ask(key, body, path, patience_s)
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                self.close()
                self.talk.counts["timed out" if isinstance(error, TimeoutError) else "connection lost"] += 1
                wait_s = pause_s
            else:
                if status < 500:
                    return status, answer
                self.talk.counts[f"answered {status}"] += 1
            self.talk.counts["retries"] += 1
            patience_s, pause_s = _PATIENCE_S, min(pause_s * 2, _LONGEST_PAUSE_S)
            time.sleep(wait_s * self._dice.uniform(0.5, 1))
        return 0, {}

    def _ask(self, key: str, body: bytes | None, path: str, patience_s: float) -> tuple[int, float, dict[str, Any]]:
        """Send a request once; return status, the seconds to wait before the next try, and the answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(LOOPBACK, self._port())
        self._connection.timeout = patience_s
        if self._connection.sock is not None:
            self._connection.sock.settimeout(patience_s)
        self.talk.counts["requests"] += 1
        self._connection.request("POST" if body is not None else "GET", path, body, self._headers | {"idempotency-key": key})
        response = self._connection.getresponse()
        text = response.read()
        wait_s = min(float(response.headers.get("retry-after", _FIRST_PAUSE_S)), _LONGEST_PAUSE_S)
        return response.status, wait_s, json.loads(text)


class Crowd:
    """Many clients at once, each with its own share of the seed."""

    def __init__(self, port: Callable[[], int], world: SoakWorld, clients: int, rest_s: float, seed: int) -> None:
        self._world, self._rest_s, self._seed = world, rest_s, seed
        self._is_over = threading.Event()
        self._clients = [Client(port, world.token, random.Random(f"client {seed} {number}")) for number in range(clients)]  # noqa: S311 -- repeatable on purpose
        self._threads = [threading.Thread(target=self._live, args=(number,), daemon=True) for number in range(clients)]

    def begin(self) -> None:
        """Let all clients begin."""
        for thread in self._threads:
            thread.start()

    def end(self) -> Talk:
        """Let each client finish its order, and return what all of them said and heard."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(2 * _GIVE_UP_S)
        return _joined([client.talk for client in self._clients])

    def _live(self, number: int) -> None:
        client = self._clients[number]
        dice = random.Random(f"wishes {self._seed} {number}")  # noqa: S311 -- repeatable on purpose
        count = 0
        while not self._is_over.wait(dice.uniform(0, self._rest_s)):
            for _ in range(dice.randint(1, BURST)):
                count += 1
                client.order(draw_wish(dice, self._world, f"soak-{self._seed}-{number}-{count}"))
                if self._is_over.is_set():
                    break
        client.close()


def find_answers(port: Callable[[], int], token: str, sent: Sequence[Sent], clients: int) -> Talk:
    """Look every acknowledged order up by its key, many at once."""
    known = [one for one in sent if one.is_acknowledged]

    def ask(number: int) -> Talk:
        client = Client(port, token, random.Random(number))  # noqa: S311 -- only pauses are drawn
        for one in known[number::clients]:
            client.find(one)
        client.close()
        return client.talk

    with ThreadPoolExecutor(clients) as pool:
        return _joined(list(pool.map(ask, range(clients))))


def _joined(talks: Sequence[Talk]) -> Talk:
    """Return several talks as one."""
    whole = Talk()
    for one in talks:
        whole.add(one)
    return whole
