"""The house rules that no linter knows, over every file; nothing is excused, and each check is shown to fail on a bad snippet."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from entrepot.bootstrap.tables import all_tables

ROOT = Path(__file__).parents[1]
HOUSE = "src/entrepot/"
LOGICAL_LINES = 400
PHYSICAL_LINES = 70
NESTING = 3

BLOCKS = (ast.For, ast.AsyncFor, ast.While, ast.If, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef

SHAPELESS_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "service", "services", "util", "utils"}
CLOCKS = {
    "datetime": {"now", "today", "utcnow"},
    "date": {"today"},
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime"},
}
SQL_CLOCK = re.compile(r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp)\(\)|\bcurrent_(timestamp|date|time)\b", re.IGNORECASE)
SQL = re.compile(r"\bselect\b.+\bfrom\b|\binsert into \w|\bupdate \w+.*\bset\b|\bdelete from \w|^\s*(left |inner |cross )?(join|from) \w+", re.DOTALL)
SQL_TABLE = re.compile(r"\b(?:from|join|into|update|delete from|truncate|lock table)\s+(?:only\s+)?\"?(\w+)")
MODEL_WORD = re.compile(r"(?<![a-z0-9])(fba|fbm|global[_ ]?purchase|logistics_?service)(?![a-z0-9])", re.IGNORECASE)
MODEL_HOMES = ("operations/", "migrations/", "surfaces/api/selling_partner/")
DATA_FOLDERS = re.compile(r"/(rates|seed|migrations)/")
MONEY_WORD = re.compile(r"(^|_)(minor|rate|rates|price|amount|fee|tax|duty|cost|margin|balance)(_|$)")
MONEY_PATHS = ("settlement/", "books/", "customs/", "orders/", "base/money.py")
OUTER_PACKAGES = ("flows/", "adapters/", "surfaces/", "world/", "bootstrap/", "migrations/", "cli/")
QUERY = re.compile(r"([\w.]+\.)?(fetch|fetch_one|execute|executemany)\(")
BOUNDED = re.compile(r"(chunks|rounds_of)\(|\((?!.* for )|[A-Z_]+$")
TEMPLATES = {".html", ".jinja", ".txt", ".js", ".css"}
COMMITTED_FAULTS = {
    "unfinished work": re.compile(r"\b(T[O]DO|F[I]XME|H[A]CK)\b"),
    "path of one machine": re.compile(r"(?<![\w.])/(wor[k]|root/\w+|Use[r]s/\w+)/"),
    "package registry": re.compile(
        r"\b(pyp[i]\.org|python[h]osted\.org|registry\.np[m]js|npm[m]irror|crates\.[i]o|go[p]roxy|goprox[y]\.io)|\b(artif[a]ctory|dev[p]i|nex[u]s)[.:/-]"
    ),
}
EXCUSE = re.compile(
    r"#\s*(ruff:\s*noqa|flake8:\s*noqa|noqa(?!:)|pyright:\s*(basic|strict|standard|\w+=)|type:\s*ignore(?!\[)|pyright:\s*ignore(?!\[)|mypy:)"
)


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the root, its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def home(self) -> str:
        """Return the path inside the product, or nothing for a test."""
        return self.path.removeprefix(HOUSE) if self.path.startswith(HOUSE) else ""

    @property
    def package(self) -> str:
        """Return the owning package, such as `orders` or `books.stock`."""
        parts = self.home.split("/")
        return ".".join(parts[:2]) if parts[0] == "books" else parts[0]


Check = Callable[[Source], Iterator[str]]


def source_of(path: str, text: str) -> Source:
    return Source(path, text, ast.parse(text, path))


@cache
def committed() -> tuple[str, ...]:
    """Return the paths that are or will be committed."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(sorted(path for path in listed.splitlines() if (ROOT / path).is_file()))


@cache
def sources() -> tuple[Source, ...]:
    """Return every Python file of the product and its tests."""
    paths = [path for path in committed() if path.endswith(".py") and path.startswith((HOUSE, "tests/")) and "/migrations/versions/" not in path]
    return tuple(source_of(path, (ROOT / path).read_text()) for path in paths)


@cache
def table_owners() -> dict[str, str]:
    return {table.name: table.info["owner"] for table in all_tables().tables.values()}


@cache
def own_classes() -> frozenset[str]:
    return frozenset(node.name for source in sources() if source.home for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef))


def functions(source: Source) -> Iterator[Function]:
    yield from (node for node in ast.walk(source.tree) if isinstance(node, FUNCTIONS))


