"""Command line: the only package that uses Invoke, Rich and standard input."""
