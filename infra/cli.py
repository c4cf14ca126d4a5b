"""`tidemark`: the command line. Every command has --help; what it answers comes as JSON with --json."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from contracts.errors import TidemarkError
from contracts.settings import Settings
from infra import show
from infra.batch_commands import batch
from infra.contracts_commands import contracts
from infra.deadletter_commands import deadletters
from infra.dimension_commands import catalog, costs, rates
from infra.geo_commands import geo
from infra.keys_commands import keys
from infra.quality_commands import quality, restatements
from infra.show import Json

_ABOUT = "Customer-behaviour analytics with one exact answer."
# A fault shows a plain traceback: the decorated one hides what the JVM said.
app = typer.Typer(no_args_is_help=True, add_completion=False, help=_ABOUT, pretty_exceptions_enable=False)
app.add_typer(batch, name="batch")
app.add_typer(contracts, name="contracts")
app.add_typer(catalog, name="catalog")
app.add_typer(costs, name="costs")
app.add_typer(rates, name="rates")
app.add_typer(deadletters, name="deadletters")
app.add_typer(geo, name="geo")
app.command()(quality)
app.command()(restatements)
app.add_typer(keys, name="keys")
generations = typer.Typer(no_args_is_help=True, help="Generations of the speed layer.")
app.add_typer(generations, name="generations")


def settings() -> Settings:
    """The settings of the environment."""
    return Settings.from_env(os.environ)


@app.command()
def demo(
    data: Annotated[str, typer.Option(help="sim, sim:visitors=500,days=2, or rees46:PATH.")] = "sim",
    exit_after: Annotated[bool, typer.Option("--exit", help="End after the last step.")] = False,
    rate: Annotated[float, typer.Option(help="Events per second; 0 is as fast as possible.")] = 3000,
) -> None:
    """Run everything on this machine: replay a shop, seal, rebuild, merge, and hold the answer against the oracle."""
    from infra.demo import run_demo

    run_demo(settings(), data, exit_after=exit_after, rate=rate or None)


@app.command()
def up() -> None:
    """Start Kafka, collector, live and bronze queries and the API, and keep them alive until Ctrl-C."""
    from infra.up import run_up

    run_up(settings())


@app.command()
def replay(
    data: Annotated[str, typer.Argument(help="sim, sim:visitors=500,days=2, or rees46:PATH.")],
    rate: Annotated[float, typer.Option(help="Events per second; 0 is as fast as possible.")] = 0,
    as_json: Json = False,
) -> None:
    """Send a file or the simulator into Kafka, through the same entrance as the collector."""
    from infra.demo import replay_all

    counts = replay_all(settings(), data, rate or None)
    show.as_json(counts) if as_json else show.out.print(show.pairs("Sent", counts))


@app.command()
def nightly(
    run_id: Annotated[str, typer.Option(help="Name of the run; a failed run may be given again.")] = "",
    as_json: Json = False,
) -> None:
    """Seal, build silver and gold, verify, publish."""
    from infra.nightly import new_run_id, run_nightly

    now = datetime.now(UTC)
    report = run_nightly(settings(), run_id or new_run_id(now), lambda line: show.err.print(line, highlight=False))
    result = {"run_id": report.published.run_id, "cut": report.published.offsets, "seconds": report.seconds}
    show.as_json(result) if as_json else show.out.print(show.pairs("Published", {**result, "seconds": report.seconds}))


@app.command()
def rollback(as_json: Json = False) -> None:
    """Point answers back at the run published before the present one."""
    from speed_layer.store import open_store

    with open_store(settings().store, create=False).write() as writer:
        run = writer.rollback(datetime.now(UTC))
    result = {"run_id": run.run_id, "cut": run.offsets}
    show.as_json(result) if as_json else show.out.print(show.pairs("Rolled back to", result))


@app.command()
def recover(as_json: Json = False) -> None:
    """Rebuild a lost store's pointer from the newest verified manifest; live then goes on from its cut."""
    from infra.recover import run_recover

    result = run_recover(settings(), datetime.now(UTC))
    show.as_json(result) if as_json else show.out.print(show.pairs("Recovered", result))


@app.command()
def upgrade(as_json: Json = False) -> None:
    """After a change of the rules: rebuild at the published cut with this code and start a new generation there."""
    from infra.recover import run_upgrade

    result = run_upgrade(settings(), lambda line: show.err.print(line, highlight=False))
    show.as_json(result) if as_json else show.out.print(show.pairs("Upgraded", result))


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT over the merged views.")] = "",
    views: Annotated[bool, typer.Option("--views", help="List the views and their columns.")] = False,
    as_json: Json = False,
) -> None:
    """Ask the merged views. Works whether or not the servers run."""
    import serving

    with serving.connect(settings()) as tm:
        if views or not sql:
            listed = {
                v.name: {"description": v.description, "columns": _columns(tm, v.name)} for v in tm.views.values()
            }
            rows = [(n, ", ".join(v["columns"]), v["description"]) for n, v in listed.items()]
            table = show.columns("Views", ["view", "columns", "says"], rows)
            show.as_json(listed) if as_json else show.out.print(table)
            return
        answer, as_of = tm.answer(sql)
    if as_json:
        show.as_json({"as_of": as_of, "columns": answer.column_names, "rows": answer.to_pylist()})
        return
    show.out.print(show.rows_table(answer))
    show.out.print(f"[dim]batch through {as_of['batch_through']}, live through {as_of['live_through']}[/dim]")


