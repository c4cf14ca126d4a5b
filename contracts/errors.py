"""Typed errors. Each carries the remedy a person can act on; bad events are never exceptions (see `reasons`)."""

from __future__ import annotations


class TidemarkError(Exception):
    """Base of every error Tidemark raises on purpose.

    `remedy` is one imperative sentence; the CLI prints it under the message.
    `exit_code` is what a process that dies of it exits with (the supervisor reads it).
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class SettingInvalid(TidemarkError):
    """A setting has a value that cannot be used."""


class StoreUnavailable(TidemarkError):
    """The speed store cannot be read or written (missing, locked, full, unreachable)."""

    exit_code = 20


class FenceRefused(TidemarkError):
    """A micro-batch does not start where the store says the last one ended."""

    exit_code = 21


class RulesChanged(TidemarkError):
    """The code's `semantics_hash` is not the one this generation or run was made with."""

    exit_code = 22


class TopicRecreated(TidemarkError):
    """The topic's id is not the one the log was registered with: its offsets name other records."""

    exit_code = 23


class ClockJumped(TidemarkError):
    """A batch time runs back, or ahead by more than half the deduplication horizon."""

    exit_code = 24


class CheckpointLost(TidemarkError):
    """A streaming checkpoint is missing or contradicts the store."""

    exit_code = 25


class RecordsLost(TidemarkError):
    """Offsets that should be there are not: a hole, or retention passed them."""

    exit_code = 26


class NotPublished(TidemarkError):
    """Something asked for a published run and there is none."""


class RunInvalid(TidemarkError):
    """A batch run cannot go on: accounting does not close, verify failed, a step is missing."""


class WarehouseDamaged(TidemarkError):
    """A table or version the published manifest names is not readable."""


class QueryRefused(TidemarkError):
    """A query that is not a read of the published views."""


class QueryTimeout(TidemarkError):
    """A query took longer than it may, and was stopped."""


class PortTaken(TidemarkError):
    """A port a server was told to use is in use."""

    exit_code = 10


class ContractInvalid(TidemarkError):
    """An event's schema, sample or published shape cannot be used."""


class DimensionInvalid(TidemarkError):
    """A file of a dimension (catalogue, costs, rates) cannot be used as it is written; nothing of it was taken."""


class DimensionBusy(TidemarkError):
    """Others kept loading the same dimension."""


class GeoDatabaseInvalid(TidemarkError):
    """A geography database is there and is no MaxMind DB, is damaged, or cannot be read."""

    exit_code = 29


class GeoUnavailable(TidemarkError):
    """A geography database could not be fetched."""


class NoSuchLetter(TidemarkError):
    """A dead letter was asked for that Kafka does not hold."""


class SaleCalendarInvalid(TidemarkError):
    """A calendar of sale events cannot be used as it is written."""

    exit_code = 28


class ReferenceChanged(TidemarkError):
    """A file of reference data is gone, or is not the one that the rules were made with."""

    exit_code = 27
