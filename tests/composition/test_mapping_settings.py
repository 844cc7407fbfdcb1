"""Mappings in the settings: what is wrong with one is said in a line, with what was meant."""

from pathlib import Path

import attrs
import pytest

from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.composition.mappings import compile_mapping, find_mapping
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.composition.settings_file import load_settings
from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.mapping.definitions import EventMapping, EventRule, Field

SHOP = """
currency = "EUR"
exchange_rates = [{currency = "USD", since = 2026-01-01, rate = 0.9}]
[mapping.shop]
time = ["%d.%m.%Y %H:%M", "iso"]
timezone = "Europe/Berlin"
decimal = ","
types = {Kauf = "purchase"}
[mapping.shop.fields]
event_type = "art"
price = "preis"
quantity = 1
name = ["titel", "name"]
order_id = {path = "nr", remove_suffix = ".0"}
[[mapping.shop.events]]
when = {art = ["Kauf", "Storno"], menge = {at_least = 1}}
unless = {test = true}
split = {zeile = "zeilen"}
fields = {product_id = "zeile.artikel"}
"""


def settings_of(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "settings.toml"
    file.write_text(text, "utf-8")
    return load_settings(file, {})


def test_a_mapping_is_the_same_in_toml_and_in_python(tmp_path: Path) -> None:
    assert settings_of(tmp_path, SHOP).mapping["shop"] == EventMapping(
        fields={
            "event_type": "art",
            "price": "preis",
            "quantity": 1,
            "name": ("titel", "name"),
            "order_id": Field(path="nr", remove_suffix=".0"),
        },
        events=(
            EventRule(
                when={"art": ("Kauf", "Storno"), "menge": FieldTest(at_least=1)},
                unless={"test": True},
                split={"zeile": "zeilen"},
                fields={"product_id": "zeile.artikel"},
            ),
        ),
        types={"Kauf": "purchase"},
        time=("%d.%m.%Y %H:%M", "iso"),
        timezone="Europe/Berlin",
        decimal=",",
    )


RULE = "[mapping.shop.fields]\nevent_type = 'art'\n[[mapping.shop.events]]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[mapping.shop]\nfelds = {}",
            r"settings\.toml: there is no mapping\.shop\.felds; did you mean mapping\.shop\.fields\?",
        ),
        ("[mapping.shop]\nevent = []", r"no mapping\.shop\.event; did you mean mapping\.shop\.events\?"),
        (
            "[mapping.shop.fields]\nprice = {paht = 'a'}",
            r"no mapping\.shop\.fields\.price\.paht; did you mean \S+\.path\?",
        ),
        ("[mapping.shop.fields]\nuserId = 'a'", r"fields: userId is written user_id"),
        (
            RULE + "wen = {a = 1}",
            r"no mapping\.shop\.events\[0\]\.wen; did you mean mapping\.shop\.events\[0\]\.when\?",
        ),
        (RULE + "unles = {a = 1}", r"no mapping\.shop\.events\[0\]\.unles; did you mean \S+\.unless\?"),
        (RULE + "when = {a = {at_lest = 1}}", r"events\[0\]\.when\.a\.at_lest; did you mean \S+\.at_least or "),
        (RULE + "unless = {a = {presnt = true}}", r"events\[0\]\.unless\.a\.presnt; did you mean \S+\.present\?"),
        (RULE + "fields = {price = {mines = 'a'}}", r"events\[0\]\.fields\.price\.mines; did you mean \S+\.minus\?"),
        (RULE + "when = {a = {}}", r"a condition needs one_of, prefix, at_least, at_most or present"),
        (RULE + "when = {'a..b' = 1}", r'"a\.\.b" is no path'),
        ("[mapping.shop.fields]\nprice = 'a'", r"rule 1 of events needs the field event_type"),
        ("[mapping.shop.fields]\nprice = {path = 'a', constant = 1}", r"exactly one of path, constant, join"),
        (
            "[mapping.shop]\ndecimal = ';'\nfields = {event_type = 'a'}",
            r"mapping\.shop\.decimal must be one of \., ,, not ;",
        ),
        (
            "[mapping.shop]\ntime = 'seconds'\nfields = {event_type = 'a'}",
            r"time is one of s, ms, us, ns, iso or a pattern",
        ),
        ("[mapping.shop]\ntimezone = 'Berlin'\nfields = {event_type = 'a'}", r'"Berlin" is no time zone'),
        ("[mapping.shop]\ntypes = {a = 'history_merged'}\nfields = {event_type = 'a'}", r"history_merged is reserved"),
        ("mapping = {shop = 3}", r"settings\.toml: mapping\.shop must be a group of settings"),
        ("mapping = 3", r"settings\.toml: mapping must be a group of settings, not a whole number"),
        ("[mapping.shop]\nlike = 'segmnt'", r"mapping\.shop\.like is no mapping: did you mean segment\?"),
        ("[mapping.shop]\nlike = 'zzz'", r"mapping\.shop\.like is no mapping: name one of ga4, "),
        ("[mapping.shop]\nlike = ['segment']", r"mapping\.shop\.like must be the name of a mapping"),
        ("[mapping.shop]\nlike = 'shop'", r"mapping\.shop\.like is no mapping"),
        ("[mapping.a]\nlike = 'b'\n[mapping.b]\nlike = 'a'", r"the mappings a, b are like each other"),
        (
            "[mapping.a]\nlike = 'b'\n[mapping.b]\nlike = 'c'\n[mapping.c]\nlike = 'b'",
            r"the mappings [abc, ]+ are like each other",
        ),
        (
            "exchange_rates = [{currency = 'USD', since = 2026-01-01, rat = 1}]",
            r"there is no exchange_rates\.rat; did you mean",
        ),
        (
            "exchange_rates = [{currency = 'USD', since = 2026-01-01, rate = 1}]",
            r"exchange_rates need the shop's currency",
        ),
    ],
)
def test_a_mapping_that_makes_no_sense_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message) as refused:
        settings_of(tmp_path, text)
    assert "\n" not in str(refused.value)


