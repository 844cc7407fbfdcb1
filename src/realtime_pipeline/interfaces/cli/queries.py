"""The query commands: lists and profiles."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs

from realtime_pipeline.application.serving.top_rated import TopRatedProducts
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.composition.settings_file import load_rules
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.recommendations import Recommendations
from realtime_pipeline.domain.shop.events import country_code
from realtime_pipeline.domain.shop.money import decimals_of
from realtime_pipeline.interfaces.cli.json_output import add_json, print_json
from realtime_pipeline.interfaces.text import plain, profile_in_words, ratings_in_words, recommendations_in_words
from realtime_pipeline.pipeline import Pipeline

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_queries(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    lists = argparse.ArgumentParser(add_help=False)
    lists.add_argument("--limit", type=_limit, default=10, help="the length of the list (default: 10)")
    lists.add_argument("--rules", metavar="FILE", type=Path, help="a TOML file of rules for the list")
    recommend = commands.add_parser("recommend", parents=[common, lists], help="recommend products to a customer")
    recommend.add_argument("customer", metavar="CUSTOMER", help="a user id, known or new")
    recommend.add_argument(
        "--looking-at",
        metavar="PRODUCT",
        action="append",
        default=[],
        help="a product on their screen; repeat the option for several, the newest last",
    )
    recommend.add_argument(
        "--country", type=_country, help="their country, two letters, as DE (default: that of their last event)"
    )
    add_json(recommend)
    recommend.set_defaults(command=_recommend, reads=True)

    similar = commands.add_parser("similar", parents=[common, lists], help="recommend products for a product's page")
    similar.add_argument("product", metavar="PRODUCT", help="a product's id")
    add_json(similar)
    similar.set_defaults(command=_similar, reads=True)

    trending = commands.add_parser(
        "trending", parents=[common], help="list what is trending in the shop, or in a country"
    )
    trending.add_argument("--limit", type=_limit, default=10, help="the length of the list (default: 10)")
    trending.add_argument("--country", type=_country, help="two letters, as DE (default: the whole shop)")
    add_json(trending)
    trending.set_defaults(command=_trending, reads=True)

    top_rated = commands.add_parser("top-rated", parents=[common], help="list the products rated highest")
    top_rated.add_argument("--limit", type=_limit, default=10, help="the length of the list (default: 10)")
    add_json(top_rated)
    top_rated.set_defaults(command=_top_rated, reads=True)

    profile = commands.add_parser("profile", parents=[common], help="show what is known of a customer")
    profile.add_argument("customer", metavar="CUSTOMER", help="a user id, or anonymous:SESSION for a visitor")
    add_json(profile)
    profile.set_defaults(command=_profile, reads=True)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 1000")
    return int(text)


def _country(text: str) -> str:
    code = country_code(text)
    if code is None:
        raise argparse.ArgumentTypeError("must be two letters, as DE")
    return code


def _recommend(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    found = pipeline.recommend(
        options.customer, options.limit, options.looking_at, _rules(options), country=options.country
    )
    _show(found, lambda: pipeline.explain_empty(options.customer), settings, options)


def _similar(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    found = pipeline.similar(options.product, options.limit, _rules(options))
    _show(found, lambda: pipeline.explain_empty(product_id=options.product), settings, options)


def _trending(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    found = pipeline.trending(options.limit, options.country)
    _show(found, lambda: pipeline.explain_empty(country=options.country), settings, options)


def _rules(options: argparse.Namespace) -> ListRules | None:
    return None if options.rules is None else load_rules(options.rules)


def _show(
    found: Recommendations, explain_empty: Callable[[], str], settings: Settings, options: argparse.Namespace
) -> None:
    if not found and not found.notes:
        found = attrs.evolve(found, notes=(f"nothing to recommend yet: {explain_empty()}",))
    if options.json:
        print_json(found.as_dict())
        return
    for line in (*map(plain, found.notes), *recommendations_in_words(found, decimals_of(settings.currency))):
        print(line)


def _top_rated(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    rated = pipeline.top_rated(options.limit)
    if not rated and not rated.notes:
        rated = TopRatedProducts((), (f"nothing is rated yet: {pipeline.container.explain_empty_list().of_ratings()}",))
    if options.json:
        print_json(rated.as_dict())
        return
    for line in (*map(plain, rated.notes), *ratings_in_words(rated, decimals_of(settings.currency))):
        print(line)


def _profile(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    profile = pipeline.profile(options.customer)
    if options.json:
        print_json(profile.as_dict())
        return
    for line in profile_in_words(profile, decimals_of(settings.currency)):
        print(line)
