"""Files as sources of events and as targets of exports."""
