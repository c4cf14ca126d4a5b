"""The dictionary of fields as senders write them: one definition for schemas, documents and the handling of PII.

The JSON Schemas in `contracts/events` name fields and bound their values; what a field means, its unit and whom it
could identify stand here alone, and are filled in when schemas are exported. Names are those of Segment's Spec
(https://segment.com/docs/connections/spec/); forms and scrolling follow GA4's enhanced measurement.
Columns of tables are described in `contracts/fields.py`; `column` names the one a field becomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache


class Pii(StrEnum):
    """Whom a value can identify. What is `direct` may reach no table in clear.

    none: nobody. indirect: nobody alone, but together with other fields. pseudonymous: one visitor, whose person is
    unknown to Tidemark (GDPR article 4(5)). direct: a person, by itself.
    """

    NONE = "none"
    INDIRECT = "indirect"
    PSEUDONYMOUS = "pseudonymous"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `pointer` is its JSON pointer in the message (RFC 6901), `*` for every item of a list.

    `type` is the kind of its values: those of the definitions in `events/common/v1.json`, and `object`, `list`, `any`.
    `unit` is empty where there is none, `column` the column of `fields.EVENT` it becomes, empty where it becomes none.
    """

    pointer: str
    type: str
    description: str
    pii: Pii = Pii.NONE
    unit: str = ""
    column: str = ""

    @property
    def name(self) -> str:
        """The pointer's last part that is a name."""
        return self.pointer.removesuffix("/*").rsplit("/", 1)[-1]


_NONE, _INDIRECT, _PSEUDO, _DIRECT = Pii.NONE, Pii.INDIRECT, Pii.PSEUDONYMOUS, Pii.DIRECT
_MAJOR = "major units of /properties/currency"

_CALL = (
    Field("/type", "text", "The call: track, page, screen, identify, group or alias.", column="type"),
    Field("/event", "text", "Name of the event of a track call.", column="name"),
    Field("/name", "text", "Name of the page or screen.", column="name"),
    Field("/category", "text", "Category of the page."),
    Field("/anonymousId", "id", "The browser's or installation's own id.", _PSEUDO, column="visitor"),
    Field("/userId", "id", "The sender's id of a known user.", _PSEUDO, column="visitor"),
    Field("/previousId", "id", "The id that an alias call joins to userId.", _PSEUDO),
    Field("/groupId", "id", "The account or company that a group call joins the user to.", _INDIRECT),
    Field("/messageId", "messageId", "The sender's id of the message, the same on every copy.", column="event_id"),
    Field("/timestamp", "time", "When it happened, by the sender's own clock.", unit="UTC", column="event_time"),
    Field("/originalTimestamp", "time", "The same, untouched by libraries; goes before timestamp.", unit="UTC"),
    Field("/sentAt", "time", "When the sender sent it: with the entrance's clock, how wrong its clock is.", unit="UTC"),
    Field("/properties", "object", "What the event says of itself."),
    Field("/traits", "object", "What is known of the user or group."),
    Field("/context", "object", "Where, on what and under which consent it happened."),
)
_CONTEXT = (
    Field("/context/ip", "text", "Address the sender says the visitor has.", _DIRECT),
    Field("/context/userAgent", "text", "Browser and device as they name themselves.", _INDIRECT),
    Field("/context/locale", "text", "Language and region of the device, as en-GB (BCP 47)."),
    Field("/context/timezone", "text", "Time zone of the device, as Europe/Berlin (IANA)."),
    Field("/context/page", "object", "The page on which it happened."),
    Field("/context/page/path", "text", "Path of the page.", _INDIRECT, column="path"),
    Field("/context/page/url", "text", "Address of the page; its query may hold what a person typed.", _INDIRECT),
    Field("/context/page/referrer", "text", "Address the visitor came from.", _INDIRECT, column="referrer"),
    Field("/context/page/title", "text", "Title of the page."),
    Field("/context/page/search", "text", "Query of the page's address.", _INDIRECT),
    Field("/context/campaign", "object", "Campaign parameters (utm_*) of the page's address."),
    Field("/context/campaign/name", "text", "utm_campaign."),
    Field("/context/campaign/source", "text", "utm_source."),
    Field("/context/campaign/medium", "text", "utm_medium."),
    Field("/context/campaign/term", "text", "utm_term."),
    Field("/context/campaign/content", "text", "utm_content."),
    Field("/context/app", "object", "The app it happened in."),
    Field("/context/app/name", "text", "Name of the app."),
    Field("/context/app/version", "text", "Version of the app."),
    Field("/context/app/build", "text", "Build of the app."),
    Field("/context/app/namespace", "text", "Identifier of the app in its store."),
    Field("/context/device", "object", "The device it happened on."),
    Field("/context/device/id", "text", "The device's own id.", _PSEUDO),
    Field("/context/device/advertisingId", "text", "The device's id for advertisers, the same in every app.", _PSEUDO),
    Field("/context/device/type", "text", "Type of the device, as ios."),
    Field("/context/device/manufacturer", "text", "Who made the device."),
    Field("/context/device/model", "text", "Model of the device.", _INDIRECT),
    Field("/context/os", "object", "The operating system."),
    Field("/context/os/name", "text", "Name of the operating system."),
    Field("/context/os/version", "text", "Version of the operating system."),
    Field("/context/library", "object", "The client library that sent it."),
    Field("/context/library/name", "text", "Name of the library."),
    Field("/context/library/version", "text", "Version of the library."),
    Field("/context/screen", "object", "The screen of the device."),
    Field("/context/screen/width", "number", "Width of the screen.", _INDIRECT, unit="pixels"),
    Field("/context/screen/height", "number", "Height of the screen.", _INDIRECT, unit="pixels"),
    Field("/context/screen/density", "number", "Device pixels per pixel.", _INDIRECT),
    Field("/context/location", "object", "Where the sender says the visitor is.", _INDIRECT),
    Field("/context/location/city", "text", "City.", _INDIRECT),
    Field("/context/location/country", "text", "Country."),
    Field("/context/location/region", "text", "Region.", _INDIRECT),
    Field("/context/location/latitude", "number", "Latitude: may be a person's home.", _DIRECT, unit="degrees"),
    Field("/context/location/longitude", "number", "Longitude: may be a person's home.", _DIRECT, unit="degrees"),
    Field("/context/referrer", "object", "How the visitor was referred."),
    Field("/context/referrer/id", "text", "Id of the referral.", _INDIRECT),
    Field("/context/referrer/type", "text", "Type of the referral."),
    Field("/context/referrer/url", "text", "Address the visitor came from.", _INDIRECT),
    Field("/context/traits", "object", "What is known of the user, sent with calls other than identify.", _DIRECT),
    Field("/context/consent", "object", "Purposes the visitor agreed to; an absent one follows the setting's default."),
    Field("/context/consent/collect", "flag", "Whether the event may be taken at all."),
    Field("/context/consent/analyse", "flag", "Whether it may be counted in measures."),
    Field("/context/consent/personalise", "flag", "Whether it may lead to scores and decisions."),
    Field("/context/consent/train", "flag", "Whether models may learn from it."),
    Field("/context/protocols", "object", "What the sender says of its own contract."),
    Field("/context/protocols/event_version", "number", "Version of the event's schema the sender wrote by."),
)


