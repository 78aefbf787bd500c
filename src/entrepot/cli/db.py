"""`entrepot db`: the database's schema."""

from argparse import Namespace

from entrepot.bootstrap.migrate import current_revision, newest_revision, write_revision
from entrepot.bootstrap.running import current_database
from entrepot.bootstrap.throwaway import throwaway_cluster
from entrepot.cli.options import add_data_flag, settings_from
from entrepot.cli.registry import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command with its three actions."""
    actions = subparsers.add_parser("db", help="Look after the database's schema.").add_subparsers(metavar="ACTION", dest="action", required=True)
    upgrade = actions.add_parser("upgrade", help="Bring the schema to this program's version.")
    current = actions.add_parser("current", help="Print the schema's version.")
    revision = actions.add_parser("revision", help="For developers: write the next step of the schema from the declared tables.")
    revision.add_argument("-m", "--message", required=True, help="What the step does, in a few words.")
    for parser in (upgrade, current):
        add_data_flag(parser)


def run(args: Namespace) -> int:
    """Reach the database, which brings its schema up to date, and answer; a revision is written with a database of its own."""
    if args.action == "revision":
        with throwaway_cluster() as cluster:
            print(write_revision(cluster.url(), args.message))
    else:
        with current_database(settings_from(args)) as url:
            print(f"database {current_revision(url) or 'none'}\nprogram  {newest_revision() or 'none'}")
    return 0
