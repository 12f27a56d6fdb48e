#!/bin/sh
# svscanboot: starts svscan on @SERVICEDIR@ and shows its error messages in the
# process list. `make install` substitutes the scan directory and PATH.

export PATH="@SERVICEPATH@"

# Detaches from the terminal or console, which may close first.
exec </dev/null >/dev/null 2>/dev/null

# Stops services and loggers of an earlier svscan: their supervises hold the locks.
svc -dx "@SERVICEDIR@"/* "@SERVICEDIR@"/*/log

# The 400 dots reserve space for messages. Services inherit only PATH.
dots=........................................
dots=$dots$dots$dots$dots$dots$dots$dots$dots$dots$dots
env - PATH="$PATH" svscan "@SERVICEDIR@" 2>&1 |
    env - PATH="$PATH" readproctitle service errors: "$dots"
