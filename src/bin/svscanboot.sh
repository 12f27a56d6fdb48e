#!/bin/sh
# svscanboot: keep the services in @SERVICEDIR@ running, and show in the
# process list what goes wrong with them. Installation puts the service
# directory in place of the word between the two at-signs.

PATH=/command:/usr/local/bin:/usr/local/sbin:/bin:/sbin:/usr/bin:/usr/sbin:/usr/X11R6/bin

# Whatever terminal or console this was started from, it will outlive it.
exec </dev/null >/dev/null 2>/dev/null

# Services and loggers that an earlier svscan left behind would hold the locks
# of the new ones.
svc -dx "@SERVICEDIR@"/* "@SERVICEDIR@"/*/log

# The 400 dots at the end are the place of the messages. Nothing of the
# environment but PATH goes on to the services.
dots=........................................
dots=$dots$dots$dots$dots$dots$dots$dots$dots$dots$dots
env - PATH="$PATH" svscan "@SERVICEDIR@" 2>&1 |
    env - PATH="$PATH" readproctitle service errors: "$dots"