def _columns(tm: Any, view: str) -> list[str]:
    names: list[str] = tm.sql(f"SELECT * FROM {view} LIMIT 0").column_names  # noqa: S608 - a view's own name
    return names


@app.command()
def verify(as_json: Json = False) -> None:
    """Hold the merged answer, as it is now, against one pass of the independent oracle. Empty means exact."""
    import serving
    from serving.verify import verify_merged

    chosen = settings()
    with serving.connect(chosen) as tm:
        found = verify_merged(chosen, tm, lambda line: show.err.print(line, style="dim"))
        as_of = tm.as_of.to_json()
    if as_json:
        show.as_json({"exact": not found, "as_of": as_of, "differences": found})
    elif found:
        show.out.print_json(data=found, default=show.plain)
    else:
        show.out.print("[green]exact[/green]: the merged answer equals the oracle in every table")
    raise typer.Exit(1 if found else 0)


@app.command()
def status(as_json: Json = False) -> None:
    """What is published, what runs, and how far each part has come. Works whether or not the servers run."""
    from infra.local import status as processes
    from serving.status import status as collect_status

    chosen = settings()
    state = processes.read(chosen.home / "run")
    running = [vars_of(p) for p in state.processes] if state and state.is_alive else []
    result = collect_status(chosen, datetime.now(UTC), processes=running)
    if as_json:
        show.as_json(result)
        return
    show.out.print_json(data=result, default=show.plain)


def vars_of(value: Any) -> dict[str, Any]:
    """A dataclass's fields."""
    from dataclasses import asdict

    return asdict(value)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check Java, ports, disk, clock, versions, and checkpoint against store; each fault comes with its remedy."""
    from dataclasses import asdict

    from infra.doctor import run_checks
    from infra.doctor_state import state_checks

    chosen = settings()
    ports = {
        "collector": chosen.collector_port,
        "api": chosen.api_port,
        "live": chosen.metrics_port_live,
        "bronze": chosen.metrics_port_bronze,
    }
    found = run_checks(chosen.home, state_checks(chosen), ports)
    if as_json:
        show.as_json([asdict(check) for check in found])
    else:
        rows = [("ok" if c.ok else "FAULT", c.name, c.detail, "" if c.ok else c.remedy) for c in found]
        show.out.print(show.columns("Doctor", ["", "check", "finding", "remedy"], rows))
    raise typer.Exit(0 if all(c.ok for c in found) else 1)


@generations.command("list")
def generations_list(as_json: Json = False) -> None:
    """Every generation: its state, rules, and how far it has come."""
    from dataclasses import asdict

    from speed_layer.store import open_store

    with open_store(settings().store, create=False).read() as reader:
        found = [{**asdict(g), "last": _last(reader, g.number)} for g in reader.generations()]
    if as_json:
        show.as_json(found)
        return
    rows = [(g["number"], g["state"], g["semantics_hash"], g["reason"], g["last"]) for g in found]
    show.out.print(show.columns("Generations", ["", "state", "rules", "reason", "reached"], rows))


def _last(reader: Any, generation: int) -> dict[int, int]:
    progress = reader.last_progress(generation)
    return dict(progress.to_offsets) if progress else {}


@generations.command("new")
def generations_new(
    reason: Annotated[str, typer.Option(help="Why; kept with the generation.")] = "asked for",
    as_json: Json = False,
) -> None:
    """Start a new generation at the published cut, while the live query does not run; its next start takes it up."""
    from dataclasses import asdict

    from contracts.semantics import semantics_hash
    from speed_layer.generations import begin
    from speed_layer.store import open_store
    from speed_layer.topics import Topics

    chosen, now = settings(), datetime.now(UTC)
    store, topics = open_store(chosen.store), Topics(chosen.bootstrap)
    made = begin(store, topics, chosen, semantics_hash(chosen.rules), now, reason)
    result = asdict(made.generation)
    show.as_json(result) if as_json else show.out.print(show.pairs("Generation", result))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="Which benchmark; `list` names them.")] = "list",
    given: Annotated[list[str] | None, typer.Option("--set", help="An option of it, as events=400000.")] = None,
    as_json: Json = False,
) -> None:
    """Run a benchmark of tests/bench and print its figures."""
    from infra.bench import run_bench

    options = dict(pair.split("=", 1) for pair in given or ())
    result = run_bench(name, options)
    show.as_json(result) if as_json else show.out.print_json(data=result, default=show.plain)


def main() -> None:
    """Entry point: a typed error is one message, its remedy, and its exit code."""
    try:
        app()
    except TidemarkError as error:
        show.err.print(f"[red]{type(error).__name__}[/red]: {error}", highlight=False)
        if error.remedy:
            show.err.print(f"  -> {error.remedy}", highlight=False)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