def docstrings(source: Source) -> set[int]:
    """Return the identities of docstrings, and of the sentences that explain a constant below it."""
    statements = [node for node in ast.walk(source.tree) if isinstance(node, ast.Expr)]
    return {id(node.value) for node in statements if isinstance(node.value, ast.Constant)}


def texts(source: Source) -> Iterator[tuple[int, str]]:
    """Yield the line and value of each string that is no docstring; a formatted string counts as one with its gaps marked."""
    spoken = docstrings(source)
    inside = {id(part) for node in ast.walk(source.tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.JoinedStr) and id(node) not in inside:
            yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken | inside:
            yield node.lineno, node.value


def names(source: Source) -> Iterator[tuple[int, str]]:
    """Yield every name that the code gives or uses."""
    for node in ast.walk(source.tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.ClassDef(name=name):
                yield line, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield line, name
            case ast.alias(name=name, asname=other):
                yield line, name
                yield line, other or ""
            case ast.keyword(arg=str(name)) | ast.ImportFrom(module=str(name)):
                yield line, name


def logical_lines(text: str) -> int:
    return sum(token.type == tokenize.NEWLINE for token in tokenize.generate_tokens(io.StringIO(text).readline))


def files_are_short(source: Source) -> Iterator[str]:
    count = logical_lines(source.text)
    if count > LOGICAL_LINES and not source.home.startswith("migrations/"):
        yield f"1: {count} logical lines, at most {LOGICAL_LINES}"


def functions_are_short(source: Source) -> Iterator[str]:
    for node in functions(source):
        count = (node.end_lineno or node.lineno) - node.lineno + 1
        if count > PHYSICAL_LINES:
            yield f"{node.lineno}: {node.name} has {count} lines, at most {PHYSICAL_LINES}"


def depth(node: ast.AST) -> int:
    """Return how deep blocks nest below a node; `elif` is no deeper than its `if`, a nested function starts anew."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def nesting_is_flat(source: Source) -> Iterator[str]:
    for node in functions(source):
        if depth(node) > NESTING:
            yield f"{node.lineno}: {node.name} nests {depth(node)} deep, at most {NESTING}"


def imports_stand_at_the_top(source: Source) -> Iterator[str]:
    for node in functions(source):
        yield from (f"{inner.lineno}: import inside {node.name}" for inner in ast.walk(node) if isinstance(inner, ast.Import | ast.ImportFrom))


def files_have_names_of_the_field(source: Source) -> Iterator[str]:
    if Path(source.path).stem.removeprefix("test_") in SHAPELESS_NAMES:
        yield "1: name the file after what it does"


def packages_export_nothing(source: Source) -> Iterator[str]:
    if Path(source.path).name == "__init__.py":
        yield from (f"{node.lineno}: a package file holds its docstring only" for node in source.tree.body[1:])
        if source.tree.body and not isinstance(source.tree.body[0], ast.Expr):
            yield "1: a package file holds its docstring only"


def clocks_are_read_at_home(source: Source) -> Iterator[str]:
    if not source.home or source.home == "base/time.py":
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=method) if method in CLOCKS.get(owner.strip("_"), ()):
                yield f"{node.lineno}: {owner}.{method} reads a clock"
            case ast.ImportFrom(module="time", names=imported):
                yield from (f"{node.lineno}: time.{alias.name} reads a clock" for alias in imported if alias.name in CLOCKS["time"])
    yield from (f"{line}: SQL reads a clock" for line, text in texts(source) if SQL_CLOCK.search(text))


def ids_are_given(source: Source) -> Iterator[str]:
    if source.home and source.home != "base/ids.py":
        yield from (f"{line}: {name} makes an id from nothing" for line, name in names(source) if name in {"uuid1", "uuid4", "uuid6"})


def model_names_stay_at_home(source: Source) -> Iterator[str]:
    if source.home and not source.home.startswith(MODEL_HOMES):
        for line, text in [*texts(source), *names(source)]:
            if found := MODEL_WORD.search(text):
                yield f"{line}: names the operation model {found.group()}"


def tables_are_named_by_their_owner(source: Source) -> Iterator[str]:
    if not source.home or source.home.startswith("migrations/"):
        return
    for line, text in texts(source):
        if SQL.search(text):
            strangers = {name for name in SQL_TABLE.findall(text) if table_owners().get(name, source.package) != source.package}
            yield from (f"{line}: SQL names {name} of {table_owners()[name]}" for name in sorted(strangers))


def flows_and_surfaces_hold_no_sql(source: Source) -> Iterator[str]:
    if source.home.startswith(("flows/", "surfaces/")):
        yield from (f"{line}: SQL belongs into the store of its package" for line, text in texts(source) if SQL.search(text))


def repeated(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a loop that run once per row; chunks, rounds, pages and fixed lists of tables are no loops over rows."""
    match node:
        case ast.For(iter=over, body=body) | ast.AsyncFor(iter=over, body=body) if not BOUNDED.match(ast.unparse(over)):
            return [*body]
        case ast.ListComp(elt=elt, generators=loops) | ast.SetComp(elt=elt, generators=loops) | ast.GeneratorExp(elt=elt, generators=loops):
            return [elt, *loops[0].ifs, *loops[1:]]
        case ast.DictComp(key=key, value=value, generators=loops):
            return [key, value, *loops[0].ifs, *loops[1:]]
    return []


def queries_stand_outside_loops(source: Source) -> Iterator[str]:
    """A statement serves n rows; a loop of statements is a batch of one that forgot the others."""
    if source.home and not source.home.startswith(OUTER_PACKAGES):
        again = [inner for node in ast.walk(source.tree) for part in repeated(node) for inner in ast.walk(part)]
        for line in sorted({node.lineno for node in again if isinstance(node, ast.Await) and QUERY.match(ast.unparse(node.value))}):
            yield f"{line}: a query in a loop"


def money_is_never_a_float(source: Source) -> Iterator[str]:
    if not source.home:
        return
    for node in ast.walk(source.tree):
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as annotation) | ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                if MONEY_WORD.search(name.lower()) and re.search(r"\bfloat\b", ast.unparse(annotation)):
                    yield f"{node.lineno}: {name} is a float"
            case ast.Call(func=ast.Name(id="float")) if source.home.startswith(MONEY_PATHS):
                yield f"{node.lineno}: float() where money is counted"
            case ast.Constant(value=float()) if source.home.startswith(MONEY_PATHS):
                yield f"{node.lineno}: {node.value} is a float where money is counted"


def functions_take_no_flags(source: Source) -> Iterator[str]:
    if not source.home:
        return
    for node in functions(source):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        flags = {one.arg for one in arguments if one.annotation is not None and re.fullmatch(r"bool( \| None)?", ast.unparse(one.annotation))}
        yield from (f"{node.lineno}: {node.name} takes the flag {flag}; give it two names or an enum" for flag in sorted(flags))


def classes_do_not_inherit_ours(source: Source) -> Iterator[str]:
    if not source.home:
        return
    foreign = {
        alias.asname or alias.name
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("entrepot")
        for alias in node.names
    }
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)} & (own_classes() - foreign)
            yield from (f"{node.lineno}: {node.name} inherits our {base}" for base in sorted(bases) if not base.endswith("Error"))


