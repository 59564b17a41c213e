"""The real parts that tests start or talk to. What stands in for something is in fakes.py, and says for what."""
