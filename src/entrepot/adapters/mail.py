"""Mail: what a buyer or merchant is told is handed to a mailer; the built-in ones keep it or log it, nothing leaves the machine."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from msgspec import Struct


class MailMessage(Struct, frozen=True):
    """One message: `recipient_ref` names the person or merchant in our books, `recipient_address` is where it goes."""

    message_id: uuid.UUID
    recipient_ref: str
    recipient_address: str
    template_code: str
    language_code: str
    subject: str
    body: str
    at: datetime


class Mailer(Protocol):
    """Takes messages; the same message id is sent once."""

    async def send_mail(self, messages: Sequence[MailMessage]) -> list[uuid.UUID]:
        """Take messages and return the ids of those that are new to the mailer."""
        ...


class LogMailer:
    """Writes that a message was sent into the structured log, without its address, subject and text."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("entrepot.mail")

    async def send_mail(self, messages: Sequence[MailMessage]) -> list[uuid.UUID]:
        """Log each message of the batch once; a log remembers nothing, so a later replay is logged again."""
        unique = {message.message_id: message for message in messages}
        for message in unique.values():
            self._log.info(
                "mail_sent",
                message_id=str(message.message_id),
                recipient_ref=message.recipient_ref,
                template_code=message.template_code,
                language_code=message.language_code,
                at=message.at.isoformat(),
            )
        return list(unique)


class SpoolMailer(Struct, frozen=True):
    """Keeps each message as a file in a directory that only its owner can read, for the operator to look at."""

    directory: Path

    async def send_mail(self, messages: Sequence[MailMessage]) -> list[uuid.UUID]:
        """Write the messages that are not there yet and return their ids."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh: list[uuid.UUID] = []
        for message in messages:
            try:
                with (self.directory / f"{message.message_id}.json").open("xb") as file:
                    file.write(msgspec.json.encode(message))
            except FileExistsError:
                continue
            fresh.append(message.message_id)
        return fresh
