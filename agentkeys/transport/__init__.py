"""Send calls: endpoints as data, the session that sends them, the settings of a client."""