def _product(prefix: str, what: str, subject: str, *, is_event: bool) -> tuple[Field, ...]:
    def column(name: str) -> str:
        return name if is_event else ""

    return (
        Field(f"{prefix}/product_id", "text", f"Id of {what}.", column=column("product_id")),
        Field(f"{prefix}/sku", "text", f"Stock keeping unit of {what}."),
        Field(f"{prefix}/name", "text", f"Name of {subject}."),
        Field(f"{prefix}/category", "text", f"Category of {subject}.", column=column("category")),
        Field(f"{prefix}/brand", "text", f"Brand of {what}.", column=column("brand")),
        Field(f"{prefix}/variant", "text", f"Variant of {what}, as its colour."),
        Field(f"{prefix}/price", "amount", f"Price of one unit of {what}.", unit=_MAJOR, column=column("price_minor")),
        Field(f"{prefix}/quantity", "quantity", f"Units of {what}.", unit="units", column=column("quantity")),
        Field(f"{prefix}/coupon", "text", f"Coupon applied to {what}.", column=column("coupon")),
        Field(f"{prefix}/position", "quantity", f"Place of {subject} in its list, from 1."),
        Field(f"{prefix}/url", "text", f"Address of {subject}."),
        Field(f"{prefix}/image_url", "text", f"Address of a picture of {what}."),
    )


