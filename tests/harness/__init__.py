"""The real parts that tests start or talk to; nothing here stands in for anything."""
