"""The commands that read: lists, profiles, dead letters."""

import argparse
import sys
from pathlib import Path
from typing import TypeAlias

from realtime_pipeline.domain.recommendation.rules import ListRules
from realtime_pipeline.domain.recommendation.service import Recommendations
from realtime_pipeline.domain.shop.events import country_code
from realtime_pipeline.domain.shop.money import decimals_of
from realtime_pipeline.pipeline import Pipeline
from realtime_pipeline.report import plain, profile_in_words, ratings_in_words, recommendations_in_words
from realtime_pipeline.settings import Settings, load_rules

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

SHOWN_BYTES = 200
LETTERS_MAX = 1_000_000


def add_readers(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands."""
    lists = argparse.ArgumentParser(add_help=False)
    lists.add_argument("--limit", type=_limit, default=10, help="how many (default: 10)")
    lists.add_argument("--rules", metavar="FILE", type=Path, help="a TOML file of rules for the list")
    recommend = commands.add_parser("recommend", parents=[common, lists], help="recommend products to a customer")
    recommend.add_argument("customer", metavar="CUSTOMER", help="a user id, known or new")
    recommend.add_argument(
        "--looking-at",
        metavar="PRODUCT",
        action="append",
        default=[],
        help="what they have before them now; of several, each with the option before it, the newest comes last",
    )
    recommend.add_argument("--country", type=_country, help="where they are, as DE (else as their events say)")
    recommend.set_defaults(command=_recommend, reads=True)

    similar = commands.add_parser("similar", parents=[common, lists], help="recommend products to whoever looks at one")
    similar.add_argument("product", metavar="PRODUCT", help="a product's id")
    similar.set_defaults(command=_similar, reads=True)

    trending = commands.add_parser("trending", parents=[common], help="what the shop, or a country, looks at now")
    trending.add_argument("--limit", type=_limit, default=10, help="how many (default: 10)")
    trending.add_argument("--country", type=_country, help="two letters, as DE (default: anywhere)")
    trending.set_defaults(command=_trending, reads=True)

    top_rated = commands.add_parser("top-rated", parents=[common], help="which products people rate highest")
    top_rated.add_argument("--limit", type=_limit, default=10, help="how many (default: 10)")
    top_rated.set_defaults(command=_top_rated, reads=True)

    profile = commands.add_parser("profile", parents=[common], help="show what is known of a customer")
    profile.add_argument("customer", metavar="CUSTOMER", help="a user id, or anonymous:SESSION for a visitor")
    profile.set_defaults(command=_profile, reads=True)

    letters = commands.add_parser("dead-letters", parents=[common], help="show records that could not be understood")
    letters.add_argument("--limit", type=_letters, help="how many (default: 20; with --values as many as there are)")
    letters.add_argument("--reason", metavar="CODE", help="only those with this reason, as misrouted")
    letters.add_argument(
        "--values", action="store_true", help="only what they hold, one a line: to be mended and published again"
    )
    letters.set_defaults(command=_dead_letters, reads=True)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 1000")
    return int(text)


def _letters(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LETTERS_MAX:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {LETTERS_MAX}")
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
    _show(found, settings)


def _similar(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    _show(pipeline.similar(options.product, options.limit, _rules(options)), settings)


def _rules(options: argparse.Namespace) -> ListRules | None:
    return None if options.rules is None else load_rules(options.rules)


def _show(recommendations: Recommendations, settings: Settings) -> None:
    for note in recommendations.notes:
        print(plain(note))
    if recommendations:
        print("\n".join(recommendations_in_words(recommendations, decimals_of(settings.currency))))
    elif not recommendations.notes:
        print("nothing to recommend yet: publish events, and let a worker process them")


def _trending(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    _show(pipeline.trending(options.limit, options.country), settings)


def _top_rated(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    rated = pipeline.top_rated(options.limit)
    for note in rated.notes:
        print(plain(note))
    print("\n".join(ratings_in_words(rated, decimals_of(settings.currency))) or "nothing was rated yet")


def _profile(pipeline: Pipeline, settings: Settings, options: argparse.Namespace) -> None:
    print("\n".join(profile_in_words(pipeline.profile(options.customer), decimals_of(settings.currency))))


def _dead_letters(pipeline: Pipeline, _settings: Settings, options: argparse.Namespace) -> None:
    limit: int = options.limit or (LETTERS_MAX if options.values else 20)
    letters = pipeline.dead_letters(limit)
    is_cut, of_reason = len(letters) == limit, "" if options.reason is None else "among "
    if options.reason is not None:
        letters = [letter for letter in letters if letter.reason.partition(":")[0] == options.reason]
    more = f"these are {of_reason}the first {limit}: there may be more (--limit)" if is_cut else ""
    if options.values:
        for letter in letters:
            sys.stdout.buffer.write(letter.record.value.replace(b"\n", b" ") + b"\n")
        sys.stdout.buffer.flush()
        if more:
            print(more, file=sys.stderr)
        return
    if not letters:
        print("there are no dead letters")
    for letter in letters:
        record = letter.record
        place = record.origin or f"partition {record.partition}, position {record.position}"
        print(plain(f"{place}: {letter.reason}"))
        print(f"    {record.value[:SHOWN_BYTES]!r}")
    if more:
        print(more)
