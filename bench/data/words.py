"""Vocabularies of the generated data set: English adjectives and nouns of eight tastes."""

_TASTES = """
stainless copper ceramic nonstick enamel wooden airtight electric induction slow |
kettle skillet saucepan whisk spatula ladle colander grater blender toaster teapot casserole cleaver
peeler tray mixer jar apron mortar strainer

moisturizing herbal hydrating soothing fragrant velvety matte radiant gentle nourishing |
lipstick mascara shampoo conditioner lotion serum perfume cleanser toner eyeliner foundation blush
balm soap concealer moisturizer powder sunscreen polish scrub

waterproof rugged inflatable foldable insulated thermal breathable reflective alpine |
tent backpack lantern compass hammock canteen boots binoculars rope poncho cooler stove carabiner
headlamp paddle kayak tarp thermos gaiters mattress

wireless rechargeable bluetooth digital portable ultrathin optical programmable smart cordless |
headphones charger keyboard monitor router webcam speaker tablet microphone projector smartwatch
adapter printer scanner battery laptop earbuds modem console drone

gripping haunting illustrated annotated bestselling epistolary forgotten unabridged gothic satirical
|
novel memoir anthology biography thriller mystery poetry fable chronicle saga atlas diary romance
essay folktale tragedy manuscript sonnet almanac dictionary

organic perennial climbing fertile dwarf heirloom tropical compostable evergreen flowering |
trowel seedling fertilizer trellis mulch wheelbarrow sprinkler pruner planter compost hose rake
shovel greenhouse tulip rosebush fern birdbath terrarium lawnmower

plush magnetic educational colorful musical cuddly miniature interactive clockwork fluorescent |
puzzle dollhouse robot marbles kite dinosaur train teddy puppet blocks trampoline spaceship unicorn
racetrack dominoes balloon crayons figurine slinky castle

acoustic vintage handcrafted chromatic resonant amplified orchestral tunable baroque melodic |
guitar violin ukulele trumpet saxophone clarinet drum cymbal metronome harmonica cello banjo flute
piano mandolin accordion tambourine harp oboe xylophone
"""
VOCABULARIES = tuple(
    (adjectives.split(), nouns.split())
    for adjectives, nouns in (taste.split("|") for taste in _TASTES.split("\n\n"))
)
"""Adjectives and nouns of each taste; no word belongs to two tastes."""
