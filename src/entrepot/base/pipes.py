"""One transaction in a pipe: its statements are sent as they come and answered in order, and nobody waits but for rows.

The driver's own cursors do the same; here a statement costs a fifth of what it costs there, which is what an order of its own mostly consists of.
The socket is watched once for the whole transaction, statements are prepared once per connection, and one converter serves them all.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import AsyncRowFactory, TupleRow, tuple_row

Names = dict[tuple[bytes, tuple[int, ...]], bytes]
"""Prepared statements of a connection by text and parameter types."""

MOST_PREPARED: Final = 1000
"""Statements that a connection keeps prepared; further ones are sent whole each time."""
_NUMBERS: Final = count(1)
_ROWS, _DONE, _SYNCED = ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.PIPELINE_SYNC

Answer = asyncio.Future[PGresult]


class PipedConnection(AsyncConnection[TupleRow]):
    """A connection that transactions may go through as pipes; it keeps what all of them share."""

    def __init__(self, pgconn: PGconn, row_factory: AsyncRowFactory[TupleRow] = tuple_row) -> None:
        super().__init__(pgconn, row_factory)
        self.names: Names = {}
        self.convert = Transformer.from_context(self)
        self.pipe: Pipe | None = None


class Pipe:
    """A connection whose statements are sent without waiting for the answers of earlier ones."""

    def __init__(self, conn: PipedConnection) -> None:
        self._conn = conn
        self._pg = conn.pgconn
        self._socket = conn.pgconn.socket
        self._loop = asyncio.get_running_loop()
        self._convert, self._names = conn.convert, conn.names
        self._new: list[tuple[bytes, tuple[int, ...]]] = []
        self._expected: deque[Answer | None] = deque()
        self._is_answered = False
        self._fault: psycopg.Error | None = None
        self._is_lost = False
        self._is_watching = False

    # -- begun and ended ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Turn the connection into a pipe, and begin the transaction with the first statement."""
        self._pg.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._read)
        self._is_watching = True
        self._post(b"begin", (), Format.TEXT, None)

    async def commit(self) -> None:
        """Commit, wait for all answers, and raise what a statement failed with that nobody waited for, in which case nothing was committed."""
        self._post(b"commit", (), Format.TEXT, None)
        await self.end()

    async def end(self) -> None:
        """Wait for all answers, turn the pipe into a plain connection, and raise what a statement failed with."""
        if not self._is_lost:
            synced = self._loop.create_future()
            self._expected.append(synced)
            self._pg.pipeline_sync()
            await self._send()
            await synced
            self.unwatch()
            self._pg.exit_pipeline_mode()
        if self._fault is not None:
            for known in self._new:  # what was prepared behind a statement that failed is not there
                self._names.pop(known, None)
            raise self._fault

    async def give_up(self) -> None:
        """Close the connection, of which nobody knows how far it came; the database undoes what was not committed."""
        self.unwatch()
        await self._conn.close()

    def unwatch(self) -> None:
        """Stop watching the socket; it must not be closed before, or the loop watches whoever gets its number next."""
        if self._is_watching:
            self._is_watching = False
            self._loop.remove_reader(self._socket)

    # -- asked -------------------------------------------------------------------------------------------------------

    async def execute(self, text: bytes, values: Sequence[object]) -> None:
        """Send a statement whose answer is not waited for; its fault is raised by whatever waits next."""
        self._post(text, values, Format.TEXT, None)
        await self._send()

    async def ask(self, text: bytes, values: Sequence[object]) -> PGresult:
        """Send a statement and wait for its answer."""
        answer = self._loop.create_future()
        self._post(text, values, Format.BINARY, answer)
        self._pg.send_flush_request()
        await self._send()
        return await answer

    async def fetch(self, text: bytes, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Send a statement and return its rows."""
        result = await self.ask(text, values)
        if not result.ntuples:
            return []
        self._convert.set_pgresult(result, set_loaders=True, format=Format.BINARY)
        return self._convert.load_rows(0, result.ntuples, tuple)

    def _post(self, text: bytes, values: Sequence[object], form: Format, answer: Answer | None) -> None:
        """Hand a statement to the connection, prepared the first time."""
        if self._fault is not None:
            raise self._fault
        sent = self._convert.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types, formats = self._convert.types or (), self._convert.formats or ()
        known = (text, types)
        name = self._names.get(known)
        if name is None and len(self._names) == MOST_PREPARED:
            self._pg.send_query_params(text, sent, types, formats, form)
            self._expected.append(answer)
            return
        if name is None:
            name = self._names[known] = b"pipe_%d" % next(_NUMBERS)
            self._new.append(known)
            self._pg.send_prepare(name, text, types)
            self._expected.append(None)
        self._pg.send_query_prepared(name, sent, formats, form)
        self._expected.append(answer)

    async def _send(self) -> None:
        """Wait until everything was sent: the database begins with a statement only when it has all of it, and a batch outgrows the socket's buffer."""
        while self._pg.flush():
            writable = self._loop.create_future()
            self._loop.add_writer(self._socket, _wake, writable)
            try:
                await writable
            finally:
                self._loop.remove_writer(self._socket)

    # -- answered ----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Take what has arrived and hand it to whoever waits for it."""
        try:
            self._pg.consume_input()
            self._collect()
        except psycopg.Error as lost:
            self._lose(lost)

    def _collect(self) -> None:
        """Match answers with what was sent, in order; after each answer but the last one's the connection says that it is over."""
        while self._expected and not self._pg.is_busy():
            result = self._pg.get_result()
            if result is None:
                if not self._is_answered:
                    return
                self._is_answered = False
                self._expected.popleft()
            elif result.status == _SYNCED:
                _give(self._expected.popleft(), result)
            else:
                self._is_answered = True
                self._take(self._expected[0], result)

    def _take(self, answer: Answer | None, result: PGresult) -> None:
        """Give one answer, or keep its fault for whoever waits next."""
        if result.status in (_ROWS, _DONE):
            _give(answer, result)
            return
        if self._fault is None:
            self._fault = error_from_result(result, encoding=self._convert.encoding)
        _fail(answer, self._fault)

    def _lose(self, lost: psycopg.Error) -> None:
        """Tell whoever waits that the connection is gone."""
        self.unwatch()
        self._is_lost, self._fault = True, self._fault or lost
        for answer in self._expected:
            _fail(answer, self._fault)
        self._expected.clear()


def _give(answer: Answer | None, result: PGresult) -> None:
    """Hand a result to whoever waits for it, if somebody still does."""
    if answer is not None and not answer.done():
        answer.set_result(result)


def _fail(answer: Answer | None, fault: psycopg.Error) -> None:
    """Hand a fault to whoever waits; where its sending failed too, nobody does, and the fault is raised from there."""
    if answer is not None and not answer.done():
        answer.set_exception(fault)
        answer.exception()  # looked at: nobody need complain that it was not


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def open_pipe(conn: AsyncConnection[TupleRow]) -> Pipe | None:
    """Return the pipe that a connection's statements go through, if one is open."""
    return conn.pipe if isinstance(conn, PipedConnection) else None


@asynccontextmanager
async def piped(conn: PipedConnection) -> AsyncGenerator[None]:
    """Run the block's statements in one transaction and through a pipe; nothing but `base/sql` speaks to the connection meanwhile.

    The transaction is committed at the block's end and rolled back when the block, or a statement of it, fails.
    """
    pipe = conn.pipe = Pipe(conn)
    try:
        pipe.begin()
        yield
        await pipe.commit()
    except Exception:
        await _roll_back(conn, pipe)
        raise
    except BaseException:
        await pipe.give_up()
        raise
    finally:
        conn.pipe = None


async def _roll_back(conn: PipedConnection, pipe: Pipe) -> None:
    """End a pipe whose block failed, and its transaction; a connection on which that fails too is closed, which undoes it as well."""
    try:
        if conn.pgconn.pipeline_status:
            await pipe.end()
    except psycopg.Error:  # what the block failed with, or what followed from it
        pass
    finally:
        pipe.unwatch()
    try:
        await conn.rollback()
    except psycopg.Error:
        await conn.close()
