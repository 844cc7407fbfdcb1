"""A visitor signs in: they become an alias of a customer, who gets their profile and all that they do later.

The two have different owners, so whatever goes from one to the other is a message, a record of the log like any other.
"""

import attrs

from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.deduplication import Verdict
from realtime_pipeline.domain.profile.exclusion import fingerprint_of
from realtime_pipeline.domain.profile.identity import ProfileMerged, detach_profile, merge_profile
from realtime_pipeline.domain.profile.session import session_key
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.shop.events import CustomerId, Event
from realtime_pipeline.domain.streams.effects import EffectsBuilder, RecordClass
from realtime_pipeline.domain.streams.forgetting import forget_visitors
from realtime_pipeline.domain.streams.messages import Message, message_id
from realtime_pipeline.domain.streams.records import Record
from realtime_pipeline.domain.streams.settings import FoldSettings


def sign_in(
    record: Record, event: Event, visitor: Customer, settings: FoldSettings, effects: EffectsBuilder
) -> RecordClass:
    """Make a visitor an alias of a customer, and send the customer their profile; once for each customer."""
    verdict = visitor.admit(event, settings.profile)
    if verdict is not Verdict.APPLIED:
        return effects.refuse(record, verdict, visitor.customer_id)
    customer_id = event.identified_as
    if customer_id is not None and customer_id != visitor.aliases.alias_of:
        effects.messages.append(
            Message(
                customer_id,
                message_id(visitor.customer_id, event.event_id),
                _sent_ms(record, event),
                visitor.customer_id,
                profile=detach_profile(visitor, customer_id, settings.profile, effects.changes),
                signed_in=(record.partition, record.position),
                filter=fingerprint_of(settings.exclude),
            )
        )
    visitor.visits.note_last_seen(event.occurred_at_ms)
    effects.changed[visitor.customer_id] = visitor
    return RecordClass.APPLIED


def forward(
    record: Record,
    event: Event,
    visitor: Customer,
    alias_of: CustomerId,
    settings: ProfileSettings,
    effects: EffectsBuilder,
) -> RecordClass:
    """Send an event of an alias to the customer; the visitor's own memory judges whether it is a first delivery."""
    verdict = visitor.admit(event, settings)
    if verdict is not Verdict.APPLIED:
        return effects.refuse(record, verdict, visitor.customer_id)
    visitor.visits.note_last_seen(event.occurred_at_ms)
    effects.changed[visitor.customer_id] = visitor
    effects.messages.append(
        Message(alias_of, event.event_id, _sent_ms(record, event), visitor.customer_id, record=record)
    )
    return RecordClass.FORWARDED


def _sent_ms(record: Record, event: Event) -> int:
    """By a clock that is ahead a message would outlive a forgetting that comes after it in the log."""
    return min(event.occurred_at_ms, record.appended_at_ms)


def merge_visitor(
    record: Record,
    merged: ProfileMerged,
    customer: Customer,
    latest_ms: int,
    settings: FoldSettings,
    effects: EffectsBuilder,
) -> RecordClass:
    """Add a visitor's profile to the customer they signed in as; where the customer is forgotten, forget both.

    The shop's time does not move on: the sign-in has moved it on where it lies, and one event may count only once.

    Raises:
        CannotMerge: both profiles have parts that only a newer release can add up.
    """
    if merged.occurred_at_ms > latest_ms:  # the sign-in was applied: what follows from it is not lost again
        merged = attrs.evolve(merged, occurred_at_ms=latest_ms)
    if merged.is_merged_into(customer):
        return RecordClass.DUPLICATE  # longer ago than the memory may reach
    if merged.occurred_at_ms <= customer.forgotten_at_ms:
        effects.changes.visitors_forgotten[merged.visitor] = customer.forgotten_at_ms
        forget_visitors(merged.event_id, effects)
        return RecordClass.FORGOTTEN
    begins = session_key(record.partition, record.position)
    session = merge_profile(customer, merged, begins, settings.profile, effects.changes, settings.exclude)
    effects.changed[merged.customer_id] = customer
    retracted, effects.changes.retracted = effects.changes.retracted, []
    effects.deltas.retract(retracted)
    if session is not None:
        effects.deltas.continue_session(session, merged.profile.visits.open_sessions[-1])
    forget_visitors(merged.event_id, effects)
    return RecordClass.APPLIED
