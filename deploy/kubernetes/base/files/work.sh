#!/bin/sh
# Startup hook: creates ~/work in the home. With Compose, ~/work is a mounted folder of the machine.
exec mkdir -p "$HOME/work"
