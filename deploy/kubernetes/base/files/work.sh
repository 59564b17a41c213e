#!/bin/sh
# A hook of the entrypoint's: ~/work, which is a folder of its own machine for Compose, is one of the home here.
exec mkdir -p "$HOME/work"
