"""Docker Compose: the lab on this machine."""
