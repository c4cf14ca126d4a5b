"""Places of addresses, against MaxMind's public test database and its source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.addresses import cut_ip
from contracts.errors import GeoDatabaseInvalid
from spark_jobs.transforms.enrich.geo import NOWHERE, Geo, Place, _place

GOLDEN = Path(__file__).parents[1] / "golden/maxmind"
DATABASE = GOLDEN / "GeoIP2-Country-Test.mmdb"
COUNTRIES: dict[str, str | None] = json.loads((GOLDEN / "countries.json").read_text())


def test_every_network_has_the_country_of_its_source() -> None:
    geo = Geo(str(DATABASE))
    assert len(COUNTRIES) == 345
    found = {network: geo.place_of(network.partition("/")[0]).country for network in COUNTRIES}
    assert found == COUNTRIES
    cut = {network: geo.place_of(cut_ip(network.partition("/")[0])).country for network in COUNTRIES}
    print(sum(cut[n] != COUNTRIES[n] for n in COUNTRIES), "of", len(COUNTRIES), "differ when the address is cut")  # noqa: T201 - the figure is wanted
    assert any(country is not None and cut[network] == country for network, country in COUNTRIES.items())


def test_without_a_database_nothing_is_known(tmp_path: Path) -> None:
    for path in (None, "", str(tmp_path / "none.mmdb")):
        geo = Geo(path)
        assert not geo.is_present
        assert geo.place_of("2.125.160.216") == NOWHERE


@pytest.mark.parametrize("kind", ["empty", "text", "zeros", "half", "folder"])
def test_what_is_no_database_is_an_error_with_a_remedy(tmp_path: Path, kind: str) -> None:
    whole = DATABASE.read_bytes()
    path = tmp_path / "x.mmdb"
    content = {"empty": b"", "text": b"country,ip\n" * 50, "zeros": bytes(9_000), "half": whole[: len(whole) // 2]}
    path.mkdir() if kind == "folder" else path.write_bytes(content[kind])
    with pytest.raises(GeoDatabaseInvalid) as raised:
        Geo(str(path))
    assert raised.value.remedy
    assert str(path) in str(raised.value)


def test_damage_inside_is_an_error_when_met(tmp_path: Path) -> None:
    whole = DATABASE.read_bytes()
    at = len(whole) // 3
    path = tmp_path / "x.mmdb"
    path.write_bytes(whole[:at] + b"\xff" * (len(whole) // 3) + whole[2 * at :])
    geo = Geo(str(path))
    with pytest.raises(GeoDatabaseInvalid, match="damaged"):
        for network in COUNTRIES:
            geo.place_of(network.partition("/")[0])


@pytest.mark.parametrize(
    ("ip", "cut"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("fe80::1%eth0", "fe80::"),
        (" 10.1.2.3 ", "10.1.2.0"),
        ("1.2.3", None),
        ("01.2.3.4", None),
        ("", None),
        (None, None),
        ("x" * 100_000, None),
    ],
)
def test_addresses_are_cut(ip: str | None, cut: str | None) -> None:
    assert cut_ip(ip) == cut
    assert cut_ip(cut) == cut


def test_both_shapes_of_record_are_read() -> None:
    nested = {
        "country": {"iso_code": "GB"},
        "subdivisions": [{"iso_code": "ENG"}],
        "city": {"names": {"en": "Boxford"}},
    }
    assert (
        _place(nested)
        == _place({"country_code": "GB", "state1": "ENG", "city": "Boxford"})
        == Place("GB", "ENG", "Boxford")
    )
    assert _place({"country": 7, "subdivisions": "x", "city": {"names": 3}}) == NOWHERE


@given(st.one_of(st.text(alphabet=st.characters()), st.ip_addresses().map(str)))
def test_any_text_is_looked_up(ip: str) -> None:
    Geo(str(DATABASE)).place_of(ip)
    cut_ip(ip)