_COMMERCE = (
    Field("/properties/currency", "currency", "Currency of every amount of the event (ISO 4217).", column="currency"),
    Field("/properties/value", "amount", "What the event is worth.", unit=_MAJOR, column="value_minor"),
    Field("/properties/query", "text", "What the visitor searched for, as typed.", _INDIRECT, column="query"),
    Field("/properties/list_id", "text", "Id of the list of products."),
    Field("/properties/filters", "list", "Filters set on the list."),
    Field("/properties/filters/*", "object", "One filter."),
    Field("/properties/filters/*/type", "text", "What is filtered, as price or colour."),
    Field("/properties/filters/*/value", "text", "The filter's value."),
    Field("/properties/sorts", "list", "Sort orders set on the list."),
    Field("/properties/sorts/*", "object", "One sort order."),
    Field("/properties/sorts/*/type", "text", "What is sorted by."),
    Field("/properties/sorts/*/value", "text", "Its direction."),
    Field("/properties/cart_id", "text", "Id of the cart; shops often take the visitor's.", _PSEUDO),
    Field("/properties/checkout_id", "text", "Id of the checkout."),
    Field("/properties/order_id", "text", "Id of the order: one order is counted once.", _PSEUDO, column="order_id"),
    Field("/properties/affiliation", "text", "Shop or affiliate the order came through."),
    Field("/properties/step", "quantity", "Position in the checkout, from 1."),
    Field("/properties/shipping_method", "text", "How the order is sent."),
    Field("/properties/payment_method", "text", "How it is paid, as card; never a number of one."),
    Field("/properties/total", "amount", "Value with tax and shipping.", unit=_MAJOR, column="value_minor"),
    Field("/properties/subtotal", "amount", "Value before discount, tax and shipping.", unit=_MAJOR),
    Field("/properties/revenue", "amount", "Value without tax and shipping; used where no total is.", unit=_MAJOR),
    Field("/properties/tax", "amount", "Tax.", unit=_MAJOR, column="tax_minor"),
    Field("/properties/shipping", "amount", "Shipping.", unit=_MAJOR, column="shipping_minor"),
    Field("/properties/discount", "amount", "Discount.", unit=_MAJOR, column="discount_minor"),
    Field("/properties/products", "list", "The products of the list, cart or order.", column="lines"),
    Field("/properties/products/*", "object", "One product, a line of an order."),
    Field("/properties/promotion_id", "text", "Id of the promotion."),
    Field("/properties/creative", "text", "Which picture or text of the promotion."),
)
_PAGE = (
    Field("/properties/path", "text", "Path of the page.", _INDIRECT, column="path"),
    Field("/properties/referrer", "text", "Address the visitor came from.", _INDIRECT),
    Field("/properties/search", "text", "Query of the page's address.", _INDIRECT),
    Field("/properties/title", "text", "Title of the page."),
    Field("/properties/keywords", "list", "Keywords of the page."),
    Field("/properties/keywords/*", "text", "One keyword."),
    Field("/properties/form_id", "text", "Id of the form."),
    Field("/properties/form_name", "text", "Name of the form."),
    Field("/properties/form_destination", "text", "Where the form is sent to."),
    Field("/properties/depth_percent", "number", "Deepest point seen.", unit="percent of its height"),
)
_TRAITS = (
    Field("/traits/email", "text", "E-mail address.", _DIRECT),
    Field("/traits/phone", "text", "Telephone number.", _DIRECT),
    Field("/traits/name", "text", "Name of the person, or of the group.", _DIRECT),
    Field("/traits/firstName", "text", "First name.", _DIRECT),
    Field("/traits/lastName", "text", "Last name.", _DIRECT),
    Field("/traits/username", "text", "User name.", _DIRECT),
    Field("/traits/title", "text", "Title or position.", _INDIRECT),
    Field("/traits/birthday", "text", "Date of birth.", _DIRECT),
    Field("/traits/age", "number", "Age.", _INDIRECT, unit="years"),
    Field("/traits/gender", "text", "Gender.", _INDIRECT),
    Field("/traits/avatar", "text", "Address of a picture of the person.", _DIRECT),
    Field("/traits/address", "any", "Postal address, as an object or a text.", _DIRECT),
    Field("/traits/country", "text", "Country.", _INDIRECT),
    Field("/traits/company", "any", "Company of the person.", _INDIRECT),
    Field("/traits/createdAt", "text", "When the account was made.", _INDIRECT),
    Field("/traits/plan", "text", "Plan the account is on."),
    Field("/traits/industry", "text", "Industry of the group."),
    Field("/traits/employees", "number", "Size of the group.", unit="people"),
    Field("/traits/website", "text", "Web site of the person or group.", _INDIRECT),
)
FIELDS: tuple[Field, ...] = (
    *_CALL,
    *_CONTEXT,
    *_product("/properties", "the product", "the product, promotion, page or screen", is_event=True),
    *_COMMERCE,
    *_product("/properties/products/*", "the line's product", "the line's product", is_event=False),
    *_PAGE,
    *_TRAITS,
)


@cache
def by_pointer() -> dict[str, Field]:
    """Every field by its pointer."""
    return {field.pointer: field for field in FIELDS}


def of_class(pii: Pii) -> Iterator[str]:
    """The pointers of the fields of one class: what an entrance has to pseudonymise or to leave."""
    return (field.pointer for field in FIELDS if field.pii is pii)
