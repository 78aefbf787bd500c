"""Every setting of the program: one table says its variable, its flag, its default and its meaning."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.bootstrap.account import is_root

Choice = TypeVar("Choice", bound=StrEnum)


class InvalidSettingError(RefusedInputError):
    """A setting has a value that cannot be used; whoever starts the program corrects the flag or the variable."""


class WorldMode(StrEnum):
    """Whether the demonstration world lives in this installation."""

    ON = "on"
    OFF = "off"


class MailMode(StrEnum):
    """What becomes of mails."""

    SPOOL = "spool"
    LOG = "log"


class WebhookReach(StrEnum):
    """Which addresses webhooks may be posted to."""

    AUTO = "auto"
    PUBLIC = "public"
    LOOPBACK = "loopback"
    ANY = "any"


class FactorPolicy(StrEnum):
    """Who must have a second factor."""

    AUTO = "auto"
    FREE = "free"
    HOUSE = "house"


class LogFormat(StrEnum):
    """How log lines are written."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least urgent log lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Setting(Struct, frozen=True):
    """A setting as people meet it: field, environment variable, flag of `entrepot up` (empty if none), default and meaning."""

    field: str
    variable: str
    flag: str
    default: str
    meaning: str


SETTINGS: Final = (
    Setting("data", "ENTREPOT_DATA", "--data", "", "Data directory; as root /var/lib/entrepot, else entrepot in the user's data directory."),
    Setting("database_url", "DATABASE_URL", "", "", "A PostgreSQL 16 or newer to use instead of the embedded one: postgresql://user@host/name."),
    Setting("port", "ENTREPOT_PORT", "--port", "8420", "Port of the web pages and APIs on 127.0.0.1; 0 takes a free one."),
    Setting("seed", "ENTREPOT_SEED", "--seed", "7", "Seed of the demonstration world: the same seed gives the same world."),
    Setting("speed", "ENTREPOT_SPEED", "--speed", "60", "Business seconds that pass in the world per real second."),
    Setting("world", "ENTREPOT_WORLD", "--no-world", "on", "on lets the demonstration world live; off leaves the installation empty."),
    Setting("pool_size", "ENTREPOT_POOL_SIZE", "", "8", "Most database connections per process; half of the web's are for reading."),
    Setting("mail", "ENTREPOT_MAIL", "", "spool", "spool keeps mails to buyers as files in the data directory; log only logs that one was sent."),
    Setting(
        "webhook_reach",
        "ENTREPOT_WEBHOOK_REACH",
        "",
        "auto",
        "Where webhooks may go: public, loopback (this machine too), any (private networks too); auto is loopback with the demonstration world, else public.",
    ),
    Setting(
        "second_factor",
        "ENTREPOT_SECOND_FACTOR",
        "",
        "auto",
        "Who must have a second factor: house (operators, finance, agents), free (nobody); auto is free with the demonstration world, else house.",
    ),
    Setting(
        "public_url",
        "ENTREPOT_PUBLIC_URL",
        "",
        "",
        "Address that people see, for links in mails: https://shop.example.org; without it the port on 127.0.0.1.",
    ),
    Setting("log_level", "ENTREPOT_LOG_LEVEL", "", "info", "Least urgent log lines: debug, info, warning or error."),
    Setting("log_format", "ENTREPOT_LOG_FORMAT", "", "auto", "text, json, or auto: text on a terminal, else json."),
)
"""All settings; flags win over variables, variables over defaults."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process, checked."""

    data: Path
    database_url: str | None
    port: int
    seed: int
    speed: Decimal
    world: WorldMode
    pool_size: int
    mail: MailMode
    webhook_reach: WebhookReach
    second_factor: FactorPolicy
    public_url: str
    log_level: LogLevel
    log_format: LogFormat


def read_settings(environment: Mapping[str, str] | None = None, flags: Mapping[str, str | None] | None = None) -> Settings:
    """Read flags, then the environment, then defaults; refuse the first value that cannot be used."""
    environment = os.environ if environment is None else environment
    chosen = {setting.field: _chosen(setting, environment, flags or {}) for setting in SETTINGS}
    return Settings(
        data=Path(chosen["data"] or _default_data(environment)).expanduser().absolute(),
        database_url=_database_url(chosen["database_url"]),
        port=_whole("port", chosen["port"], 0, 65_535),
        seed=_whole("seed", chosen["seed"], 0, 2**63 - 1),
        speed=_speed(chosen["speed"]),
        world=_choice("world", chosen["world"], WorldMode),
        pool_size=_whole("pool_size", chosen["pool_size"], 2, 1000),
        mail=_choice("mail", chosen["mail"], MailMode),
        webhook_reach=_choice("webhook_reach", chosen["webhook_reach"], WebhookReach),
        second_factor=_choice("second_factor", chosen["second_factor"], FactorPolicy),
        public_url=_public_url(chosen["public_url"], chosen["port"]),
        log_level=_choice("log_level", chosen["log_level"], LogLevel),
        log_format=_choice("log_format", chosen["log_format"], LogFormat),
    )


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the variables from which a child process reads the same settings."""
    values = {setting.variable: getattr(settings, setting.field) for setting in SETTINGS}
    return {variable: str(value) for variable, value in values.items() if value is not None}


def _chosen(setting: Setting, environment: Mapping[str, str], flags: Mapping[str, str | None]) -> str:
    flag = flags.get(setting.field)
    return flag if flag is not None else environment.get(setting.variable) or setting.default


def _default_data(environment: Mapping[str, str]) -> str:
    """Return the data directory of this user (XDG base directory specification)."""
    if is_root():
        return "/var/lib/entrepot"
    return f"{environment.get('XDG_DATA_HOME') or '~/.local/share'}/entrepot"


def _database_url(text: str) -> str | None:
    if not text:
        return None
    if not text.startswith(("postgresql://", "postgres://")):
        raise InvalidSettingError("DATABASE_URL", text.partition(":")[0], "Write postgresql://user:password@host:port/name.")
    return text.replace("postgres://", "postgresql://", 1)


def _public_url(text: str, port: str) -> str:
    """Return the address of the pages; it is never taken from a request, whose sender could name another host."""
    if text and not text.startswith(("https://", "http://")):
        raise InvalidSettingError("ENTREPOT_PUBLIC_URL", text, "Write https://shop.example.org, without a path.")
    return text.rstrip("/") or f"http://127.0.0.1:{port}"


def _whole(field: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise InvalidSettingError(field, text, f"Give a whole number from {least} to {most}.")
    return int(text)


def _speed(text: str) -> Decimal:
    try:
        speed = Decimal(text)
    except InvalidOperation:
        raise InvalidSettingError("speed", text, "Give a number such as 60, or 0 to pause.") from None
    if not speed.is_finite() or not 0 <= speed <= 1_000_000:
        raise InvalidSettingError("speed", text, "Give a number from 0 (paused) to 1000000.")
    return speed


def _choice(field: str, text: str, choices: type[Choice]) -> Choice:
    try:
        return choices(text)
    except ValueError:
        raise InvalidSettingError(field, text, f"Give one of {', '.join(choices)}.") from None
