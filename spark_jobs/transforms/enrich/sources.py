"""Where visitors come from, as data: search engines, social networks, video, shops, AI assistants, advertising clicks.

Categories are those of GA4's list of sources (https://support.google.com/analytics/answer/9756891); AI assistants are
added. A host belongs to the longest entry of `HOSTS` that it ends with, else its brand is looked up in `BRANDS`.
"""

from __future__ import annotations

from typing import Final

SEARCH: Final = "search"
SOCIAL: Final = "social"
VIDEO: Final = "video"
SHOPPING: Final = "shopping"
AI: Final = "ai"
OTHER: Final = "other"


def _of(category: str, words: str) -> dict[str, str]:
    return dict.fromkeys(words.split(), category)


# The label before the public suffix (google in www.google.co.uk), and what campaign links write as `utm_source`.
BRANDS: Final[dict[str, str]] = {
    **_of(
        SEARCH,
        "google bing yahoo duckduckgo ddg baidu yandex ecosia qwant startpage brave naver daum seznam sogou ask aol"
        " so.com 360.cn mojeek swisscows metager dogpile lycos coccoc search.brave kagi presearch youcare ixquick"
        " msn excite virgilio onet rambler zapmeta info.com adwords googleads google-ads google_ads bingads",
    ),
    **_of(
        SOCIAL,
        "facebook fb meta instagram ig linkedin twitter x x.com t.co pinterest reddit tiktok snapchat threads whatsapp"
        " telegram t.me vk vkontakte odnoklassniki tumblr quora weibo wechat weixin line mastodon bluesky bsky discord"
        " messenger xing flipboard nextdoor medium ycombinator hackernews stackoverflow stackexchange livejournal"
        " glassdoor meetup yelp tripadvisor slashdot disqus buffer hootsuite linktree signal viber douban qzone renren"
        " kakaotalk skype zalo xiaohongshu pocket lnkd trustpilot lemmy facebook-ads facebookads",
    ),
    **_of(
        VIDEO,
        "youtube vimeo dailymotion twitch netflix hulu disneyplus bilibili rumble odysee youku iqiyi wistia ted"
        " crunchyroll veoh metacafe niconico nicovideo rutube yt",
    ),
    **_of(
        SHOPPING,
        "amazon ebay etsy walmart aliexpress alibaba shopify mercadolibre mercadolivre rakuten zalando allegro otto"
        " shopee lazada temu shein wish idealo kelkoo pricegrabber shopzilla bestbuy target ikea flipkart ozon"
        " wildberries bol cdiscount taobao tmall jd coupang trendyol hepsiburada shopping.google google-shopping"
        " googleshopping igshopping shop.app pricerunner geizhals",
    ),
    **_of(
        AI,
        "chatgpt openai perplexity claude anthropic gemini copilot deepseek grok mistral chatmistral meta-ai you.com"
        " phind poe notebooklm bard kimi doubao qwen pi.ai character-ai",
    ),
}
# Hosts that are something else than their brand, or whose brand is a common word.
HOSTS: Final[dict[str, str]] = {
    **_of(
        AI,
        "chatgpt.com chat.openai.com perplexity.ai claude.ai gemini.google.com bard.google.com notebooklm.google.com"
        " copilot.microsoft.com copilot.com copilot.cloud.microsoft m365.cloud.microsoft deepseek.com grok.com x.ai"
        " mistral.ai meta.ai you.com phind.com poe.com kimi.com kimi.ai moonshot.cn doubao.com qwen.ai tongyi.com"
        " pi.ai character.ai chat.z.ai yiyan.baidu.com chat.baidu.com duck.ai venice.ai",
    ),
    **_of(
        SEARCH,
        "so.com info.com cn.bing.com search.brave.com lens.google.com kagi.com search.aol.com ask.com"
        " search.naver.com m.search.naver.com search.daum.net search.seznam.cz search.lycos.com ya.ru",
    ),
    **_of(
        SOCIAL,
        "x.com t.co t.me lnkd.in fb.me fb.com m.me wa.me l.instagram.com lm.facebook.com pin.it redd.it"
        " ok.ru vk.com bsky.app news.ycombinator.com groups.google.com plus.google.com line.me snapchat.com medium.com"
        " threads.net threads.com mastodon.social meetup.com getpocket.com tieba.baidu.com zhihu.com"
        " com.facebook.katana com.instagram.android com.twitter.android com.linkedin.android com.pinterest"
        " com.reddit.frontpage com.zhiliaoapp.musically com.snapchat.android org.telegram.messenger com.whatsapp"
        " com.slack com.facebook.orca com.tencent.mm",
    ),
    **_of(VIDEO, "youtu.be ted.com com.google.android.youtube v.qq.com tv.naver.com"),
    **_of(SHOPPING, "shopping.google.com shopping.yahoo.com target.com bol.com otto.de shop.app jd.com wish.com"),
    **_of(
        OTHER,
        "mail.google.com docs.google.com drive.google.com sites.google.com accounts.google.com calendar.google.com"
        " meet.google.com chat.google.com classroom.google.com news.google.com play.google.com support.google.com"
        " translate.google.com mail.yahoo.com news.yahoo.com finance.yahoo.com login.yahoo.com mail.yandex.ru"
        " mail.aol.com cloud.google.com developers.google.com analytics.google.com tagassistant.google.com"
        " ads.google.com aws.amazon.com pay.amazon.com mail.naver.com blog.naver.com cafe.naver.com"
        " metrika.yandex.ru webmaster.yandex.ru zen.yandex.ru disk.yandex.ru pay.google.com payments.google.com"
        " help.x.com webcache.googleusercontent.com",
    ),
}
# Referrers of Android apps (android-app://PACKAGE): the packages that stand for a search engine.
SEARCH_PACKAGES: Final[dict[str, str]] = {
    "com.google.android.googlequicksearchbox": "google",
    "com.google.android.gms": "google",
    "com.microsoft.bing": "bing",
    "com.duckduckgo.mobile.android": "duckduckgo",
}
# The click id an advertiser's system puts into a landing URL -> source and medium. `cpc` where only advertisements
# carry it; `referral` where ordinary links do too. Earlier entries win.
CLICK_IDS: Final[dict[str, tuple[str, str]]] = {
    "gclid": ("google", "cpc"),
    "gbraid": ("google", "cpc"),
    "wbraid": ("google", "cpc"),
    "dclid": ("google", "display"),
    "msclkid": ("bing", "cpc"),
    "yclid": ("yandex", "cpc"),
    "ttclid": ("tiktok", "cpc"),
    "twclid": ("twitter", "cpc"),
    "li_fat_id": ("linkedin", "cpc"),
    "epik": ("pinterest", "cpc"),
    "sccid": ("snapchat", "cpc"),
    "rdt_cid": ("reddit", "cpc"),
    "fbclid": ("facebook", "referral"),
    "igshid": ("instagram", "referral"),
    "igsh": ("instagram", "referral"),
    "srsltid": ("google", "organic"),
}
