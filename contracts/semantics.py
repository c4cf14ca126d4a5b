"""`semantics_hash`: the rules a result was made with. Partials and gold of different hashes are never combined."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from contracts.pins import digest_of

_ROOT = Path(__file__).resolve().parents[1]
_RULE_FOLDERS = ("contracts", "spark_jobs/transforms")
# Settings that name a file: what is in it is the rule, not where it lies.
_PINNED = frozenset({"geo_database", "sale_calendar"})
# Packages whose tables decide results.
_RULE_PACKAGES = (
    "crawler-user-agents",
    "holidays",
    "maxminddb",
    "publicsuffixlist",
    "tzdata",
    "ua-parser",
    "ua-parser-builtins",
    "ua-parser-rs",
)
# What these say cannot change a result: they describe, refuse or configure.
_NOT_RULES = frozenset(
    {
        "contracts/errors.py",
        "contracts/settings.py",
        "contracts/topics.py",
        "contracts/tables.py",
        # Joined when reading: no partial and no gold table depends on them.
        "contracts/dimensions.py",
        # Event schemas: what they find is shown beside events, and takes part in no measure.
        "contracts/dictionary.py",
        "contracts/evolution.py",
        "contracts/identity.py",
        "contracts/letters.py",
        "contracts/reports.py",
        "contracts/schemas.py",
        "contracts/validation.py",
        # What the entrance leaves of a message: a stored record is read without it.
        "contracts/privacy/__init__.py",
        "contracts/privacy/broken.py",
        "contracts/privacy/clean.py",
        "contracts/privacy/contacts.py",
        "contracts/privacy/json_text.py",
        "contracts/privacy/keys.py",
        "contracts/privacy/places.py",
    }
)


def semantics_hash(rules: Mapping[str, str]) -> str:
    """16 hex digits over the rule code's syntax trees (comments and docstrings aside) and the rule settings."""
    settings = "\n".join(f"{name}={_said(name, rules[name])}" for name in sorted(rules))
    return hashlib.sha256(f"{_code_hash()}\n{settings}".encode()).hexdigest()[:16]


def _said(name: str, value: str) -> str:
    return digest_of(value) if name in _PINNED else value


@cache
def _code_hash() -> str:
    digest = hashlib.sha256()
    for folder in _RULE_FOLDERS:
        for path in sorted((_ROOT / folder).rglob("*.py")):
            name = path.relative_to(_ROOT).as_posix()
            if name not in _NOT_RULES:
                digest.update(f"{name}\n{normalised(path.read_text())}\n".encode())
        for path in sorted((_ROOT / folder).rglob("*.csv")):
            digest.update(f"{path.relative_to(_ROOT).as_posix()}\n{path.read_text()}\n".encode())
    for package in _RULE_PACKAGES:
        digest.update(f"{package}=={version(package)}\n".encode())
    return digest.hexdigest()


def normalised(source: str) -> str:
    """The code as its syntax tree says it, without docstrings: reformatting or rewording comments changes nothing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return ast.unparse(tree)
