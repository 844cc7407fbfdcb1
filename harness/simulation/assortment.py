"""The assortment of the simulated shop: products with readable names, grouped by theme."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, islice, zip_longest
from typing import Final

import attrs

from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.money import PER_UNIT, Amount
from realtime_pipeline.domain.shop.product import Product

ARTICLES: Final[dict[str, dict[str, str]]] = {
    "Kitchen": {
        "coffee": "Stoneware Coffee Mug, {Cream|Slate|Moss} 14; Pour-Over Dripper, {1 Cup<4 Cups} 24;"
        "Burr Hand Grinder, {Steel|Walnut} 62; Espresso Tamper {51 mm<58 mm} 19; Milk Jug {350 ml<600 ml} 21",
        "baking": "Rye Proving Basket, {Round|Oval} 17; Springform Tin {20 cm<26 cm} 18; Beech Rolling Pin 15;"
        "Silicone Baking Mat, {Half Sheet<Full Sheet} 13; Digital Kitchen Scale, {White|Black} 29; Bench Scraper 9",
        "pans": "Cast-Iron Frying Pan {20 cm<24 cm<28 cm} 34; Enamelled Casserole {4 l<6 l} 89;"
        "Carbon Steel Wok {30 cm<35 cm} 46; Glass Saucepan Lid {20 cm<24 cm} 16; Copper Saucepan {1 l<2 l} 98",
        "tea": "Glass Teapot with Strainer {0.8 l<1.2 l} 32; Darjeeling First Flush, {100 g<250 g} 14;"
        "Matcha Whisk, {Bamboo|Black Bamboo} 16; Porcelain Tea Bowl, {White|Celadon} 18; Tea Caddy, {Red|Navy} 12",
    },
    "Outdoor": {
        "camping": "Trekking Tent, {2 Persons<3 Persons} 219; Down Sleeping Bag, {Summer<Three-Season} 149;"
        "Titanium Cooking Pot {750 ml<1.1 l} 49; Inflatable Sleeping Mat, {Regular<Wide} 79; Gas Stove {Mini<Duo} 39",
        "hiking": "Merino Hiking Socks, {Short<Long} 19; Folding Trekking Poles, {Aluminium<Carbon} 74;"
        "Day Pack {22 l<30 l} 85; Insulated Bottle {0.5 l<1 l} 28; Rain Cover for Packs {to 30 l<to 60 l} 18",
        "climbing": "Sit Harness, {S|M|L} 69; Single Rope 9.5 mm, {40 m<60 m} 109; Chalk Bag, {Ochre|Teal} 22;"
        "Screw-Gate Carabiner, {Pear|Oval} 13; Quickdraw Set, {5 Pieces<6 Pieces} 84",
        "fishing": "Fly Rod 9 ft, {4 Weight|5 Weight} 139; Landing Net, {Trout<Pike} 34; Fly Box, {Dry|Nymph} 24;"
        "Braided Line 150 m, {0.10 mm<0.14 mm} 19; Chest Waders, {M|L|XL} 119",
    },
    "Books": {
        "crime": "The Lighthouse Ledger, {Paperback<Hardcover} 12; Death at Low Tide, {Paperback<Hardcover} 11;"
        "The Silent Archivist, {Paperback<Hardcover} 13; A Cold Harbour, {Paperback<Hardcover} 12;"
        "Nine Keys to Marlow House, {Paperback<Hardcover} 14",
        "cooking": "One Pot, Seven Evenings, {Paperback<Hardcover} 19; The Sourdough Year, {Paperback<Hardcover} 24;"
        "Salt, Smoke and Ember, {Paperback<Hardcover} 22; The Vegetable Drawer, {Paperback<Hardcover} 20;"
        "Soups for Long Winters, {Paperback<Hardcover} 18",
        "history": "A Short History of Salt, {Paperback<Hardcover} 16; The Canal Builders, {Paperback<Hardcover} 17;"
        "Maps That Were Wrong, {Paperback<Hardcover} 21; Letters from the Hanse, {Paperback<Hardcover} 19;"
        "The Winter Road East, {Paperback<Hardcover} 18",
        "science": "How Rivers Decide, {Paperback<Hardcover} 17; The Patient Telescope, {Paperback<Hardcover} 19;"
        "Ten Useful Numbers, {Paperback<Hardcover} 15; What Moss Knows, {Paperback<Hardcover} 16;"
        "The Shape of Weather, {Paperback<Hardcover} 18",
    },
    "Garden": {
        "sowing": "Tomato Seeds, {San Marzano|Ox Heart|Black Cherry} 4; Seed Tray, {24 Cells<60 Cells} 11;"
        "Peat-Free Seed Compost {10 l<20 l} 8; Wooden Dibber 12; Coir Pots, {20 Pieces<50 Pieces} 9",
        "pruning": "Bypass Secateurs, {Small Hand<Large Hand} 42; Folding Pruning Saw {17 cm<21 cm} 36;"
        "Telescopic Loppers, {Bypass|Anvil} 54; Gardening Gloves, {S|M|L} 16; Hedge Shears {54 cm<64 cm} 39",
        "watering": "Galvanised Watering Can {5 l<9 l} 34; Soaker Hose {15 m<30 m} 26; Rain Gauge, {Glass|Copper} 19;"
        "Brass Spray Nozzle, {Fine|Jet} 17; Hose Reel, {Wall-Mounted|Free-Standing} 64",
        "barbecue": "Kettle Charcoal Grill {47 cm<57 cm} 149; Chimney Starter, {Small<Large} 27; Grill Tongs 18;"
        "Oak Smoking Chips {0.7 kg<1.5 kg} 9; Cast-Iron Griddle Plate, {Half<Full} 44; Apron, {Canvas|Leather} 39",
    },
    "Toys": {
        "building": "Harbour Crane Building Set, {240 Pieces<420 Pieces} 34; Marble Run, {60 Pieces<120 Pieces} 39;"
        "Magnetic Tiles, {32 Pieces<64 Pieces} 44; Crystal Radio Kit 24; Suspension Bridge Kit, {Card|Wood} 22;"
        "Gear Wheel Workshop 29",
        "board-games": "Lantern Islands, {Base Game|Travel Edition} 32; Salt Merchants, {Base Game|Duel} 36;"
        "Backgammon Set, {Cork|Leather} 58; Dominoes in a Wooden Box, {Double Six<Double Nine} 19;"
        "Chess Set, {Travel<Tournament} 42",
        "plush": "Plush Badger, {Small<Large} 19; Plush Otter, {Small<Large} 19; Plush Barn Owl, {Small<Large} 21;"
        "Hand Puppet, {Fox|Wolf|Goose} 17; Comfort Blanket, {Rabbit|Bear} 16",
        "wooden-trains": "Wooden Train Oval {18 Pieces<32 Pieces} 32; Lifting Bridge, {Red|Natural} 24;"
        "Goods Wagon, {Timber|Milk|Coal} 11; Battery Engine, {Green|Blue} 27; Station with Clock 29",
    },
    "Audio": {
        "headphones": "Closed-Back Headphones, {Black|Sand} 149; In-Ear Monitors, {Single Driver<Dual Driver} 79;"
        "Open-Back Headphones, {Wired<Wireless} 199; Headphone Stand, {Oak|Ash} 36; Velour Ear Pads, {Round|Oval} 24",
        "vinyl": "Belt-Drive Turntable, {White|Walnut} 289; Record Brush, {Carbon Fibre|Velvet} 18; Stylus Scale 22;"
        "Moving-Magnet Cartridge, {Conical<Elliptical} 64; Inner Sleeves, {25 Pieces<50 Pieces} 14; Platter Mat 26",
        "speakers": "Bookshelf Speakers, Pair, {Oak|Black|White} 329; Portable Speaker, {Mini<Midi} 69;"
        "Speaker Cable, {5 m<10 m} 19; Speaker Stands, {60 cm<70 cm} 99; Isolation Pads 29",
        "recording": "Large-Diaphragm Microphone, {Cardioid<Multi-Pattern} 189; Pop Filter, {Nylon|Metal} 17;"
        "USB Audio Interface, {2 Inputs<4 Inputs} 129; Boom Arm, {Short<Long} 59; XLR Cable {3 m<6 m} 15",
    },
    "Sport": {
        "trail-running": "Trail Running Vest {5 l<10 l} 94; Soft Flask {0.25 l<0.5 l} 16; Headlamp, {300 lm<600 lm} 49;"
        "Trail Shoes, {Light Ground|Deep Mud} 129; Running Gaiters, {Orange|Grey} 24",
        "cycling": "Floor Pump, {Steel|Alloy} 44; Commuter Helmet, {S|M|L} 69; Folding Lock {75 cm<90 cm} 74;"
        "Pannier Bag, {Single<Pair} 62; Multi-Tool, {11 Functions<19 Functions} 27",
        "yoga": "Cork Yoga Mat, {Standard<Extra Long} 54; Yoga Block, {Cork|Birch} 17; Bolster, {Round|Rectangular} 42;"
        "Cotton Strap {1.8 m<2.4 m} 11; Meditation Cushion, {Plum|Indigo} 39",
        "swimming": "Swim Goggles, {Clear|Smoke|Mirror} 22; Pull Buoy, {Junior<Adult} 14; Silicone Cap, {Red|Blue} 9;"
        "Microfibre Towel, {Medium<Large} 19; Swim Fins, {Short|Long} 34",
    },
    "Office": {
        "notebooks": "Dotted Notebook A5, {Ink Blue|Brick|Forest} 16; Reporter's Pad, {Lined|Plain} 7;"
        "Weekly Planner, {Pocket<Desk} 19; Index Cards, {100 Pieces<250 Pieces} 6; Sketchbook {A5<A4} 18",
        "pens": "Fountain Pen, {Fine|Medium|Broad} 38; Bottled Ink 50 ml, {Sepia|Midnight|Pine} 14;"
        "Brass Pencil Sharpener, {Single<Double} 9; Drafting Pencil {0.5 mm|0.7 mm} 17; Ink Converter 6",
        "desk": "Standing Desk Frame, {Single Motor<Dual Motor} 349; Felt Desk Mat, {Medium<Large} 34;"
        "Monitor Arm, {Single<Double} 89; Clamp-On Desk Lamp, {White|Black} 64; Cable Tray, {Mesh|Solid} 26",
        "filing": "Lever Arch File, {Blue|Grey|Black} 5; Letter Tray, {Single<Stack of 3} 12; Archive Box {A4<A3} 8;"
        "Label Maker, {Handheld<Desktop} 44; Expanding File, {7 Pockets<13 Pockets} 14",
    },
    "Home": {
        "lighting": "Paper Pendant Lamp {45 cm<60 cm} 36; Reading Floor Lamp, {Brass|Black} 119; Plug-In Dimmer 24;"
        "Filament Bulb E27, {Warm|Amber} 9; LED Strip, {2 m<5 m} 29; Bedside Lamp, {Opal|Smoked} 49",
        "bedding": "Linen Duvet Cover, {Single<Double} 119; Percale Pillowcase, {White|Sage} 22;"
        "Wool Blanket, {Ash|Rust} 89; Buckwheat Pillow, {Small<Large} 44; Quilted Mattress Pad {90 cm<160 cm} 54",
        "candles": "Beeswax Pillar Candle {10 cm<15 cm} 13; Scented Candle, {Cedar|Fig|Sea Salt} 26; Wick Trimmer 12;"
        "Dinner Candles, {6 Pieces<12 Pieces} 11; Brass Candle Holder, {Low<Tall} 19",
        "bathroom": "Waffle Bath Towel, {White|Clay} 32; Teak Bath Mat, {Small<Large} 48; Soap Dish, {Slate|Clay} 15;"
        "Olive Oil Soap, {Lavender|Unscented} 7; Linen Shower Curtain, {180 cm<200 cm} 44",
    },
    "Pets": {
        "dogs": "Leather Dog Lead, {1.2 m<2 m} 34; Orthopaedic Dog Bed, {M<L} 69; Rope Tug Toy, {Short|Long} 11;"
        "Grain-Free Dog Biscuits {400 g<1 kg} 9; Reflective Dog Collar, {S|M|L} 19",
        "cats": "Sisal Scratching Post {60 cm<90 cm} 44; Feather Wand, {Goose|Pheasant} 9; Cat Cave, {Felt|Wool} 48;"
        "Drinking Fountain, {1.5 l<2.5 l} 36; Freeze-Dried Salmon Treats {50 g<150 g} 8",
        "aquarium": "Aquarium Filter, {to 60 l<to 120 l} 39; Fine Gravel 5 kg, {Black|Natural} 14; Algae Magnet 16;"
        "Aquarium Heater {50 W<100 W} 26; Java Fern, {Potted|on Wood} 11; Water Test Kit, {5-in-1<Complete} 24",
        "birds": "Nest Box, {Tit|Sparrow|Robin} 24; Sunflower Hearts {1 kg<5 kg} 9; Window Feeder, {Clear|Cedar} 21;"
        "Suet Balls, {10 Pieces<50 Pieces} 8; Bird Bath, {Stone|Copper} 49",
    },
}
"""Category → theme → articles: a name with its variants in braces, and a typical price.

