"""`entrepot webhooks` on a database: what is printed is enough to go on with."""

import asyncio
import json

import psycopg
import pytest
from tests.factories.parties import AT, OPERATOR, merchant

from entrepot.cli.main import main
from entrepot.parties.commands import register_merchants

REFUSALS = (
    (("add", "nobody", "https://shop.example/"), "unknown_merchant"),
    (("add", "leeds", "ftp://shop.example/"), "webhook_address"),
    (("add", "leeds", "http://127.0.0.1:8000/"), "webhook_address"),
    (("remove", "x"), "invalid_id"),
    (("remove", "00000000-0000-0000-0000-000000000000"), "unknown_webhook"),
    (("replay", "00000000-0000-0000-0000-000000000000", "--since", "yesterday"), "invalid_moment"),
    (("replay", "00000000-0000-0000-0000-000000000000", "--event", "x"), "unknown_webhook"),
    (("mail", "nobody", "on"), "unknown_merchant"),
)


async def register(database):
    async with await psycopg.AsyncConnection.connect(database) as conn:
        await register_merchants(conn, [merchant()], OPERATOR, AT)


@pytest.fixture
def command(database, tmp_path, monkeypatch, capsys):
    asyncio.run(register(database))
    for name, value in {"DATABASE_URL": database, "ENTREPOT_DATA": str(tmp_path), "ENTREPOT_WORLD": "off"}.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> tuple[int, str]:
        status = main(["webhooks", *words])
        shown = capsys.readouterr()
        return status, shown.out + shown.err

    return run


def test_the_life_of_a_webhook(command):
    assert command("list") == (0, "Nobody is told anything.\n")
    status, shown = command("add", "leeds", "https://shop.example/notices", "--fact", "order_placed")
    words = shown.split()
    webhook_id, secret = words[1], words[3]
    assert (status, len(secret)) == (0, 43)
    assert command("mail", "leeds", "on") == (0, "mail is on\n")
    rows = {row["kind"]: row for row in json.loads(command("list", "--merchant", "leeds", "--json")[1])}
    assert (rows["webhook"]["id"], rows["webhook"]["facts"], rows["webhook"]["open"]) == (webhook_id, ["order_placed"], 0)
    assert secret not in command("list")[1]
    assert command("replay", webhook_id, "--since", "2026-05-04") == (0, "0 notices are sent again\n")
    assert command("remove", webhook_id) == (0, "removed\n")
    assert command("mail", "leeds", "off") == (0, "mail is off\n")
    assert "is_active=False" in command("list")[1]


def test_refusals_are_said_in_words(command):
    for words, code in REFUSALS:
        status, shown = command(*words)
        assert (status, words, f"error   {code}\n" in shown) == (2, words, True)
        assert "remedy  " in shown
    assert command("list") == (0, "Nobody is told anything.\n")
