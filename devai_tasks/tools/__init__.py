"""One adaptor per external program; nothing else starts a process.

Adaptors get values, never configuration. With `dry`, they print each command that they would run and run none.
"""
