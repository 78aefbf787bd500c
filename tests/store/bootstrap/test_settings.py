"""Settings: flags win over variables, variables over defaults, and nonsense is refused by name."""

from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest

from entrepot.bootstrap.account import is_root
from entrepot.bootstrap.settings import (
    SETTINGS,
    FactorPolicy,
    InvalidSettingError,
    LogFormat,
    LogLevel,
    MailMode,
    Settings,
    WebhookReach,
    WorldMode,
    as_environment,
    read_settings,
)


def test_defaults() -> None:
    settings = read_settings({"HOME": "/home/me", "XDG_DATA_HOME": "/home/me/data"})
    assert settings == Settings(
        data=Path("/var/lib/entrepot" if is_root() else "/home/me/data/entrepot"),
        database_url=None,
        port=8420,
        seed=7,
        speed=Decimal(60),
        world=WorldMode.ON,
        pool_size=8,
        mail=MailMode.SPOOL,
        webhook_reach=WebhookReach.AUTO,
        second_factor=FactorPolicy.AUTO,
        public_url="http://127.0.0.1:8420",
        log_level=LogLevel.INFO,
        log_format=LogFormat.AUTO,
    )


def test_every_field_is_described_once() -> None:
    assert [setting.field for setting in SETTINGS] == [field.name for field in fields(Settings)]


def test_flags_win_over_variables() -> None:
    settings = read_settings({"ENTREPOT_PORT": "1", "ENTREPOT_SEED": "2", "ENTREPOT_DATA": "/a"}, {"port": "3", "seed": None, "data": "/b"})
    assert (settings.port, settings.seed, settings.data) == (3, 2, Path("/b"))


def test_children_read_the_same_settings() -> None:
    settings = read_settings({"DATABASE_URL": "postgres://me@host/shop", "ENTREPOT_SPEED": "0.5", "ENTREPOT_WORLD": "off", "ENTREPOT_DATA": "/a"})
    assert settings.database_url == "postgresql://me@host/shop"
    assert read_settings(as_environment(settings)) == settings


@pytest.mark.parametrize(
    ("variable", "value", "field"),
    [
        ("ENTREPOT_PORT", "65536", "port"),
        ("ENTREPOT_PORT", "-1", "port"),
        ("ENTREPOT_PORT", "٣", "port"),
        ("ENTREPOT_SEED", "seven", "seed"),
        ("ENTREPOT_SPEED", "NaN", "speed"),
        ("ENTREPOT_SPEED", "Infinity", "speed"),
        ("ENTREPOT_WORLD", "maybe", "world"),
        ("ENTREPOT_POOL_SIZE", "1", "pool_size"),
        ("ENTREPOT_MAIL", "post", "mail"),
        ("ENTREPOT_WEBHOOK_REACH", "moon", "webhook_reach"),
        ("ENTREPOT_SECOND_FACTOR", "perhaps", "second_factor"),
        ("ENTREPOT_LOG_LEVEL", "loud", "log_level"),
        ("ENTREPOT_LOG_FORMAT", "xml", "log_format"),
        ("DATABASE_URL", "mysql://me:secret@host/shop", "DATABASE_URL"),
    ],
)
def test_nonsense_is_refused(variable: str, value: str, field: str) -> None:
    with pytest.raises(InvalidSettingError) as refusal:
        read_settings({variable: value})
    assert refusal.value.field == field
    assert refusal.value.remedy
    assert "secret" not in str(refusal.value)
