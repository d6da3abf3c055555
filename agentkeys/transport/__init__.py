"""How a call travels: an endpoint as data, the session that sends it, and when to try again."""