def test_a_mapping_is_like_another_and_changes_it(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        """
        [mapping.shop]
        like = "segment"
        ignore = ["page"]
        [mapping.shop.types]
        "Product Viewed" = "click"
        "Video Played" = "video_play"
        [mapping.shop.fields]
        user_id = "properties.customer"
        [mapping.outlet]
        like = "shop"
        only_types = false
        """,
    )
    segment = find_mapping(Settings(), "segment")
    shop, outlet = settings.mapping["shop"], settings.mapping["outlet"]
    assert shop == attrs.evolve(
        segment,
        ignore=("page",),
        types=segment.types | {"Product Viewed": "click", "Video Played": "video_play"},
        fields=segment.fields | {"user_id": "properties.customer"},
    )
    assert outlet == attrs.evolve(shop, only_types=False)


def test_a_mapping_may_change_the_shipped_one_of_its_own_name(tmp_path: Path) -> None:
    text = "[mapping.rees46]\nlike = 'rees46'\ntimezone = 'Europe/Berlin'\n[mapping.shop]\nlike = 'rees46'"
    settings = settings_of(tmp_path, text)
    changed = attrs.evolve(find_mapping(Settings(), "rees46"), timezone="Europe/Berlin")
    assert find_mapping(settings, "rees46") == find_mapping(settings, "shop") == changed


def test_a_mapping_that_reads_currencies_needs_the_shop_s() -> None:
    with pytest.raises(InvalidSettings, match="mapping segment reads the currency of each event: set the shop's own"):
        compile_mapping(Settings(), "segment")
    assert compile_mapping(Settings(currency="EUR"), "segment").name == "segment"
    assert compile_mapping(Settings(), "rees46").name == "rees46"


def test_a_mapping_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(InvalidSettings, match=r'there is no mapping "sgment": did you mean segment\?'):
        find_mapping(Settings(), "sgment")
    with pytest.raises(InvalidSettings, match=r'there is no mapping "x": write \[mapping\.x\], or name one of ga4, '):
        find_mapping(Settings(), "x")
