"""What becomes of every record, in SQL: `heads` (who, when, which shape), its figures, then `judged`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from contracts.kinds import CALL_TYPES, CUSTOM, KIND_BY_EVENT_NAME
from contracts.reasons import LONGEST_ID, PLACEHOLDER_IDS
from serving.oracle.reading import AMOUNTS

_LARGEST_MINOR: Final = 9 * 10**12
_LARGEST_QUANTITY: Final = 10**9
_LONGEST_NUMBER: Final = 38
_KEY_BYTES: Final = 16
ORDERS: Final = "'purchase', 'refund'"
# ISO 4217: currencies whose minor unit is not a hundredth.
_DIGITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_KEY: Final = "unhex(left(sha256(string_of(messageId) || chr(0) || string_of(fingerprint)), 32))"
_DECIMAL: Final = r"-?[0-9]+(\.[0-9]+)?"


def statements(rules: Mapping[str, str]) -> dict[str, str]:
    """The SQL of each table by name, in the order they are made; `said` must be there."""
    return {
        "kinds": f"SELECT * FROM (VALUES {', '.join(map(str, KIND_BY_EVENT_NAME.items()))}) AS k(event_name, kind)",
        "heads": _heads(rules["currency_default"]),
        "amounts": _amounts(rejects_excess=rules["money_excess_digits"] == "reject"),
        "counts": _counts(),
        "priced": _priced(),
        "judged": _judged(denies=rules["consent_default"] == "deny"),
    }


def _heads(default_currency: str) -> str:
    """One row a record: the first thing wrong with its shape, and what is needed to look further."""
    return f"""
    WITH read AS (
        SELECT *, coalesce(name_of(anonymousId), name_of(userId)) AS visitor,
               instant_of(string_of(receivedAt)) AS received,
               coalesce(originalTimestamp, "timestamp") AS own_time,
               CASE WHEN currency IS NULL THEN '{_quoted(default_currency)}'
                    WHEN regexp_full_match(currency, 's[A-Za-z]{{3}}') THEN upper(string_of(currency)) END AS money
        FROM said
    ), timed AS (
        SELECT *, CASE WHEN own_time IS NULL THEN received ELSE instant_of(string_of(own_time)) END AS event_time
        FROM read
    )
    SELECT n, {_first_fault()} AS reason, visitor, event_time, money AS currency,
           CASE {_digits("money")} ELSE 2 END AS digits,
           CASE WHEN type = 'strack' THEN coalesce(kinds.kind, '{CUSTOM}') ELSE string_of(type) END AS kind
    FROM timed LEFT JOIN kinds ON type = 'strack' AND event_name = folded(string_of(event))
    """


def _first_fault() -> str:
    not_objects = " OR ".join(f"coalesce({name}, 'o') <> 'o'" for name in ("properties", "context", "traits"))
    bad_ids = " OR ".join(f"NOT ({_is_id(name)})" for name in ("anonymousId", "userId"))
    nameless = " OR ".join(f"coalesce(string_of({name}), '') = ''" for name in ("fingerprint", "messageId"))
    return f"""CASE
        WHEN fault IS NOT NULL THEN fault
        WHEN coalesce(message, '') <> 'o' OR {nameless} OR received IS NULL OR type IS NULL
             OR coalesce(dedupe_key <> {_KEY}, true) THEN 'not_an_envelope'
        WHEN coalesce(string_of(type), '') NOT IN ({_listed(CALL_TYPES)}) THEN 'unknown_type'
        WHEN {not_objects} OR coalesce(products, 'a') <> 'a' OR {bad_ids} THEN 'wrong_type'
        WHEN visitor IS NULL THEN 'missing_id'
        WHEN folded(visitor) IN ('', {_listed(PLACEHOLDER_IDS)}) OR length(visitor) > {LONGEST_ID} THEN 'illegal_id'
        WHEN type = 'strack' AND coalesce(stripped(string_of(event)), '') = '' THEN 'missing_event_name'
        WHEN event_time IS NULL THEN 'bad_timestamp'
        WHEN money IS NULL THEN 'bad_currency'
    END"""


def _is_id(name: str) -> str:
    return f"{name} IS NULL OR starts_with({name}, 's') OR regexp_full_match({name}, 'n-?[0-9]+')"


def _amounts(*, rejects_excess: bool) -> str:
    """One row an amount that was sent: its minor units, or what is wrong with it. `line` counts from 1; 0 is no line.

    The decimal point is moved in the text. What is left behind it compares with a half as texts compare:
    '49' < '5' < '51'.
    """
    return f"""
    WITH sent AS (
        SELECT n, field, 0 AS line, said FROM
        (UNPIVOT (SELECT n, {", ".join(AMOUNTS)} FROM said) ON {", ".join(AMOUNTS)} INTO NAME field VALUE said)
        UNION ALL
        SELECT n, 'price', unnest(range(1, len(lines) + 1)), unnest(lines).price FROM said WHERE len(lines) > 0
    ), texts AS (
        SELECT n, field, line, digits,
               CASE WHEN starts_with(said, 's') THEN stripped(substr(said, 2))
                    WHEN length(regexp_replace(said, '[^0-9]', '', 'g')) <= {_LONGEST_NUMBER} THEN substr(said, 2)
                    ELSE '' END AS words
        FROM sent JOIN heads USING (n) WHERE said IS NOT NULL AND reason IS NULL
    ), parts AS (
        SELECT *, regexp_full_match(words, '{_DECIMAL}') AS is_number,
               ltrim(split_part(ltrim(words, '-'), '.', 1), '0') AS whole,
               rtrim(split_part(words, '.', 2), '0') AS fraction
        FROM texts
    ), moved AS (
        SELECT *, substr(fraction, digits + 1) AS rest,
               CASE WHEN is_number AND length(whole) <= 16
                    THEN ('0' || whole || rpad(fraction, digits, '0'))::HUGEINT END AS units
        FROM parts
    ), rounded AS (
        SELECT *, units + (rest > '5' OR (rest = '5' AND units % 2 = 1))::HUGEINT AS nearest FROM moved
    )
    SELECT n, field, line,
           CASE WHEN coalesce(nearest > {_LARGEST_MINOR}, true) THEN 'bad_money'
                WHEN rest <> '' AND {rejects_excess} THEN 'excess_digits' END AS fault,
           CASE WHEN nearest <= {_LARGEST_MINOR}
                THEN CASE WHEN starts_with(words, '-') THEN -nearest ELSE nearest END END::BIGINT AS minor
    FROM rounded
    """


def _counts() -> str:
    """One row a quantity that was sent; `quantity` is NULL where it is none."""
    return f"""
    WITH sent AS (
        SELECT n, 0 AS line, quantity AS said FROM said
        UNION ALL
        SELECT n, unnest(range(1, len(lines) + 1)), unnest(lines).quantity FROM said WHERE len(lines) > 0
    ), wholes AS (
        SELECT n, line, CASE WHEN regexp_full_match(said, 's-?[0-9]+|n-?[0-9]+(\\.0+)?')
                             THEN regexp_extract(said, '-?[0-9]+') END AS words
        FROM sent JOIN heads USING (n) WHERE said IS NOT NULL AND reason IS NULL
    )
    SELECT n, line, CASE WHEN abs(whole) <= {_LARGEST_QUANTITY} THEN whole END AS quantity FROM (
        SELECT n, line, CASE WHEN length(ltrim(words, '-0')) <= 10 THEN words::BIGINT END AS whole FROM wholes
    )
    """


def _priced() -> str:
    """One row an order line: every event's products; without any, an order or a refund is itself the one line (0)."""
    return f"""
    WITH good AS (
        SELECT n, kind, product_id, coalesce(lines, []) AS lines FROM said JOIN heads USING (n) WHERE reason IS NULL
    ), places AS (
        SELECT n, unnest(range(1, len(lines) + 1)) AS line FROM good WHERE len(lines) > 0
        UNION ALL
        SELECT n, 0 FROM good WHERE len(lines) = 0 AND kind IN ({ORDERS}) AND name_of(product_id) IS NOT NULL
    )
    SELECT n, line, minor AS price_minor, coalesce(quantity, 1) AS quantity,
           minor::HUGEINT * coalesce(quantity, 1) AS worth
    FROM places LEFT JOIN (SELECT n, line, minor FROM amounts WHERE field = 'price') USING (n, line)
    LEFT JOIN counts USING (n, line)
    """


