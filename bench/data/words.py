"""Vocabularies of the generated data set: English adjectives and nouns of eight tastes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """Words of one taste; no word belongs to two tastes.

    Attributes
    ----------
    adjectives, nouns
        Names are made of one adjective and one or two nouns.
    """

    adjectives: tuple[str, ...]
    nouns: tuple[str, ...]


def _words(adjectives: str, nouns: str) -> Vocabulary:
    return Vocabulary(tuple(adjectives.split()), tuple(nouns.split()))


VOCABULARIES = (
    _words(
        "stainless copper ceramic nonstick enamel wooden airtight electric induction slow",
        "kettle skillet saucepan whisk spatula ladle colander grater blender toaster teapot "
        "casserole cleaver peeler tray mixer jar apron mortar strainer",
    ),
    _words(
        "moisturizing herbal hydrating soothing fragrant velvety matte radiant gentle nourishing",
        "lipstick mascara shampoo conditioner lotion serum perfume cleanser toner eyeliner "
        "foundation blush balm soap concealer moisturizer powder sunscreen polish scrub",
    ),
    _words(
        "waterproof rugged inflatable foldable insulated thermal breathable reflective alpine",
        "tent backpack lantern compass hammock canteen boots binoculars rope poncho cooler "
        "stove carabiner headlamp paddle kayak tarp thermos gaiters mattress",
    ),
    _words(
        "wireless rechargeable bluetooth digital portable ultrathin optical programmable "
        "smart cordless",
        "headphones charger keyboard monitor router webcam speaker tablet microphone "
        "projector smartwatch adapter printer scanner battery laptop earbuds modem console drone",
    ),
    _words(
        "gripping haunting illustrated annotated bestselling epistolary forgotten unabridged "
        "gothic satirical",
        "novel memoir anthology biography thriller mystery poetry fable chronicle saga "
        "atlas diary romance essay folktale tragedy manuscript sonnet almanac dictionary",
    ),
    _words(
        "organic perennial climbing fertile dwarf heirloom tropical compostable "
        "evergreen flowering",
        "trowel seedling fertilizer trellis mulch wheelbarrow sprinkler pruner planter compost "
        "hose rake shovel greenhouse tulip rosebush fern birdbath terrarium lawnmower",
    ),
    _words(
        "plush magnetic educational colorful musical cuddly miniature interactive "
        "clockwork fluorescent",
        "puzzle dollhouse robot marbles kite dinosaur train teddy puppet blocks trampoline "
        "spaceship unicorn racetrack dominoes balloon crayons figurine slinky castle",
    ),
    _words(
        "acoustic vintage handcrafted chromatic resonant amplified orchestral tunable "
        "baroque melodic",
        "guitar violin ukulele trumpet saxophone clarinet drum cymbal metronome harmonica "
        "cello banjo flute piano mandolin accordion tambourine harp oboe xylophone",
    ),
)
