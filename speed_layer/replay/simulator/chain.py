"""The Markov chain of a visit: where a visitor goes next, by how ready to buy they are."""

from __future__ import annotations

from bisect import bisect
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Final

Table = dict[str, tuple[tuple[str, ...], list[float]]]

EXIT: Final = "exit"
LEVELS: Final = 12
# States that need something in the cart.
NEED_CART: Final = frozenset({"remove", "checkout"})

_SHOPPER: Final = {
    "home": {"search": 0.22, "list": 0.33, "product": 0.17, "cart": 0.02, EXIT: 0.26},
    "search": {"product": 0.48, "list": 0.12, "search": 0.15, EXIT: 0.25},
    "list": {"product": 0.52, "list": 0.18, "search": 0.05, EXIT: 0.25},
    "product": {"add": 0.14, "product": 0.29, "list": 0.19, "search": 0.07, EXIT: 0.31},
    "add": {"cart": 0.46, "product": 0.28, "list": 0.10, "remove": 0.05, EXIT: 0.17},
    "remove": {"product": 0.40, "cart": 0.25, EXIT: 0.35},
    "cart": {"checkout": 0.48, "product": 0.18, "remove": 0.10, EXIT: 0.24},
    "checkout": {"shipping": 0.76, "cart": 0.06, EXIT: 0.18},
    "shipping": {"payment": 0.82, EXIT: 0.18},
    "payment": {"order": 0.85, EXIT: 0.15},
    "order": {"home": 0.12, EXIT: 0.88},
}
_BOT: Final = {
    "home": {"list": 1.0},
    "list": {"product": 0.75, "list": 0.22, EXIT: 0.03},
    "product": {"product": 0.55, "list": 0.43, EXIT: 0.02},
}
_THIEF: Final = {
    "home": {"product": 1.0},
    "product": {"add": 0.85, "product": 0.15},
    "add": {"checkout": 0.6, "product": 0.4},
    "checkout": {"shipping": 1.0},
    "shipping": {"payment": 1.0},
    "payment": {"order": 0.9, EXIT: 0.1},
    "order": {EXIT: 1.0},
}
_BUYING: Final = frozenset({"add", "cart", "checkout", "shipping", "payment", "order"})


def level_of(readiness: float) -> int:
    """The chain's level for a readiness to buy between 0 and 1; outside values are clamped."""
    return max(0, min(LEVELS - 1, int(readiness * LEVELS)))


@lru_cache(maxsize=LEVELS)
def shopper_table(level: int) -> Table:
    """The chain of a person; at the highest level a purchase's steps weigh eight times what they do at the lowest."""
    boost = 0.25 + 1.75 * level / (LEVELS - 1)
    return _table(_SHOPPER, boost)


@lru_cache(maxsize=1)
def bot_table() -> Table:
    """The chain of a crawler: lists and products, breadth first, nothing bought."""
    return _table(_BOT, 1.0)


@lru_cache(maxsize=1)
def thief_table() -> Table:
    """The chain of someone in a stranger's account: straight to the dear products and out."""
    return _table(_THIEF, 1.0)


def next_state(rng: Random, table: Table, state: str) -> str:
    """One step of the chain."""
    states, cumulative = table[state]
    return states[bisect(cumulative, rng.random() * cumulative[-1], hi=len(states) - 1)]


def _table(chain: dict[str, dict[str, float]], boost: float) -> Table:
    return {
        state: (tuple(follow), list(accumulate(w * boost if s in _BUYING else w for s, w in follow.items())))
        for state, follow in chain.items()
    }
