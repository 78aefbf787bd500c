"""Bytes as badly behaved clients send them: slowly, never whole, too many, broken off, or several requests at once."""

import asyncio
import json
import re

import pytest
from tests.factories.programs import GB, bearer

from entrepot.surfaces.api.wire import BODY_LIMIT

pytestmark = pytest.mark.anyio

PATIENCE_S = 120
PAUSE_S = 0.4
EACH = 10
CHUNK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"


def head(path="/orders", method="POST", key="key-wire", **more):
    """Return the head of a program's request."""
    fields = {"host": "127.0.0.1"} | bearer(key=key) | {name.replace("_", "-"): value for name, value in more.items()}
    return f"{method} {path} HTTP/1.1\r\n{''.join(f'{name}: {value}{chr(13)}{chr(10)}' for name, value in fields.items())}\r\n".encode()


async def converse(shop, first, rest=b"", *, then_ends=False):
    """Send bytes at once and more of them one by one, and return all that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    writer.write(first)
    answer = asyncio.create_task(read_all(reader))
    for byte in rest:
        if (await asyncio.wait([answer], timeout=PAUSE_S))[0]:
            break
        writer.write(bytes([byte]))
    if then_ends:
        writer.write_eof()
    try:
        return await answer
    finally:
        writer.close()


async def read_all(reader):
    answer = b""
    try:
        while part := await reader.read(1 << 16):
            answer += part
    except ConnectionResetError:  # the server closed before it had read what we sent
        pass
    return answer


def statuses(answers):
    """Return the statuses of the answers on one connection, in order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def problem(answer):
    """Return the status and the code of an answer that is a problem document."""
    top, _, content = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in top
    return statuses(answer)[0], json.loads(content)["code"]


async def test_slow_clients_are_shown_the_door_and_others_are_served_meanwhile(shop):
    before = shop.contents()
    whole = json.dumps(shop.message()).encode()
    never_closed = (
        (b"", b""),
        (b"POST /orders HT", b""),
        (b"POST /orders HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ", b"a" * 1000),
        (b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", b""),
    )
    too_slow = (
        (head(content_length=len(whole)), b""),
        (head(content_length=len(whole)) + whole[:-1], b""),
        (head("/quotes", content_length=100_000), whole * 10),
        (head(transfer_encoding="chunked") + b"5\r\n" + whole[:5], b""),
        (head("/sign-in", content_type="application/x-www-form-urlencoded", content_length=50) + b"login=", b"a" * 1000),
    )
    async with asyncio.timeout(PATIENCE_S):
        silent = [asyncio.create_task(converse(shop, *one)) for one in never_closed * EACH]
        slow = [asyncio.create_task(converse(shop, *one)) for one in too_slow * EACH]
        waiting, asked = {*silent, *slow}, []
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=0.2)
            asked.append(await asyncio.to_thread(shop.client.get, f"/requests/key-wire?buyer_id={GB}", headers=bearer()))
    assert {(one.status_code, one.json()["code"]) for one in asked} == {(404, "unknown_key")}
    assert [statuses(one.result()) for one in silent] == [[], [], [], [200]] * EACH
    assert {problem(one.result()) for one in slow} == {(408, "body_too_slow")}
    assert shop.contents() == before


@pytest.mark.parametrize(
    "sent",
    [
        head(content_length=10_000_000_000),
        head(content_length=BODY_LIMIT + 1) + b"{",
        head(content_length="9" * 19),
        head("/quotes", content_length=BODY_LIMIT + 1),
        head(transfer_encoding="chunked") + CHUNK * (BODY_LIMIT // 0x10000) + CHUNK,
    ],
)
async def test_a_huge_body_is_refused_before_it_is_read(shop, sent):
    before = shop.contents()
    async with asyncio.timeout(PATIENCE_S):
        assert problem(await converse(shop, sent)) == (413, "body_too_large")
    assert shop.contents() == before


async def test_an_order_that_breaks_off_is_none(shop):
    before = shop.contents()
    whole = json.dumps(shop.message()).encode()
    cut = [
        head(key="key-cut", content_length=len(whole) + 1) + whole,
        head(key="key-cut", transfer_encoding="chunked") + b"%x\r\n%b\r\n" % (len(whole), whole),
        head(key="key-cut", transfer_encoding="chunked") + b"%x\r\n%b\r\nnonsense\r\n" % (len(whole), whole),
    ]
    async with asyncio.timeout(PATIENCE_S):
        for sent in cut:
            answer = await converse(shop, sent, then_ends=True)
            assert answer == b"" or problem(answer) == (400, "body_broken_off")
    assert shop.contents() == before
    found = await asyncio.to_thread(shop.client.get, f"/requests/key-cut?buyer_id={GB}", headers=bearer())
    assert found.status_code == 404


async def test_requests_that_come_at_once_are_answered_in_turn(shop):
    whole = json.dumps(shop.message()).encode()
    order = head(key="key-pipelined", content_length=len(whole)) + whole
    last = head("/requests/key-pipelined?buyer_id=" + str(GB), "GET", connection="close")
    bad = head(key="key-other", content_length=2) + b"[]"
    async with asyncio.timeout(PATIENCE_S):
        answers = await converse(shop, order + order + bad + last)
    assert statuses(answers) == [201, 200, 422, 200]
    assert len(set(re.findall(rb'"checkout_id":"([^"]+)"', answers))) == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400),
        (b"POST /orders\r\n\r\n", 400),
        (b"POST /orders HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (head(content_length="a lot"), 400),
        (head(content_length=3).replace(b"content-length: 3", b"content-length: 3\r\ncontent-length: 4"), 400),
        (head().replace(b"\r\n\r\n", b"\r\n" + b"x: y\r\n" * 200 + b"\r\n"), 431),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
    ],
)
async def test_what_is_no_request_is_answered_by_the_server_itself(shop, sent, status):
    async with asyncio.timeout(PATIENCE_S):
        answer = await converse(shop, sent)
    assert statuses(answer) == ([] if status is None else [status])
