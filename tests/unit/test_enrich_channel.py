"""GA4's default channel group, rule by rule, and where a hit's source comes from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.transforms.enrich.channel import DIRECT, INTERNAL, UNKNOWN, Campaign, channel_of, site_of, touch_of

CASES = """
(direct)|(none)||Direct
(direct)|(not set)||Direct
|||Direct
google|cpc|eu cross-network|Cross-network
(direct)|(none)|cross-network|Cross-network
amazon|cpc||Paid Shopping
google|cpc|spring shopping|Paid Shopping
google|cpc|shop-eu|Paid Shopping
google|cpc|workshop|Paid Search
google|cpc|eshop|Paid Shopping
google|cpc||Paid Search
GOOGLE|CPC||Paid Search
bing|ppc||Paid Search
duckduckgo|paid-search||Paid Search
baidu|retargeting||Paid Search
google|cpm||Paid Search
facebook|cpc||Paid Social
instagram|paid_social||Paid Social
tiktok|paid||Paid Social
linkedin.com|cpm||Paid Social
youtube|video||Organic Video
youtube|cpc||Paid Video
vimeo.com|paidvideo||Paid Video
criteo|display||Display
criteo|banner||Display
criteo|expandable||Display
criteo|interstitial||Display
criteo|cpm||Display
google|display||Display
criteo|cpc||Paid Other
criteo|retargeting||Paid Other
criteo|paid||Paid Other
chatgpt.com|cpc||Paid Other
chatgpt.com|||AI Assistants
chatgpt.com|referral||AI Assistants
perplexity|organic||AI Assistants
gemini.google.com|referral||AI Assistants
ebay|referral||Organic Shopping
www.amazon.co.uk|referral||Organic Shopping
newsletter|x|shopping|Organic Shopping
facebook|referral||Organic Social
blog|social||Organic Social
blog|social-network||Organic Social
blog|social-media||Organic Social
blog|sm||Organic Social
blog|social network||Organic Social
blog|social media||Organic Social
t.co|referral||Organic Social
youtube.com|referral||Organic Video
blog|video||Organic Video
blog|my-video-1||Organic Video
google|organic||Organic Search
bing|||Organic Search
blog|organic||Organic Search
ecosia.org|referral||Organic Search
blog|referral||Referral
blog|app||Referral
blog|link||Referral
email|||Email
news|email||Email
news|e-mail||Email
news|e_mail||Email
news|e mail||Email
partner|affiliate||Affiliates
partner|affiliates||Affiliates
spotify|audio||Audio
sms|x||SMS
x1|sms||SMS
app1|push||Mobile Push Notifications
app1|web-push||Mobile Push Notifications
app1|mobile||Mobile Push Notifications
app1|notification||Mobile Push Notifications
firebase|x||Mobile Push Notifications
blog|pushy||Unassigned
blog|||Unassigned
|newsletter||Unassigned
notgoogle.com|||Unassigned
"""


@pytest.mark.parametrize("case", [line for line in CASES.splitlines() if line])
def test_ga4_rules(case: str) -> None:
    source, medium, campaign, channel = case.split("|")
    assert channel_of(source, medium, campaign) == channel


@pytest.mark.parametrize(
    ("referrer", "landing", "expected"),
    [
        ("https://www.google.co.uk/", None, ("google", "organic", "Organic Search")),
        ("https://de.search.yahoo.com/x", None, ("yahoo", "organic", "Organic Search")),
        ("https://duckduckgo.com", None, ("duckduckgo", "organic", "Organic Search")),
        ("https://mail.google.com/", None, ("mail.google.com", "referral", "Referral")),
        ("https://evil-google.com/", None, ("evil-google.com", "referral", "Referral")),
        ("https://google.com.evil.org/", None, ("google.com.evil.org", "referral", "Referral")),
        ("https://www.facebook.com/", None, ("facebook.com", "referral", "Organic Social")),
        ("https://claude.ai/chat", None, ("claude.ai", "referral", "AI Assistants")),
        ("https://copilot.microsoft.com/", None, ("copilot.microsoft.com", "referral", "AI Assistants")),
        ("https://www.perplexity.ai/", None, ("perplexity.ai", "referral", "AI Assistants")),
        ("https://a.example/", "https://b.example/", ("a.example", "referral", "Referral")),
        ("https://a.myshopify.com/", "https://b.myshopify.com/", ("a.myshopify.com", "referral", "Referral")),
        ("android-app://com.google.android.googlequicksearchbox/", None, ("google", "organic", "Organic Search")),
        ("https://x.org/", "https://s.com/?gclid=1", ("google", "cpc", "Paid Search")),
        ("https://x.org/", "https://s.com/?GCLID=1&utm_source=News&utm_medium=Email", ("news", "email", "Email")),
        (None, "https://s.com/?msclkid=1", ("bing", "cpc", "Paid Search")),
        (None, "https://s.com/?fbclid=1", ("facebook", "referral", "Organic Social")),
        (None, "https://s.com/?ttclid=1", ("tiktok", "cpc", "Paid Social")),
        (None, "?utm_source=chatgpt.com", ("chatgpt.com", None, "AI Assistants")),
        ("https://s.com/a", "https://s.com/?utm_source=a&utm_medium=affiliate", ("a", "affiliate", "Affiliates")),
    ],
)
def test_where_a_hit_comes_from(referrer: str | None, landing: str | None, expected: tuple[str | None, ...]) -> None:
    found = touch_of(referrer, landing)
    assert (found.source, found.medium, found.channel) == expected


def test_campaign_parameters_are_kept() -> None:
    found = touch_of(
        None, "https://s.com/?utm_source=a&utm_campaign=Spring%20Sale&utm_term=t&utm_content=c&gclid=9&gclid=8"
    )
    assert (found.campaign, found.term, found.content, found.click_id) == ("Spring Sale", "t", "c", "gclid")


@pytest.mark.parametrize("referrer", ["https://www.s.co.uk/", "http://pay.s.co.uk/x", "HTTPS://S.CO.UK:443/"])
def test_the_site_itself_is_no_source(referrer: str) -> None:
    assert touch_of(referrer, "https://shop.s.co.uk/?utm_source=") == INTERNAL._replace(landing="/")


@pytest.mark.parametrize("referrer", [None, "", "about:blank", "javascript:x", "http://[::1", "file:///x", "//"])
def test_no_referrer_is_direct(referrer: str | None) -> None:
    assert touch_of(referrer, "https://s.com/a?b#c") == DIRECT._replace(landing="/a")


def test_no_page_and_no_campaign_is_no_touch() -> None:
    for said in (None, Campaign(None, None, None, None, None)):
        assert touch_of(None, "", said) is UNKNOWN
    assert UNKNOWN.channel is None


def test_what_the_library_says_of_the_campaign_stands_in_for_the_url() -> None:
    said = Campaign("spring", "News", "email", " ", "c" * 300)
    alone = touch_of(None, None, said)
    assert (alone.source, alone.medium, alone.campaign, alone.term) == ("news", "email", "spring", None)
    assert (alone.channel, alone.landing, len(alone.content or "")) == ("Email", None, 256)
    with_url = touch_of("https://www.google.com/", "/?utm_source=other&utm_medium=cpc", said)
    assert (with_url.source, with_url.medium, with_url.campaign, with_url.channel) == (
        "other",
        "cpc",
        None,
        "Paid Other",
    )


def test_addresses_are_their_own_site() -> None:
    assert site_of("10.0.0.1") == "10.0.0.1"
    assert site_of("localhost") == "localhost"


@given(st.text(alphabet=st.characters()), st.text(alphabet=st.characters()))
def test_any_text_is_read(one: str, other: str) -> None:
    for referrer, landing in (
        (one, other),
        (f"https://{one}", f"https://{other}"),
        (f"https://{one}/", f"?utm_source={other}&{one}"),
    ):
        touch_of(referrer, landing)
    assert channel_of(one, other, one)
