"""Safeguards of profiles, of deduplication and of views."""

from tests.mutation.mutation import Mutation

NEWER_RELEASES = (
    "tests/application/processing/test_newer_releases.py",
    "tests/application/processing/test_newer_messages.py",
)

MUTATIONS = [
    Mutation(
        "no duplicate check",
        "domain/profile/deduplication.py",
        "        return found >= 0\n\n    def add(",
        "        return False\n\n    def add(",
    ),
    Mutation(
        "nothing is too old",
        "domain/profile/deduplication.py",
        "        if event.occurred_at_ms <= self.floor_ms:\n",
        "        if False:\n",
    ),
    Mutation(
        "a repair that is published again counts again",
        "domain/profile/deduplication.py",
        "        repairs.add(digest, event.occurred_at_ms, settings.dedup_replays, ",
        "        SeenIds().add(digest, event.occurred_at_ms, settings.dedup_replays, ",
    ),
    Mutation(
        "forwarded events are judged by the customer's memory",
        "domain/profile/deduplication.py",
        "            self.add_merged(digest, settings)\n",
        "            self.add(digest, event.occurred_at_ms, settings.dedup_events, 9)\n",
        ("tests/application/processing/test_sign_in.py",),
    ),
    Mutation(
        "what comes again across a sign-in counts twice",
        "domain/profile/duplicates.py",
        "    return [event for event in events if customer.seen.has_counted(event.digest)]\n",
        "    return []\n",
        ("tests/test_reported_cases.py::test_a_purchase_that_is_sent_again_after_the_sign_in_counts_once",),
    ),
    Mutation(
        "a refund before its purchase is lost",
        "domain/profile/purchases.py",
        "            self._add_units(event.product_id, -event.quantity, event.occurred_at_ms, settings)\n",
        "            self.by_product.pop(event.product_id, None)\n",
    ),
    Mutation(
        "a history said again counts again",
        "domain/profile/identity.py",
        "        return position <= customer.seen.forwarded_up_to.get(partition, -1)\n",
        "        return False\n",
        ("tests/application/processing/test_merged_profiles.py",),
    ),
    Mutation(
        "the tombstone refuses nothing",
        "domain/profile/customer.py",
        "        if event.occurred_at_ms <= self.forgotten_at_ms:\n",
        "        if False:\n",
        ("tests/application/processing/test_sign_in.py::test_visitors_are_forgotten_with_their_customer",),
    ),
    Mutation(
        "products trimmed by arrival",
        "domain/profile/interests.py",
        "            del times[min([product for product, at_ms in times.items() if at_ms == first_ms])]\n",
        "            del times[next(iter(times))]\n",
        ("tests/domain/profile/test_customer.py",),
    ),
    Mutation(
        "what only a newer worker can add up is added up",
        "domain/profile/unknown_fields.py",
        "        if known.keys() & visitor.keys():\n",
        "        if False:\n",
        NEWER_RELEASES,
    ),
    Mutation(
        "what comes again across a sign-in counts twice in sums",
        "domain/views/sums.py",
        "        self._add(table, event, recorded, -1)\n",
        "        pass\n",
        ("tests/domain/views",),
    ),
    Mutation(
        "what a clock that was ahead said of a product holds",
        "domain/shop/last_write.py",
        "    if (left[1] > latest_ms) != (right[1] > latest_ms):\n",
        "    if False:\n",
        ("tests/application/processing/test_clocks_ahead.py",),
    ),
    Mutation(
        "who signed in is not forgotten with the customer",
        "domain/profile/customer.py",
        "        changes.visitors_forgotten.update(dict.fromkeys(self.aliases.visitors, at_ms))\n",
        "",
        ("tests/application/processing/test_sign_in.py",),
    ),
]
