"""Real programs and services that tests start or use. Fakes are in `fakes` and name what they replace."""
