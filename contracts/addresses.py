"""Internet addresses: how one is read, and how it is cut so that it names a neighbourhood and no household."""

from __future__ import annotations

import ipaddress


def address_of(ip: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, without a zone; IPv4 written as IPv6 (`::ffff:1.2.3.4`) is IPv4. None where it is no address."""
    try:
        address = ipaddress.ip_address((ip or "").strip().partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def cut_ip(ip: str | None) -> str | None:
    """The address with its host part zeroed: /24 for IPv4, /48 for IPv6; None where it is no address."""
    address = address_of(ip)
    if address is None:
        return None
    prefix = 24 if address.version == 4 else 48  # noqa: PLR2004 - the version's own number
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False).network_address)
