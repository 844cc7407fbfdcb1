"""What operators do now and then: rebuild, forget, repair dead letters, trace an event."""
