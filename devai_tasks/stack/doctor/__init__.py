"""Doctor: checks of this machine, its programs, and the stack itself."""
