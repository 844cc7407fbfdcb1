"""A customer is forgotten, and with them the visitors who signed in as them."""

from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId, Event
from realtime_pipeline.domain.streams.effects import EffectsBuilder, RecordClass
from realtime_pipeline.domain.streams.messages import Message, message_id


def forget_customer(event: Event, customer: Customer, latest_ms: int, effects: EffectsBuilder) -> RecordClass:
    """Erase a customer.

    The clock that the request came from does not matter: it is done as of the event's time, but at most as of
    `latest_ms`, the latest time that an event may have by now. Dead letters and late events lie before it by their
    position, so they go also where it is as of a time that is forgotten already.
    """
    _forget_outputs(customer.customer_id, effects)
    at_ms = min(event.occurred_at_ms, latest_ms)
    if at_ms <= customer.forgotten_at_ms:
        return RecordClass.FORGOTTEN
    customer.forget(at_ms, latest_ms, effects.changes)
    effects.changed[customer.customer_id] = customer
    forget_visitors(event.event_id, effects)
    return RecordClass.APPLIED


def _forget_outputs(customer_id: CustomerId, effects: EffectsBuilder) -> None:
    """Drop the customer's dead letters and late events of this fold; the outputs take those back that were emitted
    before."""
    effects.letters_forgotten.add(customer_id)
    effects.dead_letters = [letter for letter in effects.dead_letters if letter.customer_id != customer_id]
    effects.late_events = [late for late in effects.late_events if late.customer_id != customer_id]


def forget_visitors(because_of: str, effects: EffectsBuilder) -> None:
    """Send the owners of visitors a message to forget them, because of the event or the merge of this id."""
    gone, effects.changes.visitors_forgotten = effects.changes.visitors_forgotten, {}
    effects.messages += (Message(visitor, message_id(visitor, because_of), at_ms) for visitor, at_ms in gone.items())
