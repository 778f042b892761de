#!/bin/sh
# The host side of sp: it keeps the queue, starts jobs, witnesses their ends and answers the client.
# POSIX sh; the same under dash, bash and busybox ash. Joined from scripts/host/*.sh in name order and installed as
# ROOT/v1/bin/HASH, by rename, never changed in place. It needs flock, setsid, timeout, awk and the usual file tools.
#
# Layout below ROOT/v1:
#   root-id                      random word; an attempt knows the root it was made in
#   run/runner.K run/standby.K   locks: one runner and one standby of slot K
#   run/life.RID                 lock held as long as the runner RID (pid-starttime) lives
#   CAMPAIGN/origin              the repository the campaign came from
#   CAMPAIGN/queue/SEQ~BATCH/    common, c0001… : the entries of one hand-over, in order
#   CAMPAIGN/withdrawn/BATCH     this hand-over starts nothing any more
#   CAMPAIGN/jobs/ID/N           a symbolic link to try-N.RID: THE CLAIM of attempt N
#   CAMPAIGN/jobs/ID/cancelled.N somebody asked for the end of attempt N
#   CAMPAIGN/jobs/ID/accepted    the job whose result was taken over
#   CAMPAIGN/jobs/ID/state/      the job's own folder, the same for every attempt
#   …/try-N.RID/                 state (records), alive (lock), log, spec, command, params.json, out/
#   CAMPAIGN/journal             append-only index of starts and ends; the client reads on from its offset
#
# File descriptors of a runner: 3 queue chunk, 4 runner lock, 5 alive of the next attempt, 6 state, 7 slot lock,
# 8 alive, 9 life lock. The job inherits 7 and 8: an orphan keeps its slot busy and can be told from the dead.
#
# A record is one line that ends in " ."; a line without that end does not exist. The order of records in a state file
# is the order of events: a `stop` before `exit` is the cause of the end, a `stop` after it came too late.
set -u
umask 077
unset CDPATH ENV BASH_ENV
LC_ALL=C
export LC_ALL
NL='
'
case $0 in
  /*) SELF=$0 ;;
  *) SELF=$PWD/$0 ;;
esac
VERSION=${SELF##*/}
# Seconds between TERM and KILL where nobody asked for another time.
GRACE=10
# A job that lives longer than this many seconds gets a window in tmux.
MOMENT=0.3

# Fault points for tests: die, without a trace, at the named step.
fault() {
  [ "${SP_FAULT-}" = "$1" ] && kill -9 $$
  :
}

# Locks: whether nobody holds FILE exclusively.
is_free() { # FILE
  flock -n -s "$1" true 2>/dev/null
}

# Makes files and folders durable. busybox knows sync FILE only in some builds; then the whole system is synced.
make_durable() { # FILE…
  sync "$@" 2>/dev/null && return 0
  for _file; do [ -e "$_file" ] || return 1; done
  case ${SYNC_KIND-} in
    '') if sync "$V/root-id" 2>/dev/null; then SYNC_KIND=files; else SYNC_KIND=all; fi ;;
  esac
  [ "$SYNC_KIND" = all ] || return 1
  sync
}
