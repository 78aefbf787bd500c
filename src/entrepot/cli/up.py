"""`entrepot up`: run the whole installation until it is told to stop."""

from argparse import Namespace

from entrepot.bootstrap.logs import configure_logs
from entrepot.bootstrap.processes import LOOPBACK
from entrepot.bootstrap.settings import Settings, WorldMode
from entrepot.bootstrap.supervisor import supervise
from entrepot.cli.options import add_data_flag, add_setting_flag, settings_from
from entrepot.cli.registry import Subparsers
from entrepot.parties.demo import read_seed_parties


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("up", help="Run the database, the web, the worker and the demonstration world.")
    add_setting_flag(parser, "port", "N")
    add_setting_flag(parser, "seed", "N")
    add_setting_flag(parser, "speed", "X")
    parser.add_argument("--no-world", dest="world", action="store_const", const=WorldMode.OFF.value, help="Leave the installation empty.")
    add_data_flag(parser)


def run(args: Namespace) -> int:
    """Supervise until SIGTERM or Ctrl-C; exit status 0."""
    settings = settings_from(args)
    configure_logs(settings, "supervisor")
    return supervise(settings, welcome)


def welcome(settings: Settings) -> None:
    """Say where everything is and, where the demonstration world runs, how to look at it as whom; once the web answers."""
    address = f"http://{LOOPBACK}:{settings.port}"
    print(f"Entrepot is running: {address}/")
    if settings.world is WorldMode.ON:
        print(f"  tour     {address}/tour  one order in each operation model, in five minutes")
    print(f"  sign in  {address}/sign-in")
    print(f"  data     {settings.data}")
    print(f"  world    {f'seed {settings.seed}, speed {settings.speed}' if settings.world is WorldMode.ON else 'off'}")
    if settings.world is WorldMode.ON:
        print("  demo sign-ins, as soon as the world is open:")
        for row in read_seed_parties().sign_ins:
            print(f"    {row.login:<16} password {row.password:<8} {row.role:<15} {row.display_name}")
    print("  stop it with Ctrl-C", flush=True)
