# ruff: noqa: E501 - agents are as long as they are
"""User-Agent strings of ordinary people's browsers, apps, televisions and consoles: none of them is a robot."""

from __future__ import annotations

_KHTML = "AppleWebKit/537.36 (KHTML, like Gecko)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
_ANDROID_PHONES = (
    "K",
    "SM-S918B",
    "Pixel 8",
    "CUBOT_X19",
    "CUBOT NOTE 20",
    "CUBOT KING KONG 5 Build/QP1A",
    "Cubot P40",
    "Redmi Note 12",
    "CPH2449",
    "V2203",
    "moto g(60)",
    "Nokia G20",
    "ONEPLUS A6003",
    "HUAWEI P30 Build/HUAWEIELE-L29",
    "RMX3085",
    "TECNO KI5k",
    "Infinix X6711",
    "BOTANIC 5 Build/RP1A",
    "iBOT Mini Build/1",
    "Spider X Build/2",
)
_DESKTOPS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "X11; CrOS x86_64 14541.0.0",
    "Windows NT 6.1; WOW64",
)
_SUFFIXES = ("", " Edg/125.0.0.0", " OPR/110.0.0.0", " Vivaldi/6.7.3329.35", " YaBrowser/24.4.0.0")
DESKTOP = [f"Mozilla/5.0 ({d}) {_KHTML} Chrome/125.0.0.0 Safari/537.36{s}" for d in _DESKTOPS for s in _SUFFIXES] + [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:126.0) Gecko/20100101 Firefox/126.0",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; .NET CLR 2.0.50727)",
]
MOBILE = [
    f"Mozilla/5.0 (Linux; Android 13; {m}) {_KHTML} Chrome/125.0.0.0 Mobile Safari/537.36" for m in _ANDROID_PHONES
] + [
    f"{_IPHONE} Version/17.5 Mobile/15E148 Safari/604.1",
    f"{_IPHONE} CriOS/125.0.6422.80 Mobile/15E148 Safari/604.1",
    f"{_IPHONE} FxiOS/126.0 Mobile/15E148 Safari/605.1.15",
    f"{_IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/465.0.0.35;FBDV/iPhone14,5;FBSN/iOS;FBSV/17.5]",
    f"{_IPHONE} Mobile/15E148 Instagram 332.0.2.25.99 (iPhone14,5; iOS 17_5; en_US)",
    f"{_IPHONE} Mobile/15E148 musical_ly_34.5.0 BytedanceWebview/d8a21c6",
    f"{_IPHONE} GSA/317.0.634488990 Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (Linux; Android 14; SM-A546B; wv) {_KHTML} Version/4.0 Chrome/125.0.0.0 Mobile Safari/537.36 [FB_IAB/FB4A;]",
    f"Mozilla/5.0 (Linux; Android 14; SM-A546B; wv) {_KHTML} Version/4.0 Chrome/125.0.0.0 Mobile Safari/537.36 Pinterest/0.0",
    f"Mozilla/5.0 (Linux; Android 13; SM-S901B) {_KHTML} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Android 14; Mobile; rv:126.0) Gecko/126.0 Firefox/126.0",
    "Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; id) Presto/2.12.423 Version/12.16",
    "Dalvik/2.1.0 (Linux; U; Android 13; SM-S911B Build/TP1A.220624.014)",
]
TABLET = [
    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (Linux; Android 13; SM-X700) {_KHTML} Chrome/125.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Android 13; Tablet; rv:126.0) Gecko/126.0 Firefox/126.0",
    f"Mozilla/5.0 (Linux; Android 9; KFMAWI) {_KHTML} Silk/108.4.6 like Chrome/108.0.5359.220 Safari/537.36",
]
TV = [
    f"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) {_KHTML} SamsungBrowser/4.0 Chrome/76.0.3809.146 TV Safari/537.36",
    f"Mozilla/5.0 (Web0S; Linux/SmartTV) {_KHTML} Chrome/94.0.4606.128 Safari/537.36 WebAppManager",
    f"Mozilla/5.0 (Linux; Android 9; BRAVIA 4K UR2) {_KHTML} Chrome/90.0.4430.91 Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 7.1.2; AFTMM Build/NS6265; wv) {_KHTML} Version/4.0 Chrome/70.0.3538.110 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 10; Chromecast) {_KHTML} Chrome/90.0 Safari/537.36 CrKey/1.56.500000",
]
CONSOLE = [
    "Mozilla/5.0 (PlayStation; PlayStation 5/2.26) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) {_KHTML} Chrome/125.0.0.0 Safari/537.36 Edge/44.18363.8131",
    "Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet) AppleWebKit/609.4 (KHTML, like Gecko) NF/6.0.2.21.3 NintendoBrowser/5.1",
]
CLASSES = {"desktop": DESKTOP, "mobile": MOBILE, "tablet": TABLET, "tv": TV, "other": CONSOLE}
