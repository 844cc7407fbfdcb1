"""Safeguards of recommendations and of serving."""

from tests.mutation.mutation import Mutation

NEWER_RELEASES = (
    "tests/application/processing/test_newer_releases.py",
    "tests/application/processing/test_newer_messages.py",
)

MUTATIONS = [
    Mutation(
        "names that only newer releases know are no names",
        "domain/open_enum.py",
        "        if not isinstance(value, str):\n",
        "        if True:\n",
        NEWER_RELEASES,
    ),
    Mutation(
        "the visitor's own sessions are neighbours",
        "domain/recommendation/neighbours.py",
        "        times.pop(key, None)\n",
        "        pass\n",
        ("tests/domain/recommendation/test_recommendation.py",),
    ),
    Mutation(
        "filters let everything pass",
        "domain/recommendation/ranking.py",
        "        if failed_filter is not None:\n",
        "        if False:\n",
        ("tests/domain/recommendation/test_ranking.py",),
    ),
    Mutation(
        "what the customer dislikes is shown",
        "domain/recommendation/ranking.py",
        "    hidden = {*visitor.seen, *visitor.disliked, *pinned}\n",
        "    hidden = {*visitor.seen, *pinned}\n",
        ("tests/domain/recommendation/test_ranking.py",),
    ),
]