def docstrings_are_sentences(source: Source) -> Iterator[str]:
    for node in [source.tree, *(node for node in ast.walk(source.tree) if isinstance(node, (*FUNCTIONS, ast.ClassDef)))]:
        text = ast.get_docstring(node)
        if source.home and text and not text.endswith((".", "?")):
            yield f"{getattr(node, 'lineno', 1)}: the docstring ends without a full stop"


def modules_keep_no_state(source: Source) -> Iterator[str]:
    """A container that starts empty is filled later, and a `global` is set later."""
    yield from (f"{node.lineno}: global state" for node in ast.walk(source.tree) if isinstance(node, ast.Global) and source.home)
    for node in source.tree.body if source.home else []:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and ast.unparse(node.value) in {"[]", "{}", "dict()", "list()", "set()"}:
            yield f"{node.lineno}: an empty container at module level is filled later"


def files_have_no_excuses(source: Source) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT and EXCUSE.search(token.string):
            yield f"{token.start[0]}: {token.string} excuses more than one named rule on one line"


CHECKS: tuple[Check, ...] = (
    files_are_short,
    functions_are_short,
    nesting_is_flat,
    imports_stand_at_the_top,
    files_have_names_of_the_field,
    packages_export_nothing,
    clocks_are_read_at_home,
    ids_are_given,
    model_names_stay_at_home,
    tables_are_named_by_their_owner,
    flows_and_surfaces_hold_no_sql,
    queries_stand_outside_loops,
    money_is_never_a_float,
    functions_take_no_flags,
    classes_do_not_inherit_ours,
    docstrings_are_sentences,
    modules_keep_no_state,
    files_have_no_excuses,
)

