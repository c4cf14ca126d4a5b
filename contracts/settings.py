"""Every setting, once. Read from the environment (`TIDEMARK_*`) and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from contracts.errors import SettingInvalid
from contracts.pins import pin_of

_CURRENCY = re.compile("[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one installation runs. Field `x_y` is `TIDEMARK_X_Y`.

    Metadata `rule` marks what changes results; `file`, by what is in the file of that path.
    """

    home: Path = Path(".tidemark")
    kafka: str = ""
    warehouse: str = ""
    store_url: str = ""
    spark_master: str = "local[2]"
    host: str = "127.0.0.1"
    collector_port: int = 8070
    api_port: int = 8080
    metrics_port_bronze: int = 8091
    metrics_port_live: int = 8092
    kafka_port: int = 9092
    collector_ack_seconds: float = 8.0
    collector_max_in_flight: int = 50_000
    partitions: int = 2
    write_keys: str = "demo"
    dedupe_horizon_seconds: int = 6 * 3600
    publish_interval_seconds: int = 24 * 3600
    fold_interval_seconds: int = 60
    bronze_interval_seconds: float = 10.0
    live_interval_seconds: float = 0.0
    live_max_offsets: int = 60_000
    bronze_max_offsets: int = 400_000
    reporting_currency: str = "USD"
    session_gap_seconds: int = field(default=1800, metadata={"rule": True})
    currency_default: str = field(default="USD", metadata={"rule": True})
    consent_default: str = field(default="grant", metadata={"rule": True})
    money_excess_digits: str = field(default="reject", metadata={"rule": True})
    funnel_steps: str = field(default="view,cart,purchase", metadata={"rule": True})
    enrichment: str = field(default="on", metadata={"rule": True})
    # Paths of an .mmdb and a .csv; empty: what `tidemark geo install` brought, and the calendar shipped.
    geo_database: str = field(default="", metadata={"rule": "file"})
    sale_calendar: str = field(default="", metadata={"rule": "file"})

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Settings of `env`; an unset or empty variable means the default.

        Raises `SettingInvalid` naming the variable.
        """
        given: dict[str, object] = {}
        for f in fields(cls):
            name = f"TIDEMARK_{f.name.upper()}"
            if text := env.get(name, "").strip():
                given[f.name] = _convert(name, text, type(f.default))
        settings = cls(**given)  # type: ignore[arg-type]
        settings.check()
        return settings

    def check(self) -> None:
        """Raise `SettingInvalid` where a value cannot be used."""
        choices = {
            "consent_default": ("grant", "deny"),
            "money_excess_digits": ("reject", "round"),
            "enrichment": ("on", "off"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise _invalid(f"TIDEMARK_{name.upper()}", getattr(self, name), " or ".join(allowed))
        if _CURRENCY.fullmatch(self.reporting_currency) is None:
            raise _invalid("TIDEMARK_REPORTING_CURRENCY", self.reporting_currency, "an ISO 4217 code such as EUR")
        if self.session_gap_seconds <= 0:
            raise _invalid("TIDEMARK_SESSION_GAP_SECONDS", self.session_gap_seconds, "a positive number of seconds")

    @property
    def rules(self) -> dict[str, str]:
        """The settings that change results; part of `semantics_hash`. Files are named by `pins`.

        Raises `SettingInvalid` where a file that is set cannot be read.
        """
        plain = {f.name: str(getattr(self, f.name)) for f in fields(self) if f.metadata.get("rule") is True}
        return plain | {"geo_database": pin_of(self.geo_path), "sale_calendar": pin_of(self.sale_calendar)}

    @property
    def geo_path(self) -> str:
        """The geography database in use: the one that is set, else the installed one; empty where there is none."""
        installed = self.home / "geo" / "country.mmdb"
        return self.geo_database or (str(installed) if installed.exists() else "")

    @property
    def warehouse_path(self) -> str:
        """Where the Delta tables lie: a folder, or a URL such as `s3a://...`."""
        return self.warehouse or str(self.home / "warehouse")

    @property
    def store(self) -> str:
        """The speed store's SQLAlchemy URL."""
        return self.store_url or f"sqlite:///{self.home / 'store.sqlite'}"

    @property
    def bootstrap(self) -> str:
        """Kafka's bootstrap servers."""
        return self.kafka or f"127.0.0.1:{self.kafka_port}"

    def table_path(self, table: str) -> str:
        """Where the table `layer.name` lies in the warehouse."""
        return f"{self.warehouse_path}/{table.replace('.', '/')}"


def _convert(name: str, text: str, kind: type) -> object:
    try:
        return Path(text) if issubclass(kind, Path) else kind(text)  # type: ignore[call-arg] # int, float or str
    except ValueError as error:
        raise _invalid(name, text, f"a {kind.__name__}") from error


def _invalid(name: str, value: object, wanted: str) -> SettingInvalid:
    return SettingInvalid(f"{name} is {value!r}", f"Set {name} to {wanted}, or unset it.")