Variants separated by `|` cost the same; of variants separated by `<`, each costs more than its predecessor.
"""

MAKERS: Final = (
    "Alder & Vane",
    "Birchwood",
    "Calloway",
    "Dunmore",
    "Eastlake",
    "Fenwick",
    "Greyfriars",
    "Hollis & Daughter",
    "Innes",
    "Juniper Row",
    "Kestrel",
    "Larkin",
    "Marlow",
    "Northgate",
    "Ostler",
    "Pembury",
    "Quayside",
    "Rowan & Pike",
    "Saltmarsh",
    "Thornbury",
    "Underhill",
    "Verity",
    "Wexford",
    "Yarrow",
)
"""Makers: their names tell further products apart, once every article was offered without a maker."""

ENDINGS: Final = (0, 100, 500, 500, 1_000, 1_000)
"""What is subtracted from whole units for realistic prices, in ten-thousandths: 14.00, 13.99, 13.95, 13.90."""


@attrs.frozen(eq=False)
class StockedProduct:
    """A product of the shop: its properties in events, in full and in short, and its true quality, in stars."""

    details: dict[str, object]
    short_details: dict[str, object]
    quality: float


@attrs.frozen(eq=False)
class Theme:
    """Products that are viewed together, their cumulative popularity weights, and the other themes of the category."""

    products: Sequence[StockedProduct]
    popularity: Sequence[float]
    related: list["Theme"]


def assortment(products: int = 400, seed: int = 0) -> list[Product]:
    """Make an assortment, one product of each theme in turn.

    The seed decides the prices. A product has the same id, name and price in an assortment of any size.

    Raises:
        ValueError: there are not so many names.
    """
    series = [
        _series(category, theme, articles, random.Random(f"{seed}:{theme}"))
        for category, themes in ARTICLES.items()
        for theme, articles in themes.items()
    ]
    rounds = zip(*series, strict=False)
    offered = list(islice((product for of_themes in rounds for product in of_themes), products))
    if len(offered) < products:
        raise ValueError(f"the shop has names for {len(offered)} products, not for {products}")
    return offered


def theme_of(product: Product) -> str:
    """Read the theme from the product's id (`trail-running-07`); other products have their category as theme."""
    theme, _, number = product.product_id.rpartition("-")
    return theme if theme and number.isdigit() else product.category or ""


