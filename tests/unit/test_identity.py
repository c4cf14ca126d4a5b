"""Who is who: the graph's laws over random facts, and the cases people meet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contracts.identity import Fact, Kind, Node, Person, fact_of, person_of, persons

IDS = st.sampled_from(["a", "b", "c", "d", "x", "y"])
FACTS = st.lists(
    st.builds(
        lambda number, kind, left, right: Fact((1, 0, number), kind, Node("a", left), Node("u", right)),
        st.integers(0, 500),
        st.sampled_from(list(Kind)),
        IDS,
        IDS,
    ),
    max_size=14,
    unique_by=lambda fact: fact.record,
)


def identify(offset: int, anonymous: str, user: str) -> Fact:
    found = fact_of((1, 0, offset), "identify", anonymous, user, None)
    assert found
    return found


def alias(offset: int, previous: str, user: str) -> Fact:
    found = fact_of((1, 0, offset), "alias", None, user, previous)
    assert found
    return found


@given(FACTS, st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(facts: list[Fact], dice: object) -> None:
    shuffled = list(facts)
    dice.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis's own Random
    assert persons(shuffled) == persons(facts)


@given(FACTS, FACTS)
def test_merge_then_unmerge_is_as_if_it_had_never_been(facts: list[Fact], more: list[Fact]) -> None:
    taken = {fact.record for fact in facts}
    new = [fact for fact in more if fact.record not in taken]
    assert persons([*facts, *new], [fact.record for fact in new]) == persons(facts)


@given(FACTS)
def test_a_copy_of_a_fact_adds_nothing(facts: list[Fact]) -> None:
    assert persons([*facts, *facts]) == persons(facts)


@given(FACTS)
def test_only_an_alias_makes_one_person_of_two_users(facts: list[Fact]) -> None:
    found = persons([fact for fact in facts if fact.kind is Kind.IDENTIFY])
    assert all(found[node].person == node.id for node in found if node.space == "u")


@given(FACTS)
def test_a_device_is_its_only_persons_or_its_own(facts: list[Fact]) -> None:
    found = persons(facts)
    for node, person in found.items():
        if node.space == "a":
            theirs = {found[fact.right].person for fact in facts if fact.left == node}
            alone = Person(min(theirs), is_shared=False)
            assert person == (alone if len(theirs) == 1 else Person(node.id, is_shared=True))


def test_a_device_follows_its_user_and_the_users_alias() -> None:
    facts = [identify(1, "phone", "ann@old"), identify(2, "laptop", "ann"), alias(3, "ann@old", "ann")]
    found = persons(facts)
    assert {person.person for person in found.values()} == {"ann"}
    before = persons(facts, [(1, 0, 3)])
    assert before[Node("a", "phone")] == Person("ann@old", is_shared=False)
    assert before[Node("a", "laptop")] == Person("ann", is_shared=False)


def test_a_shared_device_fuses_nobody() -> None:
    found = persons([identify(1, "kiosk", "ann"), identify(2, "kiosk", "bob"), identify(3, "phone", "bob")])
    assert found[Node("a", "kiosk")] == Person("kiosk", is_shared=True)
    assert found[Node("u", "ann")].person == "ann"
    assert found[Node("a", "phone")] == Person("bob", is_shared=False)
    # On it, an event that names its user is that user's all the same.
    assert person_of(found, "kiosk", "ann").person == "ann"
    assert person_of(found, "kiosk", None).person == "kiosk"


def test_an_alias_of_a_device_is_an_identify_by_another_name() -> None:
    found = persons([alias(1, "phone", "ann")])
    assert found[Node("a", "phone")] == Person("ann", is_shared=False)
    assert person_of(found, "other", "phone").person == "ann"


def test_a_circle_of_aliases_is_one_person() -> None:
    found = persons([alias(1, "a", "b"), alias(2, "b", "c"), alias(3, "c", "a"), identify(4, "phone", "a")])
    assert {found[Node("u", name)].person for name in "abc"} == {"a"}
    assert found[Node("a", "phone")].person == "a"


def test_what_says_nothing_is_no_fact() -> None:
    assert fact_of((1, 0, 0), "identify", None, "u", None) is None
    assert fact_of((1, 0, 0), "identify", "a", None, None) is None
    assert fact_of((1, 0, 0), "alias", None, "u", None) is None
    assert fact_of((1, 0, 0), "view", "a", "u", None) is None
    assert person_of({}, "a", None) == Person("a", is_shared=False)
    assert person_of({}, "a", "u") == Person("u", is_shared=False)
