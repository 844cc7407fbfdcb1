"""Safeguards of the codecs: formats and decoding."""

from tests.mutation.mutation import Mutation

NEWER_RELEASES = (
    "tests/application/processing/test_newer_releases.py",
    "tests/application/processing/test_newer_messages.py",
)

MUTATIONS = [
    Mutation(
        "a history of a newer worker is a dead letter",
        "infrastructure/codecs/messages.py",
        "        return FromNewer(str(newer))\n    except (ValueError, Damaged) as error:\n",
        "        return Rejected(str(newer), owner)\n    except (ValueError, Damaged) as error:\n",
        NEWER_RELEASES,
    ),
    Mutation(
        "a message of a type that only newer workers know is passed over",
        "infrastructure/codecs/events.py",
        "            if newer is not None:\n                return newer\n",
        "",
        NEWER_RELEASES,
    ),
    Mutation(
        "what a newer worker noted of a customer is written away",
        "infrastructure/codecs/state.py",
        "    if customer.unknown is None:\n        return",
        "    if True:\n        return",
        NEWER_RELEASES,
    ),
    Mutation(
        "a field of a stored profile has the value of another",
        "infrastructure/codecs/customer_map.py",
        "        purchases.spend,\n        purchases.units,\n",
        "        purchases.units,\n        purchases.spend,\n",
        ("tests/laws/test_format_laws.py",),
    ),
    Mutation(
        "a stored profile without the customer's id is read",
        "infrastructure/codecs/state.py",
        "        if not read.customer_id:\n",
        "        if False:\n",
        ("tests/laws/test_format_laws.py",),
    ),
    Mutation(
        "a field that is missing in a stored profile has its default",
        "infrastructure/codecs/unknown_fields.py",
        "    if missing and (more or not may_lack):\n",
        "    if False:\n",
        ("tests/laws/test_format_laws.py",),
    ),
    Mutation(
        "an entry of a newer worker is merged in part",
        "infrastructure/codecs/outbox.py",
        "    if more:\n",
        "    if False:\n",
        ("tests/laws/test_format_laws.py",),
    ),
    Mutation(
        "releases that know of no sums merge an entry without them",
        "infrastructure/codecs/outbox.py",
        "    encode = _encode_with_sums if entry.deltas.sums else _encode_plain\n",
        "    encode = _encode_plain\n",
        ("tests/laws/test_format_laws.py",),
    ),
    Mutation(
        "an entry that lacks a field is merged in part",
        "infrastructure/codecs/outbox.py",
        "written > BEFORE_FORMATS",
        "written >= ENTRY.written",
        ("tests/laws/test_format_laws.py",),
    ),
    Mutation(
        "an event without an id is another one when it is replayed",
        "infrastructure/codecs/dead_letters.py",
        '    return _encode(_parse_fields(value) | {"event_id": event_id, "replayed": _TRUE})\n',
        '    return _encode(_parse_fields(value) | {"replayed": _TRUE})\n',
        ("tests/interfaces/cli/test_dead_letters.py",),
    ),
]
