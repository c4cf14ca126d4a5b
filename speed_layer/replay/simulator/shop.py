"""What the shop sells: about 200 products in 12 categories, with prices in two currencies and Zipf popularity."""

from __future__ import annotations

import json
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Final

PRODUCTS_PER_CATEGORY: Final = 17
_ZIPF_EXPONENT: Final = 1.05
_EURO_CENTS_PER_DOLLAR: Final = 92
_FAVOURITE_SHARE: Final = 0.6

# Category path, cheapest and dearest price in dollars, and what is sold there.
_CATEGORIES: Final = (
    ("home.kitchen.kettles", 18, 120, ("Kettle", "Teapot", "Moka Pot")),
    ("home.kitchen.cookware", 15, 260, ("Pan", "Stockpot", "Crème brûlée Torch")),
    ("home.textiles", 9, 180, ("Throw", "Cushion", "Duvet")),
    ("electronics.audio", 25, 420, ("Headphones", "Speaker", "Turntable")),
    ("electronics.smartphones", 140, 1250, ("Phone", "Foldable Phone")),
    ("electronics.accessories", 5, 90, ("Charger", "Cable", 'Sleeve 13"')),
    ("apparel.shoes", 30, 210, ("Sneaker", "Boot", "Sandal")),
    ("apparel.outerwear", 45, 390, ("Parka", "Rain Jacket", "Übermantel")),
    ("outdoor.camping", 12, 540, ("Tent", "Stove", "Sleeping Bag")),
    ("beauty.skincare", 6, 75, ("Cream", "Serum", "Sunscreen")),
    ("toys.building", 8, 160, ("Brick Set", "Marble Run")),
    ("grocery.tea", 4, 38, ("Green Tea", "Oolong 烏龍", "Rooibos")),
)
_BRANDS: Final = ("Aldermoor", "Brightwater", "Corvane", "Dunlin", "Estuary", "Fjordly", "Gannet", "Halyard", "Inletto")
_STYLES: Final = ("Classic", "Mini", "Pro", "Eco", "Studio", "Travel", "Ultra")
QUERIES: Final = (
    "kettle", "running shoes", "wireless headphones", "tent 2 person", "grüner tee", 'case 13"', "crème", "phone",
    "gift for mum", "烏龍茶", "rain jacket", "usb-c cable", "marble run", "sunscreen spf 50", "🎁", "sale",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Product:
    """One product: `title` is its name as a JSON string, `price_minor` its price in minor units by currency.

    `members` is the product as JSON without the braces, price included, by currency.
    """

    product_id: str
    title: str
    category: str
    price_minor: dict[str, int]
    members: dict[str, str]


@dataclass(frozen=True, slots=True)
class Category:
    """A category and its products, with their cumulative popularity."""

    path: str
    products: tuple[Product, ...]
    popularity: list[float]


class Shop:
    """The catalogue of one world. Popularity falls as 1 / rank**1.05 over a shuffled catalogue."""

    def __init__(self, rng: Random) -> None:
        made = [_product(rng, number, category) for number, category in enumerate(_shelves())]
        rng.shuffle(made)
        weights = [1 / rank**_ZIPF_EXPONENT for rank in range(1, len(made) + 1)]
        self.products = tuple(made)
        self._popularity = list(accumulate(weights))
        self.categories = tuple(_category(path, made, weights) for path, *_ in _CATEGORIES)
        self._dearest = tuple(sorted(made, key=lambda p: -p.price_minor["USD"])[:20])

    def pick(self, rng: Random, favourite: int | None) -> Product:
        """A product by popularity; someone with a favourite category mostly looks there."""
        if favourite is not None and rng.random() < _FAVOURITE_SHARE:
            return self.pick_in(rng, self.categories[favourite])
        return self.products[bisect(self._popularity, rng.random() * self._popularity[-1], hi=len(self.products) - 1)]

    def pick_in(self, rng: Random, category: Category) -> Product:
        """A product of the category by popularity."""
        cumulative = category.popularity
        return category.products[bisect(cumulative, rng.random() * cumulative[-1], hi=len(cumulative) - 1)]

    def pick_dear(self, rng: Random) -> Product:
        """One of the 20 dearest products, what a thief takes."""
        return rng.choice(self._dearest)


def money_text(minor: int) -> str:
    """Minor units of a two-digit currency as JavaScript would write the amount: 1999 -> 19.99, 2050 -> 20.5."""
    major, cents = divmod(minor, 100)
    return f"{major}.{cents:02d}".rstrip("0") if cents else str(major)


def quoted(text: str) -> str:
    """The text as a JSON string, in UTF-8 rather than escapes."""
    return json.dumps(text, ensure_ascii=False)


def _shelves() -> list[tuple[str, int, int, tuple[str, ...]]]:
    return [category for category in _CATEGORIES for _ in range(PRODUCTS_PER_CATEGORY)]


def _product(rng: Random, number: int, category: tuple[str, int, int, tuple[str, ...]]) -> Product:
    path, low, high, nouns = category
    brand, style, noun = rng.choice(_BRANDS), rng.choice(_STYLES), rng.choice(nouns)
    # Squared, so that cheap things outnumber dear ones; endings as shops like them.
    cents = int(low + (high - low) * rng.random() ** 2) * 100 + rng.choice((0, 50, 90, 95, 99, 99))
    prices = {"USD": cents, "EUR": cents * _EURO_CENTS_PER_DOLLAR // 100}
    name = f"{brand} {style} {noun}"
    product_id = f"P{number + 1:04d}"
    head = f'"product_id":"{product_id}","name":{quoted(name)},"brand":"{brand}","category":"{path}"'
    members = {currency: f'{head},"price":{money_text(minor)}' for currency, minor in prices.items()}
    return Product(product_id, quoted(name), path, prices, members)


def _category(path: str, made: list[Product], weights: list[float]) -> Category:
    here = [(product, weight) for product, weight in zip(made, weights, strict=True) if product.category == path]
    return Category(path, tuple(p for p, _ in here), list(accumulate(w for _, w in here)))
