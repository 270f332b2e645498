"""The sample events of the demo: drawn ads, posters and pages, and photographs that ship in scikit-image.

Every brand, party and publisher is invented and every domain is a reserved `.example`. The pictures are
plain on purpose: they show how the processor treats an image, and do not flatter the model.
"""

import base64
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any, Final, NamedTuple

import cv2
import numpy as np

from moderation.events import AdContext, ImageEvent, ImageSource, Surface
from stream.demo.canvas import Pixels, gradient, whole, write
from stream.demo.encodings import cmyk_jpeg, cut_out, gif, jpeg, png, truncated, webp
from stream.demo.layouts import PALETTES, Ad, Page, banner, page, placard, poster, scene

MPU: Final = (300, 250)
LEADERBOARD: Final = (728, 90)
SKYSCRAPER: Final = (160, 600)
MOBILE: Final = (320, 50)
BILLBOARD: Final = (970, 250)
SHEET: Final = (480, 680)
SCREEN: Final = (1280, 960)

UNKNOWN_CLIENT: Final = "brand-without-a-policy"
"""A client without a policy file. Its one decision is a review with rule `unknown_client`."""


POLITICAL: Final = ("political",)
WEAPON: Final = ("violence.weapon",)
FIRE: Final = ("violence.fire",)

SHOWS: Final[dict[str, tuple[str, ...] | None]] = {
    "blade-realms-300x250.png": WEAPON,
    "blade-realms-again.png": WEAPON,
    "bakers-fair.png": WEAPON,  # the game's swords, in the ad slot
    "range-day-300x250.jpg": WEAPON,
    "orbit-strike-970x250.jpg": FIRE,
    "night-of-the-furnace.jpg": FIRE,
    "warehouse-fire.jpg": FIRE,
    "rivera-728x90-declared.png": POLITICAL,
    "rivera-728x90-undeclared.png": POLITICAL,
    "wahl-plakat.jpg": POLITICAL,
    "coffee-then-vote.gif": POLITICAL,
    "library-slogan-transparent.png": POLITICAL,
    "mayor-debate.png": POLITICAL,
    "strike-paris.jpg": POLITICAL,
    "march-madrid.jpg": POLITICAL,
    "march-warsaw.jpg": POLITICAL,
    "rally-kyiv.jpg": POLITICAL,
    "climate-march.png": POLITICAL,
    "broken-upload.jpg": None,
    "scalable-ad.svg": None,
    "removed-creative.png": None,
}
"""What a person sees in a sample; samples that are not named show none of the labels."""


class Sample(NamedTuple):
    """One image of the demo. `draw` gives the file's bytes.

    shows: the labels that a person sees in it; None where it is no image that could be looked at.
    """

    name: str
    surface: Surface
    draw: Callable[[], bytes]
    context: dict[str, Any]
    clients: tuple[str, ...] = ()
    shows: tuple[str, ...] | None = ()


class SampleEvent(NamedTuple):
    """An event, the raw image to send beside it (None where the event carries it), its file name, what it shows."""

    event: ImageEvent
    value: bytes | None
    name: str
    shows: tuple[str, ...] | None


def photograph(name: str) -> bytes:
    """A photograph that comes inside the scikit-image package (see its data/README.txt for the origins)."""
    return resources.files("skimage.data").joinpath(name).read_bytes()


def _pixels_of(name: str) -> Pixels:
    packed = np.frombuffer(photograph(name), np.uint8)
    decoded = cv2.imdecode(packed, cv2.IMREAD_COLOR_RGB)
    return np.asarray(decoded, dtype=np.uint8)


def _creative(name: str, draw: Callable[[], bytes], advertiser: str, **context: Any) -> Sample:
    crid = name.rpartition(".")[0]
    facts = {"crid": f"cr-{crid}", "adomain": (f"{advertiser}.example",), "country": "DE", **context}
    return Sample(name, Surface.CREATIVE, draw, facts, shows=SHOWS.get(name, ()))


