"""The log, what is published into it and what comes out of it, in Kafka."""
