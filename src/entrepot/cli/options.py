"""Flags that several commands share, and the settings they lead to."""

from argparse import ArgumentParser, Namespace

from entrepot.bootstrap.settings import SETTINGS, Settings, read_settings

_MEANINGS = {setting.field: setting.meaning for setting in SETTINGS}


def add_data_flag(parser: ArgumentParser) -> None:
    """Let a command name the data directory."""
    parser.add_argument("--data", metavar="DIR", help=_MEANINGS["data"])


def add_json_flag(parser: ArgumentParser) -> None:
    """Let a command print one JSON document instead of text."""
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")


def add_setting_flag(parser: ArgumentParser, field: str, metavar: str) -> None:
    """Let a command override one setting."""
    parser.add_argument(f"--{field}", metavar=metavar, help=_MEANINGS[field])


def settings_from(args: Namespace) -> Settings:
    """Return the settings of this command: its flags, then the environment, then the defaults."""
    flags = {setting.field: getattr(args, setting.field, None) for setting in SETTINGS}
    return read_settings(flags=flags)
