"""Laws of dimensions: what is joined when reading is the same whatever lies in batch and whatever in speed (no Spark).

The expected answer joins in plain Python, over what a run would build of all records.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from contracts.dimensions import PRODUCTS
from contracts.settings import Settings
from serving.dimension_views import NOT_IN_CATALOGUE
from serving.views import statements
from speed_layer.store import DimensionVersion
from tests.laws.reference import Answer, Reference
from tests.laws.test_serving_laws import LAW, Served, served
from tests.worlds import World, at_cut, cuts, dealt, records, unique, worlds

_MIDNIGHT: Final = datetime(2024, 3, 1, tzinfo=UTC)
# Around hours in which visitors act, to the microsecond.
_MOMENTS: Final = tuple(
    _MIDNIGHT + timedelta(hours=hours, microseconds=micros) for hours in (-2, -1, 0, 1, 2, 24) for micros in (-1, 0, 1)
)
_SUMS: Final = ("views", "carts", "purchases", "units", "revenue_minor")

# By product the moments from which it is something, and what (None: not in the catalogue).
Catalogue: TypeAlias = dict[str, dict[datetime, str | None]]


def catalogues() -> st.SearchStrategy[Catalogue]:
    said = st.dictionaries(st.sampled_from(_MOMENTS), st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=4)
    return st.dictionaries(st.sampled_from(["p1", "p2", "7", "p9"]), said)


def table(catalogue: Catalogue) -> pa.Table:
    """The versions as a load leaves them."""
    rows: list[dict[str, Any]] = []
    for product, said in catalogue.items():
        moments = sorted(said)
        for begins, ends in zip(moments, [*moments[1:], None], strict=True):
            if said[begins] is not None:
                row = {"product_id": product, "category": said[begins], "valid_from": begins, "valid_to": ends}
                rows.append(row)
    return pa.Table.from_pylist(rows, PRODUCTS.schema)


class Dimensioned(Served):
    """Serving whose catalogue may change between any two of its steps."""

    def __init__(self, home: Path, rules: Settings) -> None:
        super().__init__(home, rules)
        self.merge.con.execute("CREATE TABLE as_of (answer VARCHAR, hidden_after TIMESTAMP)")
        self.merge.con.execute("INSERT INTO as_of VALUES ('', TIMESTAMP '9999-12-31')")
        for statement in statements():
            self.merge.con.execute(statement)

    def load(self, catalogue: Catalogue) -> None:
        path = self.settings.table_path(PRODUCTS.table)
        write_deltalake(path, table(catalogue), mode="overwrite")
        written = DeltaTable(path)
        self.dimensions = {"products": DimensionVersion(written.version(), str(written.metadata().id), _MIDNIGHT)}
        self._apply(None, [])

    def by_category(self) -> Counter[tuple[Any, ...]]:
        sums = ", ".join(_SUMS)
        found = self.merge.con.cursor().sql(f"SELECT hour, category, currency, {sums} FROM categories").fetchall()
        return Counter(found)


def joined(answer: Answer, catalogue: Catalogue) -> Counter[tuple[Any, ...]]:
    """By hour, category and currency, what the tables by product add up to."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for name in ("product_activity", "product_sales"):
        for row in answer[name].to_pylist():
            said = catalogue.get(row["product_id"], {})
            at = row["hour"].replace(tzinfo=UTC)
            before = [moment for moment in said if moment <= at]
            category = (said[max(before)] if before else None) or NOT_IN_CATALOGUE
            held = sums.setdefault((row["hour"], category, row["currency"]), [0] * len(_SUMS))
            held[:] = [total + row.get(column, 0) for total, column in zip(held, _SUMS, strict=True)]
    return Counter((*key, *held) for key, held in sums.items())


@LAW
@given(world=worlds(), data=st.data(), first=catalogues(), second=catalogues())
def test_the_catalogue_is_joined_alike_at_any_cut_and_across_a_change(
    world: World, data: st.DataObject, first: Catalogue, second: Catalogue
) -> None:
    reference, log = Reference(world.rules), records(world)
    cut = data.draw(cuts(log), "cut")
    kept, copies = (at_cut(part, cut)[1] for part in unique(log))
    gold = reference.batch(at_cut(log, cut)[0])
    one, two = (reference.part(hand) for hand in data.draw(dealt(kept, 2), "batches"))
    two = reference.combine([two, reference.part(kept.slice(0, 0), copies)])
    everything = reference.batch(log)
    with served(world, Dimensioned) as serving:
        serving.load(first)
        serving.publish(gold, cut)
        assert serving.by_category() == joined(gold, first)
        serving.arrive(one)
        serving.load(second)
        serving.arrive(two)
        assert serving.by_category() == joined(everything, second)
        serving.load(first)
        assert serving.by_category() == joined(everything, first)
    with served(world, Dimensioned) as batch_only:
        batch_only.load(second)
        batch_only.publish(everything, {})
        assert batch_only.by_category() == joined(everything, second)