def _page(name: str, draw: Callable[[], bytes], domain: str, **context: Any) -> Sample:
    slug = name.rpartition(".")[0]
    facts = {"domain": domain, "page_url": f"https://{domain}/{slug}", "country": "GB", **context}
    return Sample(name, Surface.PAGE, draw, facts, shows=SHOWS.get(name, ()))


def _ad(size: tuple[int, int], brand: str, claim: str, action: str, motif: str, palette: str) -> Pixels:
    return banner(size, Ad(brand, claim, action, motif, PALETTES[palette]))


GAME_AD: Final = (MPU, "Blade Realms", "Take back the citadel", "Play free", "swords", "ember")
CAMPAIGN_AD: Final = (LEADERBOARD, "Rivera for Mayor", "On Sunday, vote for a city that works", "Join us",
                      "ballot", "flag")  # fmt: skip


def _turning_campaign() -> bytes:
    """An animation that sells coffee for two frames and asks for a vote in the last."""
    coffee = _ad(MPU, "Corner Coffee", "Your first cup is free", "Find a shop", "cup", "kraft")
    warm = _ad(MPU, "Corner Coffee", "Roasted this morning", "Find a shop", "cup", "kraft")
    vote = _ad(MPU, "Corner Party", "VOTE FOR US ON SUNDAY", "Register", "ballot", "flag")
    return gif([coffee, warm, vote], frame_ms=1500)


def _slogan_on_nothing() -> bytes:
    blank = gradient((600, 400), (255, 255, 255), (255, 255, 255))
    write(blank, "DEFEND THE PUBLIC LIBRARY", whole(blank).part(0.05, 0.1, 0.95, 0.9), (10, 10, 10))
    return cut_out(blank)


def _svg() -> bytes:
    return (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="300" height="250"><rect width="300" height="250" '
        b'fill="#2471a3"/><text x="30" y="130" font-size="30" fill="#fff">Scalable ad</text></svg>'
    )


def _error_page() -> bytes:
    return b"<!doctype html><title>404</title><h1>Not Found</h1><p>The creative has been removed.</p>"


