"""Whether a stack can run here: checks of the machine, its programs, and the stack itself."""
