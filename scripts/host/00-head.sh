#!/bin/sh
# The host side of sp: it keeps the queue, starts jobs, witnesses their ends and answers the client.
# POSIX sh and `local`; the same under dash, bash and busybox ash. Joined from scripts/host/*.sh in name order and installed
# as ROOT/v2/bin/HASH, by rename, never changed in place. It needs flock, setsid, timeout, awk and the usual file tools.
#
# A line that ends in "# for tests" is only in the script that a debug build sends: users get it without these lines, so that
# nothing in the environment of an account makes it die at a step or shows it another machine. See src/host/script.rs.
#
# Layout below ROOT/v2:
#   root-id                      random word; an attempt knows the root it was made in
#   run/runner.K run/standby.K   locks: one runner and one standby of slot K; the runner's says who it is, see `pace`
#   run/life.RID                 lock held as long as the runner RID (pid-starttime-boot) lives
#   run/looks                    lock of the one runner that looks at the orphans of all slots
#   run/secrets                  the boot, and where secrets are kept until the next one; run/secrets.lock: held to choose
#   server.db                    an index for people and scripts, see `84-index.sh`; nothing rests on it
#   CAMPAIGN/instance            the name of the folder, `NAME~ID`: one living copy of a campaign. Who sees it finds the rest
#   CAMPAIGN/clients/PLACE       the campaign files that handed over last, a line of JSON each
#   CAMPAIGN/hosts               the lists of hosts that hand-overs were dealt by, one a line, each once, never forgotten
#   CAMPAIGN/queue/SEQ~BATCH/    slots (and when), common, c000001… : the entries of one hand-over, in order;
#                                lease.CHUNK.ID.N: the runner that prepares this entry, and since when
#   CAMPAIGN/setup.now, setups/  see 72-setup.sh
#   CAMPAIGN/withdrawn/BATCH     this hand-over starts nothing any more
#   CAMPAIGN/jobs/ID/N           a symbolic link to try-N.RID: THE CLAIM of attempt N
#   CAMPAIGN/jobs/ID/cancelled.N somebody asked for the end of attempt N
#   CAMPAIGN/jobs/ID/accepted    the job whose result was taken over
#   CAMPAIGN/jobs/ID/state/      the job's own folder, the same for every attempt
#   …/try-N.RID/                 state (records), alive (lock), log, spec, command, params.json, out/
#   CAMPAIGN/journal             append-only index of starts, ends and accepts; the client reads on from its offset. Made anew
#                                from the other files, with another generation, when it is gone or has lost its head
#
# File descriptors of a runner: 3 queue chunk, 4 runner lock, 5 alive of the next attempt, 6 state, 7 slot lock,
# 8 alive, 9 life lock. The job inherits 7 and 8: an orphan keeps its slot busy and can be told from the dead.
#
# A record is one line that ends in " ."; a line without that end does not exist. The order of records in a state file
# is the order of events: a `stop` before `exit` is the cause of the end, a `stop` after it came too late.

# A function's own variables are lower-case and declared `local`, which its callees see too; in capitals stands what is
# global, results among them. A test in tests/it/tidy.rs looks for what is not declared.

# For all of the script. SC3013, SC3043: `-nt` and `local` are not in POSIX, but all three shells have them. SC2015: `a && b || return` is meant so.
# SC2030, SC2031: what a pipeline sets stays in it, and is not used behind it.
# shellcheck disable=SC3013,SC3043,SC2015,SC2030,SC2031
set -u
# What jobs get; over ssh `hello.sh` has kept it.
ACCOUNT_UMASK=${SP_UMASK-$(umask)}
umask 077
unset CDPATH ENV BASH_ENV SP_UMASK
LC_ALL=C
export LC_ALL
NL='
'
# The shell of everything that this script starts.
SP_SH=/bin/sh
SP_SH=${SP_TEST_SH:-$SP_SH} # for tests
case $0 in
  /*) SELF=$0 ;;
  *) SELF=$PWD/$0 ;;
esac
VERSION=${SELF##*/}
# Seconds between TERM and KILL where nobody asked for another time.
GRACE=10
# A job that lives longer than this many hundredths of a second gets a window in tmux.
MOMENT=30

# Dies, once, without a trace, at the named STEP. # for tests
fault() { [ "${SP_FAULT-}" != "$1" ] || ! mkdir "$HOME/sp-fault.$1" 2>/dev/null || kill -9 "${SELF_PID:-$$}"; } # for tests

# Whether nobody holds the lock FILE exclusively. (A redirection of a command is made in its own process, so the lock goes
# with it.)
is_free() { # FILE
  [ ! -e "$1" ] || flock -n -s 8 2>/dev/null 8<"$1"
}

# Waits until the lock FILE is free, SECONDS at most; true when it is. busybox has a flock that cannot wait for a time, and
# a timeout whose second process lives on for up to a second: it gets none of our locks.
wait_free() { # FILE SECONDS
  [ -n "${FLOCK_WAITS-}" ] || know_flock
  if [ "$FLOCK_WAITS" = yes ]; then
    flock -w "$2" -s 8 2>/dev/null 8<"$1"
  else
    timeout "$2" flock -s "$1" true 2>/dev/null 3<&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
  fi
}

know_flock() {
  FLOCK_WAITS=no
  flock -w 0.01 -s 8 2>/dev/null 8<"$V/root-id" && FLOCK_WAITS=yes
}

# Removes what somebody else may be removing at the same time. busybox's `rm -f` tells of what goes between its look and its
# deed: what is gone afterwards is right, and what is not says why.
remove() { # PATH…
  local _path
  rm -rf "$@" 2>/dev/null && return 0
  for _path; do
    { [ ! -e "$_path" ] && [ ! -h "$_path" ]; } || rm -rf "$_path" || return 1
  done
}

# Makes files and folders durable; fails where one is missing or the disk refuses. busybox knows `sync FILE` only in some
# builds; then the whole system is synced.
make_durable() { # FILE…
  local _file
  sync "$@" 2>/dev/null && return 0
  for _file; do [ -e "$_file" ] || return 1; done
  case ${SYNC_KIND-} in
    '') if sync "$V/root-id" 2>/dev/null; then SYNC_KIND=files; else SYNC_KIND=all; fi ;;
  esac
  [ "$SYNC_KIND" = all ] || return 1
  sync
}