def _judged(*, denies: bool) -> str:
    """One row a record: its status, and the reason where it was rejected. A copy is a copy before all else."""
    withheld = "may_analyse = 'bfalse'" + (" OR may_analyse IS NULL" if denies else "")
    place = 'struct_pack(l := log, p := partition, o := "offset")'
    return f"""
    WITH firsts AS (
        SELECT dedupe_key, min({place}) AS first
        FROM said WHERE octet_length(dedupe_key) = {_KEY_BYTES} GROUP BY dedupe_key HAVING count(*) > 1
    ), faults AS (  -- bad_money comes before excess_digits, in rank as in the alphabet
        SELECT n, min(fault) AS reason FROM amounts WHERE fault IS NOT NULL GROUP BY n
    ), miscounted AS (
        SELECT DISTINCT n FROM counts WHERE quantity IS NULL
    ), stated AS (
        SELECT n FROM amounts WHERE line = 0 AND field IN ('total', 'revenue', 'value')
    ), overpriced AS (
        SELECT n FROM priced WHERE abs(worth) > {_LARGEST_MINOR}
        UNION
        SELECT n FROM priced JOIN heads USING (n) ANTI JOIN stated USING (n) WHERE kind IN ({ORDERS})
        GROUP BY n HAVING abs(sum(worth)) > {_LARGEST_MINOR}
    ), reasoned AS (
        SELECT said.*, coalesce(heads.reason, faults.reason, CASE WHEN miscounted.n IS NOT NULL THEN 'bad_quantity'
               WHEN overpriced.n IS NOT NULL THEN 'bad_money' END) AS reason
        FROM said JOIN heads USING (n) LEFT JOIN faults USING (n) LEFT JOIN miscounted USING (n)
        LEFT JOIN overpriced USING (n)
    ), decided AS (
        SELECT n, log, partition, reason, CASE WHEN {place} > first THEN 'duplicate'
               WHEN reason IS NOT NULL THEN 'rejected' WHEN {withheld} THEN 'no_consent' ELSE 'good' END AS status
        FROM reasoned LEFT JOIN firsts USING (dedupe_key)
    )
    SELECT n, log, partition, status, CASE WHEN status = 'rejected' THEN reason ELSE '' END AS reason FROM decided
    """


def _digits(currency: str) -> str:
    return " ".join(f"WHEN {currency} IN ({_listed(codes.split())}) THEN {d}" for d, codes in _DIGITS.items())


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(f"'{_quoted(text)}'" for text in texts)


def _quoted(text: str) -> str:
    return text.replace("'", "''")