def group_by_theme(products: list[Product], qualities: Mapping[ProductId, float], rng: random.Random) -> list[Theme]:
    """Group products by theme, order themes and products randomly by popularity, and link the themes of a category."""
    by_theme: dict[tuple[str | None, str], list[StockedProduct]] = defaultdict(list)
    for product in rng.sample(products, len(products)):
        by_theme[product.category, theme_of(product)].append(_stocked(product, qualities[product.product_id]))
    themes = {key: Theme(stocked, zipf(len(stocked)), []) for key, stocked in by_theme.items()}
    categories: dict[str | None, list[Theme]] = defaultdict(list)
    for (category, _), theme in themes.items():
        categories[category].append(theme)
    for (category, _), theme in themes.items():
        theme.related.extend(other for other in categories[category] if other is not theme)
    return list(themes.values())


def zipf(length: int) -> list[float]:
    """Cumulative weights of Zipf's law (1, 1/2, 1/3, …), for `random.choices`."""
    return list(accumulate(1 / rank for rank in range(1, length + 1)))


def _stocked(product: Product, quality: float) -> StockedProduct:
    price = None if product.price is None else product.price / PER_UNIT
    properties = {"product_id": product.product_id, "name": product.name, "category": product.category, "price": price}
    facts: dict[str, object] = {field: value for field, value in properties.items() if value is not None}
    mention = {field: value for field, value in facts.items() if field != "name"}
    return StockedProduct(facts, mention, quality)


def _series(category: str, theme: str, articles: str, rng: random.Random) -> Iterator[Product]:
    """Name the products of a theme: first one variant of every article, then the next variant of each."""
    number = 0
    for maker in ("", *MAKERS):
        columns = [_variants(article.strip(), rng) for article in articles.split(";")]
        for variant in zip_longest(*columns):
            for name, price in filter(None, variant):
                number += 1
                full_name = f"{name} by {maker}" if maker else name
                yield Product(ProductId(f"{theme}-{number:02d}"), full_name, category, price)


def _variants(article: str, rng: random.Random) -> list[tuple[str, Amount]]:
    """Expand the variants of an article, with prices around the typical price."""
    template, _, typical = article.rpartition(" ")
    before, _, rest = template.partition("{")
    inside, _, after = rest.partition("}")
    step = 0.4 if "<" in inside else 0.0
    units = int(typical) * rng.uniform(0.9, 1.1)
    ending = rng.choice(ENDINGS)
    return [
        (f"{before}{variant}{after}", Amount(round(units * (1 + step * number)) * PER_UNIT - ending))
        for number, variant in enumerate(inside.replace("<", "|").split("|"))
    ]
