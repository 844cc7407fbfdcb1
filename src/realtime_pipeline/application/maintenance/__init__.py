"""Maintenance: rebuild a store, erase a customer, repair dead letters, trace an event."""
