"""`tidemark demo`: the whole platform on this machine, from a replayed shop to an answer that equals the oracle."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Group
from rich.live import Live as LiveView
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import serving
from contracts.errors import RunInvalid
from contracts.names import covers
from contracts.settings import Settings
from contracts.topics import EVENTS
from infra import show
from infra.installation import environment
from infra.up import Running, interrupt_on_sigterm, urls
from serving.client import Tidemark
from serving.verify import verify_merged
from speed_layer.attribute_keys import installation_keys
from speed_layer.replay import Source, open_source
from speed_layer.replay.message import SourceItem
from speed_layer.replay.pump import Pump
from speed_layer.store import open_store
from speed_layer.topics import Topics

_FIRST_SHARE = 0.6
_VISIBLE_WITHIN_SECONDS = 180.0
_LOOK_SECONDS = 0.5

_ANSWER = """
    SELECT (SELECT sum(events)::BIGINT FROM traffic) AS events,
           (SELECT count(DISTINCT visitor) FROM sessions) AS visitors,
           (SELECT count(*) FROM sessions) AS sessions,
           (SELECT count(DISTINCT visitor) FROM sessions WHERE purchases > 0) AS buyers,
           (SELECT count(*) FROM orders) AS orders,
           (SELECT coalesce(string_agg(amount, ', '), '0') FROM (
                SELECT currency || ' ' || (sum(net_minor) / 100)::DECIMAL(18, 2) AS amount
                FROM revenue GROUP BY currency ORDER BY currency)) AS net_revenue,
           (SELECT coalesce(sum(rows)::BIGINT, 0) FROM quality WHERE status = 'duplicate') AS duplicates,
           (SELECT coalesce(sum(rows)::BIGINT, 0) FROM quality WHERE status = 'rejected') AS rejected
"""
_DAYS = """
    SELECT strftime(day, '%Y-%m-%d') AS day, events, view_events AS views, cart_events AS carts,
           purchase_events AS purchases, visitors, buyers
    FROM traffic_day ORDER BY day
