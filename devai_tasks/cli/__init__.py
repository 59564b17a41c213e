"""The command line: the only package that knows Invoke, Rich and standard input."""