DEEP = "def f():\n for a in b:\n  if a:\n   with a:\n    while a:\n     pass"
FLAT = "def f():\n for a in b:\n  if a:\n   pass\n  elif b:\n   pass\n  elif c:\n   with d:\n    pass"
BAD = (
    (files_are_short, "flows/a.py", "a = 1\n" * 401),
    (functions_are_short, "flows/a.py", "def f():\n" + " a = 1\n" * 70),
    (nesting_is_flat, "flows/a.py", DEEP),
    (nesting_is_flat, "flows/a.py", "class A:\n" + "\n".join(f" {line}" for line in DEEP.splitlines())),
    (imports_stand_at_the_top, "flows/a.py", "def f():\n import os"),
    (files_have_names_of_the_field, "orders/utils.py", ""),
    (files_have_names_of_the_field, "orders/service.py", ""),
    (packages_export_nothing, "orders/__init__.py", '"""Orders."""\nfrom entrepot.orders.model import Order'),
    (packages_export_nothing, "orders/__init__.py", "from entrepot.orders.model import Order"),
    (clocks_are_read_at_home, "orders/model.py", "at = datetime.now(UTC)"),
    (clocks_are_read_at_home, "orders/model.py", "at = datetime.datetime.utcnow()"),
    (clocks_are_read_at_home, "orders/model.py", "day = date.today()"),
    (clocks_are_read_at_home, "base/due.py", "from time import monotonic"),
    (clocks_are_read_at_home, "base/due.py", "_time.time()"),
    (clocks_are_read_at_home, "orders/store.py", "sql = 'update sale set paid_at = now()'"),
    (ids_are_given, "orders/model.py", "order_id = uuid.uuid4()"),
    (model_names_stay_at_home, "orders/model.py", "if code == 'fba': pass"),
    (model_names_stay_at_home, "orders/model.py", "is_fbm = True"),
    (model_names_stay_at_home, "orders/model.py", "from entrepot.operations.global_purchase import GLOBAL_PURCHASE"),
    (model_names_stay_at_home, "surfaces/web/page.py", "title = f'Sold by FBA {merchant}'"),
    (model_names_stay_at_home, "flows/a.py", "def quote_logistics_service(): pass"),
    (tables_are_named_by_their_owner, "orders/store.py", "sql = 'select 1 from due_work'"),
    (tables_are_named_by_their_owner, "orders/store.py", "sql = f'select {columns} from t join due_work using (a)'"),
    (tables_are_named_by_their_owner, "orders/store.py", "sql = 'update due_work set a = 1'"),
    (tables_are_named_by_their_owner, "orders/store.py", "sql = 'delete from due_work'"),
    (tables_are_named_by_their_owner, "books/stock/post.py", "sql = 'insert into due_work (a) values (1)'"),
    (flows_and_surfaces_hold_no_sql, "flows/a.py", "sql = 'select a from b'"),
    (flows_and_surfaces_hold_no_sql, "surfaces/web/a.py", "sql = 'insert into b values (1)'"),
    (queries_stand_outside_loops, "orders/store.py", "async def f():\n for a in b:\n  await fetch(conn, sql)"),
    (queries_stand_outside_loops, "orders/store.py", "async def f():\n for a in (x for x in b):\n  await conn.execute(sql)"),
    (queries_stand_outside_loops, "orders/store.py", "async def f():\n return [await fetch_one(conn, a) for a in b]"),
    (money_is_never_a_float, "world/a.py", "price_minor: float = 1"),
    (money_is_never_a_float, "world/a.py", "def f(rate: float | None): pass"),
    (money_is_never_a_float, "settlement/fees.py", "a = float(b)"),
    (money_is_never_a_float, "books/money/post.py", "a = 0.5 * b"),
    (functions_take_no_flags, "orders/model.py", "def f(a: int, *, is_late: bool = False): pass"),
    (classes_do_not_inherit_ours, "orders/model.py", "class Late(Money): pass"),
    (docstrings_are_sentences, "orders/model.py", '"""No full stop"""'),
    (docstrings_are_sentences, "orders/model.py", 'def f():\n """No full stop"""'),
    (modules_keep_no_state, "orders/model.py", "SEEN = {}"),
    (modules_keep_no_state, "orders/model.py", "SEEN: list[str] = []"),
    (modules_keep_no_state, "orders/model.py", "def f():\n global seen"),
    (files_have_no_excuses, "orders/model.py", "# ruff: " + "noqa"),
    (files_have_no_excuses, "orders/model.py", "a = 1  # " + "noqa"),
    (files_have_no_excuses, "orders/model.py", "a = 1  # type: " + "ignore"),
)
GOOD = (
    (nesting_is_flat, "flows/a.py", FLAT),
    (files_have_names_of_the_field, "operations/logistics_service.py", ""),
    (clocks_are_read_at_home, "base/time.py", "at = datetime.now(UTC)"),
    (clocks_are_read_at_home, "orders/model.py", "at = clock.now()"),
    (model_names_stay_at_home, "operations/fba.py", "code = 'fba'"),
    (model_names_stay_at_home, "orders/model.py", '"""Never asks whether it is FBA."""\nservice_contact = "logistics"'),
    (tables_are_named_by_their_owner, "base/due.py", "sql = 'select 1 from due_work'"),
    (tables_are_named_by_their_owner, "orders/store.py", "text = 'take it from due_work'"),
    (flows_and_surfaces_hold_no_sql, "flows/a.py", "text = 'Select a place and update it.'"),
    (queries_stand_outside_loops, "orders/store.py", "async def f():\n rows = [row for row in await fetch(conn, sql)]"),
    (queries_stand_outside_loops, "orders/store.py", "async def f():\n for row in await fetch(conn, sql):\n  pass"),
    (queries_stand_outside_loops, "orders/store.py", "async def f():\n for part in chunks(rows, 128):\n  await fetch(conn, sql)"),
    (queries_stand_outside_loops, "orders/store.py", "async def f():\n for table in (a, b):\n  await fetch(conn, sql)"),
    (queries_stand_outside_loops, "orders/store.py", "async def f():\n while True:\n  await fetch(conn, sql)"),
    (money_is_never_a_float, "world/a.py", "speed: float = 1.5"),
    (classes_do_not_inherit_ours, "orders/model.py", "class LateError(ConflictError): pass"),
    (classes_do_not_inherit_ours, "orders/model.py", "from elsewhere import Money\nclass Late(Money): pass"),
    (files_have_no_excuses, "orders/model.py", "a = 1  # noqa: S105"),
    (modules_keep_no_state, "orders/model.py", "NAMES = ('a',)"),
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_tidy(check):
    faults = [f"{source.path}:{fault}" for source in sources() for fault in check(source)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("check", "path", "text"), BAD)
def test_each_check_can_fail(check, path, text):
    assert len(list(check(source_of(HOUSE + path, text)))) >= 1


@pytest.mark.parametrize(("check", "path", "text"), GOOD)
def test_each_check_lets_good_code_pass(check, path, text):
    assert list(check(source_of(HOUSE + path, text))) == []


def test_every_check_has_a_bad_snippet():
    assert {check.__name__ for check, _, _ in BAD} == {check.__name__ for check in CHECKS}


def test_imports_go_down_only():
    """The contracts of `.importlinter`, which a new package fails until it is placed."""
    linter = Path(sys.executable).with_name("lint-imports")
    told = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout


def committed_faults(path: str, text: str) -> list[str]:
    """Return what must not be committed in any text file, and model names in pages."""
    faults = [f"{path}: {name}: {found.group()}" for name, pattern in COMMITTED_FAULTS.items() for found in pattern.finditer(text)]
    if path.startswith(HOUSE) and Path(path).suffix in TEMPLATES and not DATA_FOLDERS.search(path):
        faults += [f"{path}: names the operation model {found.group()}" for found in MODEL_WORD.finditer(text)]
    return faults


def test_committed_text():
    faults: list[str] = []
    for path in committed():
        content = (ROOT / path).read_bytes()
        if b"\0" not in content[:1024]:
            faults += committed_faults(path, content.decode())
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("README.md", "TO_DO later"),
        ("README.md", "FIX_ME"),
        ("docs/a.md", "/wo_rk/main"),
        ("docs/a.md", "see /Use_rs/somebody/file"),
        ("package-lock.json", '"resolved": "https://registry.np_mjs.org/htmx"'),
        ("requirements.lock", "--index-url https://devp_i.example/simple"),
        ("src/entrepot/surfaces/web/templates/order.html", "<b>FBA</b>"),
    ],
)
def test_committed_text_can_fail(path, text):
    assert len(committed_faults(path, text.replace("_", ""))) == 1


def test_committed_text_lets_good_text_pass():
    assert committed_faults("README.md", "Run `make run`; data lies in /var/lib/entrepot. The network can be worked on.") == []
    assert committed_faults("src/entrepot/settlement/rates/fees_us.txt", "fba") == []
