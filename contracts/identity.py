"""Who is who: visitors and user ids as an event-sourced graph. Persons follow from the facts, whatever their order.

Facts come from records: `identify` with both ids says that a device was used by a user, `alias` that two ids are one.
An operator's unmerge takes a fact back by the name of its record; taking it back leaves what was before it.
Sessions stay per visitor for ever: the map is a dimension, joined when reading.

Ids are of two kinds, and a text may be both: `a` for an anonymous id, `u` for a user id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a fact says."""

    IDENTIFY = "identify"
    ALIAS = "alias"


class Node(NamedTuple):
    """An id: `space` is `a` (anonymous) or `u` (user)."""

    space: str
    id: str


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """One merge event, by the name of its record. `left` is a device, or the earlier id of an alias; `right` a user."""

    record: tuple[int, int, int]
    kind: Kind
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Person:
    """Whom an id belongs to. `is_shared`: users of several persons were identified on the device, so it is nobody's."""

    person: str
    is_shared: bool


def fact_of(
    record: tuple[int, int, int],
    kind: str,
    anonymous_id: str | None,
    user_id: str | None,
    previous_id: str | None,
) -> Fact | None:
    """The fact in one good event; None where it says nothing of who is who.

    An alias names the earlier id in `previousId`, else in `anonymousId`; it may be an anonymous id or a user's
    (https://segment.com/docs/connections/spec/alias/), so it counts as both.
    """
    if user_id is None:
        return None
    if kind == Kind.ALIAS:
        earlier = previous_id or anonymous_id
        return Fact(record, Kind.ALIAS, Node("a", earlier), Node("u", user_id)) if earlier else None
    if kind == Kind.IDENTIFY and anonymous_id is not None:
        return Fact(record, Kind.IDENTIFY, Node("a", anonymous_id), Node("u", user_id))
    return None


def persons(facts: Iterable[Fact], undone: Iterable[tuple[int, int, int]] = ()) -> dict[Node, Person]:
    """The person of every id that a fact names, facts `undone` left out; an id no fact names is a person by itself.

    Users joined by aliases are one person, called after the smallest of the ids that facts lead to. A device is the
    person of its only user; with users of several persons it is shared, belongs to none of them and joins none.
    """
    gone = frozenset(undone)
    held = [fact for fact in facts if fact.record not in gone]
    led_to = {fact.right for fact in held}
    aliases = [(Node("u", fact.left.id), fact.right) for fact in held if fact.kind is Kind.ALIAS]
    users = led_to | {earlier for earlier, _ in aliases}
    same = _Classes(users)
    for earlier, later in aliases:
        same.join(earlier, later)
    names = same.names(led_to)
    of_device: dict[Node, set[Node]] = defaultdict(set)
    for fact in held:
        of_device[fact.left].add(fact.right)
    found = {user: Person(names[user], is_shared=False) for user in users}
    for device, its_users in of_device.items():
        theirs = {names[user] for user in its_users}
        found[device] = Person(min(theirs), is_shared=False) if len(theirs) == 1 else Person(device.id, is_shared=True)
    return found


def person_of(known: Mapping[Node, Person], anonymous_id: str | None, user_id: str | None) -> Person:
    """Whom an event belongs to: its user's person, else its device's; unknown ids are persons by themselves."""
    if user_id is not None:
        return known.get(Node("u", user_id)) or Person(user_id, is_shared=False)
    alone = Person(anonymous_id or "", is_shared=False)
    return known.get(Node("a", anonymous_id or ""), alone)


class _Classes:
    """Disjoint sets of nodes."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._parent = {node: node for node in nodes}

    def join(self, one: Node, other: Node) -> None:
        a, b = sorted((self._root(one), self._root(other)))
        self._parent[b] = a

    def names(self, candidates: Iterable[Node]) -> dict[Node, str]:
        """The smallest candidate of each node's set, which has one."""
        smallest: dict[Node, str] = {}
        for node in sorted(candidates):
            smallest.setdefault(self._root(node), node.id)
        return {node: smallest[self._root(node)] for node in self._parent}

    def _root(self, node: Node) -> Node:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node
