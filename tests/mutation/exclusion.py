"""Safeguards of excluded events: of bots, of staff, of programs."""

from tests.mutation.mutation import Mutation

WHOLE = ("tests/application/processing/test_exclusion.py",)
PROFILE = ("tests/domain/profile/test_exclusion.py",)
FORMATS = ("tests/laws/test_format_laws.py",)

MUTATIONS = [
    Mutation(
        "an excluded event counts for everybody",
        "domain/streams/fold.py",
        "        if not recorded.excluded:\n",
        "        if True:\n",
        WHOLE,
    ),
    Mutation(
        "a bot without an id counts for everybody",
        "domain/streams/fold.py",
        "        elif exclude is not None and exclude.covers(event):\n",
        "        elif False:\n",
        WHOLE,
    ),
    Mutation(
        "what was never added is taken out at a sign-in",
        "domain/profile/identity.py",
        "    changes.retracted += retracted if may_retract else ()\n",
        "    changes.retracted += (*retracted, *excluded) if may_retract else ()\n",
        WHOLE,
    ),
    Mutation(
        "what another filter let count is taken out of a store that never added it",
        "domain/profile/identity.py",
        "    changes.retracted += retracted if may_retract else ()\n",
        "    changes.retracted += retracted\n",
        WHOLE,
    ),
    Mutation(
        "a profile that another filter judged is not judged again",
        "domain/profile/rejudge.py",
        "    if sent_filter == fingerprint_of(exclude):\n",
        "    if True:\n",
        WHOLE,
    ),
    Mutation(
        "what staff did before they signed in counts for everybody",
        "domain/profile/identity.py",
        "    retracted = aliases.contributions if excludes else duplicates\n",
        "    retracted = duplicates\n",
        WHOLE,
    ),
    Mutation(
        "the session of a visitor who signs in as staff leads others",
        "domain/profile/identity.py",
        "    return None if moved is None or excludes else",
        "    return None if moved is None else",
        WHOLE,
    ),
    Mutation(
        "an excluded event joins a session",
        "domain/profile/customer.py",
        "        if applied.excluded or not (weight or kind is UNCARTED):",
        "        if not (weight or kind is UNCARTED):",
        PROFILE,
    ),
    Mutation(
        "an excluded review is an opinion",
        "domain/profile/customer.py",
        "            return applied if applied.excluded else self.opinions.record(",
        "            return applied if False else self.opinions.record(",
        PROFILE,
    ),
    Mutation(
        "a late event is judged by the rate of another minute",
        "domain/profile/visits.py",
        "        if minute < newest:\n",
        "        if False:\n",
        PROFILE,
    ),
    Mutation(
        "a visitor's minute goes along",
        "domain/profile/visits.py",
        "closed_sessions=[], minute=None)\n",
        "closed_sessions=[])\n",
        PROFILE,
    ),
    Mutation(
        "an empty user agent excludes everybody",
        "domain/profile/exclusion.py",
        "        if not text.strip() or len(text)",
        "        if len(text)",
        PROFILE,
    ),
    Mutation(
        "workers know nothing of the filter",
        "composition/settings.py",
        "exclude=exclude, windows",
        "exclude=None, windows",
        WHOLE,
    ),
    Mutation(
        "older releases read what they would count for everybody",
        "infrastructure/codecs/state.py",
        "_encode_with_excluded = MarkedMaps(CUSTOMER, ",
        "_encode_with_excluded = MarkedMaps(PLAIN_CUSTOMER, ",
        FORMATS,
    ),
    Mutation(
        "older releases cannot read a customer of a shop without a filter",
        "infrastructure/codecs/customer_map.py",
        "    is_plain = visits",
        "    is_plain = False and visits",
        FORMATS,
    ),
    Mutation(
        "an excluded event that comes again after the sign-in counts twice",
        "domain/profile/identity.py",
        "    excluded = duplicates_in(aliases.excluded_contributions, customer)\n",
        "    excluded = duplicates_in((), customer)\n",
        WHOLE,
    ),
    Mutation(
        "a profile that lacks how many events are excluded is read as if none were",
        "infrastructure/codecs/state.py",
        "    if written == CUSTOMER.written:",
        "    if False:",
        FORMATS,
    ),
    Mutation(
        "a message may say that fewer events than none are excluded",
        "infrastructure/codecs/messages.py",
        "visits.sessions_begun, visits.excluded, *visits",
        "visits.sessions_begun, *visits",
        ("tests/application/processing/test_merged_profiles.py",),
    ),
    Mutation(
        "what only a newer release can take out is left in when staff sign in",
        "domain/profile/identity.py",
        "    check_kinds((*retracted, *excluded))\n",
        "",
        ("tests/application/processing/test_newer_messages.py",),
    ),
]
