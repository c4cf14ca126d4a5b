"""E-mail addresses and telephone numbers in texts: where they stand, and one spelling for each.

Only unambiguous shapes are taken for telephone numbers: international ones with their `+`, and national ones with an
area code in brackets or as 555-123-4567. Bare digits never are: ids, times and prices look the same. Texts may be parts
of URLs, so the characters that matter may be percent-encoded, also more than once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote

_PERCENT = "%(?:25)*"
# The last is JSON inside a text of JSON.
_AT: Final = re.compile(rf"[@\uff20\ufe6b]|{_PERCENT}40|\\u0040")
_DOT = rf"(?:\.|{_PERCENT}2[Ee])"
# A byte of a letter that is not ASCII.
_OCTET = f"{_PERCENT}[89A-Fa-f][0-9A-Fa-f]"
# `logo@2x.png` is a picture for dense screens.
_DENSE_PICTURE = r"\d(?:\.\d)?x\.(?:avif|gif|jpe?g|png|svg|webp)(?![\w.-])"
_DOMAIN: Final = re.compile(
    rf"(?!{_DENSE_PICTURE})(?:(?:[\w-]|{_OCTET})++{_DOT})+(?:xn--[\w-]+|(?:[^\W\d_]|{_OCTET}){{2,}})"
)
# Read backwards from the @, no further than any local part is long, percent-encoded or not.
_LOCAL_BACKWARDS: Final = re.compile(r"[\w.!$'*+^`{|}~%-]+|\"[^\"\n]{1,64}\"")
_LONGEST_LOCAL: Final = 400
# What ends a word inside percent-encoded text: any ASCII character that is written so, but those of an address.
_DELIMITER: Final = re.compile(r"%(?:25)*+(?!2[BbDdEe]|5[Ff]|40)[0-7][0-9A-Fa-f]")
_USER_OF_URL: Final = re.compile(r"(?<=://)[^\s/?#@\"<>\\]{1,255}@(?=[\w\[])")

_OPEN, _CLOSE = rf"(?:\(|{_PERCENT}28)", rf"(?:\)|{_PERCENT}29)"
_GAP = rf"(?:[ .+\-\u00a0\u2010-\u2013]|{_PERCENT}2[0DdEe])"
_BETWEEN = rf"(?:{_GAP}|[/()]|{_PERCENT}2[89Ff])"
# The hexadecimal digits of a percent-encoded character are no part of a word.
_AFTER_ENCODED = "(?<=%[0-9A-Fa-f]{2})"
_PHONE: Final = re.compile(
    rf"(?:(?<!\w)|{_AFTER_ENCODED})(?:\+|{_PERCENT}2[Bb]){_BETWEEN}{{0,2}}[1-9](?:{_BETWEEN}{{0,3}}[0-9]){{7,14}}(?!\w)"
    rf"|(?:(?:1[-. ]?)?{_OPEN}[0-9]{{3}}{_CLOSE}{_GAP}?[0-9]{{3}}{_GAP}[0-9]{{4}}"
    rf"|{_OPEN}0[0-9]{{1,4}}{_CLOSE}(?:{_GAP}{{0,2}}[0-9]){{6,9}}"
    rf"|(?:(?<![\w.-])|{_AFTER_ENCODED})(?:1-)?[0-9]{{3}}-[0-9]{{3}}-[0-9]{{4}})(?![\w-]|\.[0-9])"
)
_PHONE_TRIGGER: Final = re.compile(r"[+(]|%(?:25)*2[8Bb]|-[0-9]{3}-")
_ROUNDS_OF_DECODING: Final = 3

# The same in JSON text. A character there may be written as \uXXXX.
_ENCODED: Final = re.compile(rb"%(?:25)*(?:40|28|2[Bb])")
_PLUS: Final = re.compile(rb"\+(?:[^0-9A-Za-z]|\\u[0-9A-Fa-f]{4}){0,8}[1-9]")
_ESCAPED: Final = re.compile(rb"\\u(?:00[2-7]|[Ff][Ff]20|[Ff][Ee]6[Bb])")
_HYPHENS: Final = re.compile(rb"-[0-9]{3}-[0-9]{4}")
_BRACKET: Final = re.compile(rb"\([0-9]")
_WIDE_ATS: Final = re.compile(b"\xef(?:\xbc\xa0|\xb9\xab)")


def might_hold(raw: bytes) -> bool:
    """Whether JSON text could hold a contact; fast, and true rather too often than too seldom."""
    return (
        b"@" in raw
        or (b"%" in raw and _ENCODED.search(raw) is not None)
        or (b"+" in raw and _PLUS.search(raw) is not None)
        or (b"\\" in raw and _ESCAPED.search(raw) is not None)
        or _HYPHENS.search(raw) is not None
        or _BRACKET.search(raw) is not None
        or (b"\xef" in raw and _WIDE_ATS.search(raw) is not None)
    )


def replaced(text: str, name_of: Callable[[str], str], *, phones: bool = True) -> str:
    """The text with `name_of(contact in its one spelling)` for each contact. Who signs in to a URL is left out of it.

    A URL stays one as long as names are made of letters and digits.
    """
    if _AT.search(text):
        text = _USER_OF_URL.sub("", text)
        parts, done = [], 0
        for start, end, email in _emails(text):
            parts += [text[done:start], name_of(email)]
            done = end
        text = "".join(parts) + text[done:]
    if phones and _PHONE_TRIGGER.search(text):
        text = _PHONE.sub(lambda match: name_of(_phone(match[0])), text)
    return text


def whole(text: str) -> str | None:
    """The one spelling of a contact, where the text is one and nothing else."""
    given = text.strip()
    if _AT.search(given):
        return next((email for start, end, email in _emails(given) if (start, end) == (0, len(given))), None)
    return _phone(given) if _PHONE.fullmatch(given) else None


def _emails(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and the one spelling of each e-mail address."""
    done = 0
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        before = text[max(done, at.start() - _LONGEST_LOCAL) : at.start()][::-1]
        run = _LOCAL_BACKWARDS.match(before) if domain else None
        if domain is None or run is None:
            continue
        local = run[0][::-1]
        local = local[max((delimiter.end() for delimiter in _DELIMITER.finditer(local)), default=0) :]
        if local:
            done = domain.end()
            yield at.start() - len(local), done, _email(f"{local}@{domain[0]}")


def _email(text: str) -> str:
    return unicodedata.normalize("NFKC", _decoded(text)).lower()


def _phone(text: str) -> str:
    written = _decoded(text)
    return ("+" if written.lstrip().startswith("+") else "") + re.sub("[^0-9]", "", written)


def _decoded(text: str) -> str:
    for _ in range(_ROUNDS_OF_DECODING):
        text = unquote(text)
    return text
