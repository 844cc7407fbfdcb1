"""The composition root: settings, tables of adapters, and the container; nothing else knows adapters by name."""
