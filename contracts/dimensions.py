"""Dimensions: what changes by itself and is joined when reading, as of the bucket's time. They are not rules.

Partials keep the raw key (a product's id); the tables declared here say what the key meant when. An answer names the
version of each that it was read with (`as_of.dimensions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from contracts.fields import DESCRIPTIONS, UTC
from contracts.money import DEFAULT_MINOR_DIGITS, MINOR_DIGITS

# An amount of 64 bits times a rate of this size, in another currency's minor units, stays below 128 bits.
LARGEST_RATE = 10**15
MOST_RATE_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Dimension:
    """One table. `keys` name a row; `view` is where people read it; `own` says what columns mean here and only here."""

    name: str
    description: str
    view: str
    keys: tuple[str, ...]
    schema: pa.Schema
    own: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """Its name in the warehouse."""
        return f"dimension.{self.name}"

    def says(self, column: str) -> str:
        """What a column means."""
        return self.own.get(column) or DESCRIPTIONS[column]


PRODUCTS = Dimension(
    "products",
    "The product catalogue, one row a version (slowly changing, type 2): valid_from <= time < valid_to.",
    "catalogue",
    ("product_id", "valid_from"),
    pa.schema(
        [
            ("product_id", pa.string()),
            ("category", pa.string()),
            ("brand", pa.string()),
            ("name", pa.string()),
            ("list_price_minor", pa.int64()),
            ("currency", pa.string()),
            ("valid_from", UTC),
            ("valid_to", UTC),
        ],
    ),
    {
        "product_id": "Product, as events name it.",
        "category": "Category in the catalogue.",
        "brand": "Brand in the catalogue.",
        "name": "Name of the product.",
        "currency": "ISO 4217 code of the list price.",
    },
)
CAMPAIGN_COSTS = Dimension(
    "campaign_costs",
    "What campaigns cost, one row a day, channel, campaign and currency.",
    "campaign_costs",
    ("day", "channel", "campaign", "currency"),
    pa.schema(
        [
            ("day", pa.date32()),
            ("channel", pa.string()),
            ("campaign", pa.string()),
            ("currency", pa.string()),
            ("amount_minor", pa.int64()),
        ],
    ),
    {
        "day": "UTC day the money was spent on.",
        "channel": "Channel the money was spent on, called as in the channels of sessions.",
        "campaign": "Campaign, called as in utm_campaign; null where the money went to none.",
        "currency": "ISO 4217 code of the amount.",
    },
)
EXCHANGE_RATES = Dimension(
    "exchange_rates",
    "Exchange rates by day: one unit of currency is rate_numerator / rate_denominator units of reporting_currency.",
    "exchange_rates",
    ("day", "currency", "reporting_currency"),
    pa.schema(
        [
            ("day", pa.date32()),
            ("currency", pa.string()),
            ("reporting_currency", pa.string()),
            ("rate_numerator", pa.int64()),
            ("rate_denominator", pa.int64()),
        ],
    ),
    {
        "day": "UTC day the rate is for, and for no other.",
        "currency": "ISO 4217 code of the currency that is converted.",
    },
)
DIMENSIONS: dict[str, Dimension] = {d.name: d for d in (PRODUCTS, CAMPAIGN_COSTS, EXCHANGE_RATES)}
# What makes two versions of a product differ.
ATTRIBUTES = ("category", "brand", "name", "list_price_minor", "currency")

# ISO 4217: active codes, and those withdrawn since 2000, for old data.
CURRENCIES = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF"
    " CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD"
    " GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR"
    " LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK"
    " PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND"
    " TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
    " AFA AOK AZM BGL BYR CSD CYP ECS EEK GHC HRK LTL LVL MGF MRO MTL MZM ROL SDD SIT SKK SLL SRG STD TMM TRL VEF XEU"
    " YUM ZMK ZWD ZWL ZWR".split()
)


def macros(reporting_currency: str) -> list[str]:
    """SQL that conversion is made of.

    `converted(amount_minor, currency, numerator, denominator)` gives minor units of the reporting currency: 128-bit
    integer arithmetic, rounded half to even once; null where the rate is. A result beyond 64 bits is an error.
    """
    digits = " ".join(
        f"WHEN code IN ({', '.join(repr(c) for c in sorted(MINOR_DIGITS) if MINOR_DIGITS[c] == n)}) THEN {10**n}"
        for n in sorted(set(MINOR_DIGITS.values()))
    )
    return [
        f"CREATE MACRO reporting_currency() AS '{reporting_currency}'",
        f"CREATE MACRO minor_units(code) AS (CASE {digits} ELSE {10**DEFAULT_MINOR_DIGITS} END)::HUGEINT",
        """CREATE MACRO half_even(n, d) AS
            (CASE WHEN n < 0 THEN -1 ELSE 1 END) * (abs(n) // d
            + CASE WHEN 2 * (abs(n) % d) > d OR (2 * (abs(n) % d) = d AND (abs(n) // d) % 2 = 1) THEN 1 ELSE 0 END)""",
        """CREATE MACRO converted(amount_minor, code, numerator, denominator) AS half_even(
            amount_minor::HUGEINT * numerator * minor_units(reporting_currency()),
            denominator::HUGEINT * minor_units(code))::BIGINT""",
    ]