CREATIVES: Final = (
    _creative("harbour-roast-300x250.png", lambda: png(_ad(MPU, "Harbour Roast",
        "Slow mornings, fresh coffee",
        "Order now", "cup", "kraft")), "harbour-roast", seat="seat-12", cattax=1, cat=("IAB8-5",),
        impressions=182_000),
    _creative("nordbank-728x90.png", lambda: png(_ad(LEADERBOARD, "Nordbank",
        "A mortgage that moves with you",
        "See rates", "city", "sea")), "nordbank", seat="seat-7", cattax=1, cat=("IAB13",),
        impressions=640_000),
    _creative("alta-trails-160x600.webp", lambda: webp(_ad(SKYSCRAPER, "Alta Trails",
        "Six days. Nine peaks. One rucksack.",
        "Plan a trip", "hills", "forest")), "alta-trails", seat="seat-7", cattax=1, cat=("IAB20",),
        impressions=58_000),
    _creative("pocket-chess-320x50.png", lambda: png(_ad(MOBILE, "Pocket Chess", "Play in five minutes",
        "Install",
        "phone", "dusk")), "pocket-chess", seat="game-studio", cattax=1, cat=("IAB9-7",),
        impressions=1_450_000),
    _creative("volta-970x250.jpg", lambda: jpeg(_ad(BILLBOARD, "Volta", "The electric car for long roads",
        "Book a test drive", "car", "steel")), "volta", seat="seat-2", cattax=1, cat=("IAB2",),
        impressions=97_000),
    _creative("stride-sale-300x250.jpg", lambda: jpeg(_ad(MPU, "Stride",
        "Running shoes, half price until Friday",
        "Shop now", "shoe", "sea")), "stride", seat="seat-2", cattax=1, cat=("IAB18",), impressions=310_000),
    _creative("summer-swim-160x600.jpg", lambda: jpeg(_ad(SKYSCRAPER, "Summer Swim",
        "New in: the beach collection",
        "Look inside", "figure", "coral")), "summer-swim", seat="seat-12", cattax=1, cat=("IAB18",),
        impressions=74_000),
    _creative("spring-water-print.jpg", lambda: cmyk_jpeg(_ad(MPU, "Quelle", "Water from 300 metres below",
        "Taste it", "bottle", "forest")), "quelle", seat="seat-9", impressions=12_000),
    _creative("blade-realms-300x250.png", lambda: png(_ad(*GAME_AD)), "blade-realms", seat="game-studio",
        cattax=1,
        cat=("IAB9-30",), impressions=820_000),
    _creative("blade-realms-again.png", lambda: png(_ad(*GAME_AD)), "blade-realms", seat="seat-44", cattax=1,
        cat=("IAB9-30",), impressions=90_000),
    _creative("orbit-strike-970x250.jpg", lambda: jpeg(_ad(BILLBOARD, "Orbit Strike",
        "Their fleet. Your fire.",
        "Play free", "explosion", "ember")), "orbit-strike", seat="game-studio", cattax=1, cat=("IAB9-30",),
        impressions=410_000),
    _creative("range-day-300x250.jpg", lambda: jpeg(_ad(MPU, "Range Day", "Target pistols, in stock",
        "See models",
        "pistol", "steel")), "range-day", seat="seat-50", country="US", impressions=33_000),
    _creative("night-of-the-furnace.jpg", lambda: jpeg(poster(SHEET, "NIGHT OF THE FURNACE",
        "In cinemas from Friday",
        "fire", PALETTES["ember"])), "furnace-film", seat="seat-12", cattax=1, cat=("IAB1-5",),
        impressions=205_000),
    _creative("open-air-concert.png", lambda: png(poster(SHEET, "Open-air: the river concerts",
        "July, free entry",
        "note", PALETTES["dusk"])), "river-concerts", seat="seat-9", cattax=1, cat=("IAB1-6",),
        impressions=21_000),
    _creative("rivera-728x90-declared.png", lambda: png(_ad(*CAMPAIGN_AD)), "rivera-for-mayor",
        seat="seat-60",
        country="FR", declared_political=True, impressions=150_000),
    _creative("rivera-728x90-undeclared.png", lambda: png(_ad(*CAMPAIGN_AD)), "city-matters", seat="seat-61",
        country="FR", declared_political=False, impressions=88_000),
    _creative("wahl-plakat.jpg", lambda: jpeg(poster(SHEET, "Für ein Dorf, das zusammenhält",
        "Am 9. Juni: Liste 4 wählen",
        "ballot", PALETTES["flag"])), "liste-vier", seat="seat-60", country="AT", impressions=47_000),
    _creative("coffee-then-vote.gif", _turning_campaign, "corner-coffee", seat="seat-61", country="IE",
        declared_political=False, impressions=120_000),
    _creative("library-slogan-transparent.png", _slogan_on_nothing, "library-friends", seat="seat-61",
        impressions=5_000),
    _creative("coffee-photo.png", lambda: photograph("coffee.png"), "harbour-roast", seat="seat-12",
        impressions=66_000),
    _creative("broken-upload.jpg", lambda: truncated(jpeg(_ad(BILLBOARD, "Volta", "The electric car",
        "Test drive",
        "car", "steel"))), "volta", seat="seat-2", impressions=3_000),
    _creative("scalable-ad.svg", _svg, "nordbank", seat="seat-7", impressions=9_000),
    _creative("removed-creative.png", _error_page, "alta-trails", seat="seat-7", impressions=1_000),
    _creative("new-brand-300x250.png", lambda: png(_ad(MPU, "New Brand", "We have just signed up", "Hello",
        "star",
        "dusk")), "new-brand", seat="seat-70", impressions=400)._replace(clients=(UNKNOWN_CLIENT,)),
)  # fmt: skip

COURIER: Final = "millbrook-courier.example"
GAZETTE: Final = "harbour-gazette.example"


def _news(size: tuple[int, int], headline: str, caption: str, hero: Pixels, *ads: Pixels) -> Pixels:
    return page(size, Page("The Millbrook Courier", headline, caption, hero, ads))


