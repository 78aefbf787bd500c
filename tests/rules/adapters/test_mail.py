"""Mailers: a message is sent once, the log holds no address and no text."""

import json
import stat

import pytest
import structlog
from tests.factories.freight import AT

from entrepot.adapters.mail import LogMailer, Mailer, MailMessage, SpoolMailer
from entrepot.base.ids import derived_id

pytestmark = pytest.mark.anyio


def message(name="1"):
    return MailMessage(derived_id("mail", name), "person:7", "buyer@example.org", "parcel_delivered", "zh", "您的包裹", "已送达", AT)


async def test_the_log_tells_that_and_not_what():
    mailer: Mailer = LogMailer()
    with structlog.testing.capture_logs() as logs:
        sent = await mailer.send_mail([message("1"), message("2"), message("1")])
    assert sent == [message("1").message_id, message("2").message_id]
    assert [(one["event"], one["recipient_ref"], one["template_code"]) for one in logs] == [("mail_sent", "person:7", "parcel_delivered")] * 2
    assert "example.org" not in str(logs)
    assert "已送达" not in str(logs)


async def test_the_spool_keeps_each_message_once(tmp_path):
    mailer: Mailer = SpoolMailer(tmp_path / "outbox")
    assert await mailer.send_mail([message("1"), message("1"), message("2")]) == [message("1").message_id, message("2").message_id]
    assert await mailer.send_mail([message("2")]) == []
    files = sorted((tmp_path / "outbox").iterdir())
    assert len(files) == 2
    assert json.loads((tmp_path / "outbox" / f"{message('1').message_id}.json").read_text())["subject"] == "您的包裹"
    assert stat.S_IMODE((tmp_path / "outbox").stat().st_mode) == 0o700