"""


def run_demo(settings: Settings, data: str, *, exit_after: bool, rate: float | None) -> None:
    """Run the demo; `rate` is events per second. Raises `TidemarkError`; Ctrl-C stops everything it started."""
    interrupt_on_sigterm()
    source = _source(settings, data)
    show.out.rule("[bold]Tidemark[/bold]: one exact answer")
    running = Running(settings, _tell)
    try:
        show.out.print("[1/6] starting Kafka, collector, live query, bronze query and API ...")
        running.start()
        _steps(settings, source, rate)
        show.out.print(urls(settings))
        if not exit_after:
            show.out.print("Running until Ctrl-C. Try: [bold]tidemark query --views[/bold]")
            running.wait()
    except KeyboardInterrupt:
        show.out.print("stopping ...")
    finally:
        running.stop()


def _source(settings: Settings, data: str) -> Source:
    """The source; the simulator gets a world of its own each time, or a second demo would be all copies."""
    if data != "sim":
        return open_source(data)
    store = open_store(settings.store)
    with store.write() as writer:
        runs = int(writer.note("demo_runs") or 0)
        writer.set_note("demo_runs", str(runs + 1))
    store.close()
    return open_source(f"sim:visitors=1500,days=2,seed={7 + runs}")


def _steps(settings: Settings, source: Source, rate: float | None) -> None:
    messages = iter(source.messages())
    total = source.total or 0
    first = int(total * _FIRST_SHARE)
    with serving.connect(settings) as tm:
        show.out.print(f"[2/6] replaying {source.name}: the first {first:,} of about {total:,} messages")
        _replay(settings, tm, itertools.islice(messages, first), first, rate, "speed layer alone")
        show.out.print("[3/6] nightly: seal a cut, rebuild from bronze, verify, publish")
        _nightly(settings)
        tm.refresh()
        show.out.print(_answer(tm, "batch, as published"))
        show.out.print("[4/6] replaying the rest, with its copies and late events")
        _replay(settings, tm, messages, max(0, total - first), rate, "merged")
        show.out.print("[5/6] the merged answer: batch below the cut + speed behind it")
        show.out.print(_answer(tm, "merged"))
        show.out.print(show.rows_table(tm.sql(_DAYS), "traffic_day", most=7))
        show.out.print(
            show.rows_table(
                tm.sql(
                    "FROM funnel SELECT step, step_kind, sum(sessions)::BIGINT AS sessions GROUP BY ALL ORDER BY step"
                ),
                "funnel",
            )
        )
        _truth(settings, source)
        show.out.print("[6/6] the same from one pass of the independent oracle over every record")
        found = verify_merged(settings, tm, lambda line: show.err.print(line, style="dim"))
        if found:
            show.out.print_json(data=found, default=show.plain)
            raise RunInvalid(f"The merged answer differs from the oracle in {len(found)} places", "Report this.")
        show.out.print("[bold green]exact[/bold green]: the merged answer equals the oracle, in every table")


def _replay(
    settings: Settings, tm: Tidemark, items: Iterable[SourceItem], total: int, rate: float | None, what: str
) -> None:
    """Send the items, showing the answer as it grows, until all of it is visible."""
    progress = Progress(TextColumn("sent"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    task = progress.add_task("sent", total=total)
    pump = Pump(settings.bootstrap, installation_keys(settings.home))
    looked = 0.0
    with LiveView(progress, console=show.out, refresh_per_second=4) as view:

        def look(sent: int) -> None:
            nonlocal looked
            progress.update(task, completed=sent)
            if time.monotonic() - looked > _LOOK_SECONDS:
                tm.refresh()
                view.update(Group(progress, _answer(tm, what)))
                looked = time.monotonic()

        pump.run(items, events_per_second=rate, on_progress=look)
        progress.update(task, total=progress.tasks[0].completed)
        await_visible(settings, tm)
        view.update(Group(progress, _answer(tm, what)))


def _answer(tm: Tidemark, title: str) -> Table:
    as_of = tm.as_of
    (row,) = tm.sql(_ANSWER).to_pylist()
    behind = {"batch through": as_of.batch_through or "nothing published", "live through": as_of.live_through}
    return show.pairs(title, {**row, **behind})


def await_visible(settings: Settings, tm: Tidemark) -> None:
    """Wait until every record in Kafka is in the answer. Raises `RunInvalid` where that takes three minutes."""
    topics = Topics(settings.bootstrap)
    ends, until = topics.ends(EVENTS.name), time.monotonic() + _VISIBLE_WITHIN_SECONDS
    while not covers(tm.refresh().offsets, ends):
        if time.monotonic() > until:
            raise RunInvalid(f"Live is at {tm.as_of.offsets}, Kafka at {ends}", f"See {settings.home}/logs/live.log.")
        time.sleep(_LOOK_SECONDS / 2)


def _nightly(settings: Settings) -> None:
    command = [sys.executable, "-m", "infra.cli", "nightly", "--json"]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        tail: list[str] = []
        for line in process.stderr or ():
            tail = [*tail[-20:], line]
            if line.split(" ")[0] in ("seal", "spark", "silver", "gold", "verify", "publish"):
                show.out.print(f"      {line.rstrip()}", highlight=False)
        answer = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RunInvalid("The nightly run failed:\n" + "".join(tail), "Run `tidemark nightly` to see it alone.")
    show.out.print(f"      took {json.loads(answer)['seconds']}")


def _truth(settings: Settings, source: Source) -> None:
    if source.truth is not None:
        path = settings.home / "truth.jsonl"
        source.truth.write(path)
        show.out.print(f"      the simulator's hidden truth is in {path}")


def _tell(event: dict[str, Any]) -> None:
    if event["event"] in ("ready", "exited", "fatal", "not_ready"):
        extra = {k: event[k] for k in ("exit_code", "next_delay_seconds", "detail") if event.get(k) is not None}
        show.out.print(f"      {event['process']}: {event['event']} {extra or ''}", highlight=False)


def replay_all(settings: Settings, data: str, rate: float | None) -> dict[str, int]:
    """Send a whole source into Kafka, with a progress bar on stderr; gives what became of the messages."""
    source = open_source(data)
    pump = Pump(settings.bootstrap, installation_keys(settings.home))
    with Progress(console=show.err) as progress:
        task = progress.add_task(source.name, total=source.total)
        counts = pump.run(
            source.messages(),
            events_per_second=rate,
            on_progress=lambda sent: progress.update(task, completed=sent),
        )
    return dict(counts)