PAGES: Final = (
    _page("bakers-fair.png", lambda: png(_news(SCREEN, "Bakers' fair fills the square",
        "Coffee and cake from nine",
        _pixels_of("coffee.png"), _ad(*GAME_AD))), COURIER, cattax=1, cat=("IAB8",), seat="game-studio",
            impressions=41_000),
    _page("rescue-cat.jpg", lambda: jpeg(_news(SCREEN, "Chelsea, rescued twice, finds a home",
        "Photo: S. van der Walt",
        _pixels_of("chelsea.png"))), COURIER, cattax=1, cat=("IAB16",), impressions=230_000),
    _page("mayor-debate.png", lambda: png(_news(SCREEN,
        "Candidates meet for the last debate before the vote", "Drawing: the Courier",
        scene((900, 450), "ballot", PALETTES["flag"]),
        _ad(MPU, "Nordbank", "A mortgage that moves with you", "See rates", "city", "sea"))), COURIER,
        cattax=1, cat=("IAB11-4",), impressions=98_000),
    _page("warehouse-fire.jpg", lambda: jpeg(_news(SCREEN, "Warehouse burns for a second night",
        "Drawing: the Courier",
        scene((900, 450), "fire", PALETTES["ember"]))), COURIER, cattax=1, cat=("IAB12",),
        impressions=377_000),
    _page("long-read-mobile.png", lambda: png(_news((760, 3600),
        "A walk along the river, from the spring to the sea",
        "Drawing: the Courier", scene((900, 450), "hills", PALETTES["forest"]))), GAZETTE, cattax=1,
        cat=("IAB20",), impressions=18_000),
    _page("strike-paris.jpg", lambda: jpeg(placard((960, 640), "GRÈVE GÉNÉRALE LE 5 MAI",
        PALETTES["kraft"])), GAZETTE, impressions=52_000),
    _page("march-madrid.jpg", lambda: jpeg(placard((960, 640), "¡NI UN PASO ATRÁS!", PALETTES["flag"])),
        GAZETTE, impressions=61_000),
    _page("march-warsaw.jpg", lambda: jpeg(placard((960, 640), "WOLNE MEDIA, WOLNY WYBÓR",
        PALETTES["coral"])), GAZETTE, impressions=17_000),
    _page("rally-kyiv.jpg", lambda: jpeg(placard((960, 640), "СВОБОДА СЛОВА", PALETTES["sea"])), GAZETTE,
        impressions=23_000),
    _page("climate-march.png", lambda: png(poster(SHEET, "CLIMATE JUSTICE NOW",
        "March on Friday, noon, Central Square",
        "megaphone", PALETTES["forest"])), GAZETTE, impressions=140_000),
    _page("astronaut.png", lambda: photograph("astronaut.png"), GAZETTE, cattax=1, cat=("IAB15",),
        impressions=77_000),
    _page("rocket.jpg", lambda: photograph("rocket.jpg"), GAZETTE, cattax=1, cat=("IAB15",),
        impressions=95_000),
    _page("deep-field.jpg", lambda: photograph("hubble_deep_field.jpg"), GAZETTE, cattax=1, cat=("IAB15",),
        impressions=12_000),
    _page("photographer.png", lambda: photograph("camera.png"), GAZETTE, impressions=8_000),
    _page("scanned-page.png", lambda: photograph("page.png"), GAZETTE, impressions=2_000),
)  # fmt: skip

SAMPLES: Final = CREATIVES + PAGES


def as_event(sample: Sample, image: bytes, *, raw: bool) -> ImageEvent:
    """The event of a sample: with the image in base64, or without it where the record's value is the image."""
    source = None if raw else ImageSource(base64=base64.b64encode(image).decode())
    return ImageEvent(
        event_id=sample.name,
        surface=sample.surface,
        clients=sample.clients,
        image=source,
        context=AdContext(**sample.context),
    )


def sample_events() -> Iterator[SampleEvent]:
    """Every sample in turn, drawn when asked for, the two encodings of events taking turns."""
    for number, sample in enumerate(SAMPLES):
        image, raw = sample.draw(), number % 2 == 1
        yield SampleEvent(as_event(sample, image, raw=raw), image if raw else None, sample.name, sample.shows)
