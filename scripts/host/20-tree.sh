# The processes of an attempt, and their end. A process belongs to it when it is in the stub's session, or when it is
# younger than the stub and carries the attempt's SP_OUT_DIR in its environment or holds its `alive` lock. Never by name,
# never by pid alone, and never a process of another boot or machine.

# Whether what an attempt left is to be let be, since its command has ended and wanted it so. After read_state.
keeps_rest() {
  case $R_EXIT in
    *' left=keep '*) return 0 ;;
    *) return 1 ;;
  esac
}

# Whose processes `tree` looks for: empty for all of an attempt, `command` for all but what `run_apart` started for it after
# its command had ended, `apart` for that alone.
WHOSE=

# -> TREE: the pids, without the stub's. After read_state. SURE=1 where the stub ended a moment ago under our own eyes, so
# that the number of its session cannot have been given to a stranger.
tree() { # ATTEMPT_FOLDER
  local _stub _since _runner _out _lock _mark _looks _newest _from
  TREE=
  field pid "$R_START" || return 1
  _stub=$F
  field pstart "$R_START" || return 1
  _since=$F
  field boot "$R_CLAIM"
  [ "$F" = "$BOOT" ] || return 1
  field machine "$R_CLAIM"
  [ "$F" = "$MACHINE" ] || return 1
  field rid "$R_CLAIM"
  _runner=${F%%-*}
  _out=$1/out _lock=$1/alive
  # As its path goes on below the folder of the campaign.
  _mark=${1%/*}
  _mark=/jobs/${_mark##*/}/try-${1##*/}.
  # Who is gone before it is looked at may have left a child that came too late to be looked at. So nothing is found only
  # where nobody came meanwhile who may be such a child: pids are given out in a ring, and the kernel tells the last one.
  _looks=0 REAPERS=
  while [ $_looks -lt 20 ]; do
    _looks=$((_looks + 1))
    read -r _ _ _ _ _newest </proc/loadavg
    look_at '/proc/[0-9]*' || return 0
    while :; do
      _from=$_newest
      read -r _ _ _ _ _newest </proc/loadavg
      [ "$_newest" != "$_from" ] || return 0
      # The ring has gone round, or too many came.
      [ "$_newest" -gt "$_from" ] && [ $((_newest - _from)) -le 10000 ] || break
      orphans_between "$_from" "$_newest"
      [ -n "$ORPHANED" ] || continue
      look_at "$ORPHANED" || return 0
      # Who is gone by now may have been gone before it was looked at; its child was passed over then, since it lived.
      all_live "$ORPHANED" || break
    done
  done
  return 0
}

# Whose parent has died, of the processes of these numbers -> ORPHANED, as folders. The parent of such a process is the
# first process, or one above us or the stub that takes in the children of the dead (prctl(2), PR_SET_CHILD_SUBREAPER).
# One whose parent lives is no matter: its parent was looked at itself. No process is started for it, be it faster: it
# would be one more for all who look at this moment, and they would never come to an end.
orphans_between() { # BEHIND_PID TO_PID
  local _pid
  if [ -z "$REAPERS" ]; then
    REAPERS=' 0 1 '
    for _pid in $$ "$_stub"; do
      while process "$_pid" && [ "$P_PARENT" -gt 1 ]; do
        _pid=$P_PARENT
        REAPERS="$REAPERS$_pid "
      done
    done
  fi
  ORPHANED='' _pid=$1
  while [ "$_pid" -lt "$2" ]; do
    _pid=$((_pid + 1))
    [ -d "/proc/$_pid" ] && process "$_pid" && [ "$P_STATE" != Z ] && [ "$P_START" -ge "$_since" ] || continue
    case $REAPERS in *" $P_PARENT "*) is_detached "$_pid" || ORPHANED="$ORPHANED /proc/$_pid" ;; esac
  done
}

# Whether none of these processes has ended.
# shellcheck disable=SC2086 # a list of folders
all_live() { # FOLDERS
  local _folder
  for _folder in $1; do
    process "${_folder#/proc/}" && [ "$P_STATE" != Z ] || return 1
  done
}

# Whether the process, which was read, is a runner of this root, or waits to be one, or writes the index. Such a one is
# nobody's: it was started with an environment and descriptors of its own.
is_detached() { # PID
  local _words
  [ "$P_SID" = "$1" ] || return 1
  _words=
  # The bytes between the arguments are passed over; there is no end of a line.
  { read -r _words <"/proc/$1/cmdline"; } 2>/dev/null
  case $_words in
    *"/v2/bin/"*"runner$ROOT"* | *"/v2/bin/"*"index$ROOT") return 0 ;;
    *) return 1 ;;
  esac
}

# The files of this name of the processes looked at -> FILES, words that are yet to be split and expanded.
files_of() { # PATTERN_OR_FOLDERS /NAME
  local _one
  case $1 in
    *'*') FILES=$1$2 ;;
    *)
      FILES=
      for _one in $1; do FILES="$FILES $_one$2"; done
      ;;
  esac
}

# Adds to TREE who of these processes belongs to the attempt; fails when somebody does.
# shellcheck disable=SC2086 # lists and patterns
look_at() { # PATTERN_OR_FOLDERS
  local _sid _proof _session _marked _open _holders _apart _pid
  # The kernel gives the number away again only when the last process of the session is gone. So the session is ours as
  # long as the stub leads it; later, when one of its processes carries the mark.
  if [ "$WHOSE" = apart ]; then
    apart_of "$1"
    TREE="$TREE$APARTS"
    [ -z "$TREE" ]
    return
  fi
  process "$_stub"
  _sid=$_stub
  case $P_START in
    "$_since") _proof=1 ;;
    0) _proof=${SURE-0} ;;
    *) _sid=-1 _proof=0 ;;
  esac
  _session=
  files_of "$1" /stat
  [ "$_sid" = -1 ] || _session=$(cat $FILES 2>/dev/null | awk -v sid="$_sid" -v since="$_since" '
    { pid = $1; sub(/^.*\) /, ""); if ($1 != "Z" && $4 == sid && $20 >= since && pid != sid) print pid }')
  # By whole variables: busybox sees nothing of a file behind the first NUL without -z.
  files_of "$1" /environ
  _marked=$(grep -lszxF "SP_OUT_DIR=$_out" $FILES 2>/dev/null)
  # Who holds the lock `alive` under its inherited number can have it from the job only. Another root of this machine may
  # have the same attempt of the same campaign, so the file itself counts; but only a path that ends like it is followed,
  # since one on a mount that hangs would hold us. No more of the path is compared: in the C locale busybox prints `?` for
  # every byte of a root's name that is not ASCII.
  # Who only looks whether it is free has it open for reading: that is nobody of the job's.
  files_of "$1" /fd/8
  # shellcheck disable=SC2012 # busybox has no find -lname
  _open=$(ls -l $FILES 2>/dev/null | MARK="$_mark" awk '
    /^l-w/ && index($0, ENVIRON["MARK"]) && /\/alive$/ { sub(/ -> .*/, ""); sub(/.* \/proc\//, ""); sub(/\/.*/, ""); print }')
  _holders=
  for _pid in $_open; do
    [ ! "/proc/$_pid/fd/8" -ef "$_lock" ] || _holders="$_holders $_pid"
  done
  _apart=
  [ "$WHOSE" != command ] || [ -z "$_marked" ] || {
    apart_of "$1"
    _apart=$APARTS
  }
  for _pid in $_marked $_holders; do
    _pid=${_pid#/proc/}
    _pid=${_pid%/environ}
    [ "$_pid" = "$_stub" ] || [ "$_pid" = $$ ] && continue
    case "$_apart " in *" $_pid "*) continue ;; esac
    process "$_pid" || continue
    # The runner and its helpers hold the lock for a moment too.
    [ "$P_STATE" = Z ] || [ "$P_START" -lt "$_since" ] || [ "$P_SID" = "$_runner" ] && continue
    [ "$P_SID" != "$_sid" ] || _proof=1
    case " $TREE " in *" $_pid "*) ;; *) TREE="$TREE $_pid" ;; esac
  done
  for _pid in $_session; do
    [ "$_proof" = 1 ] || break
    case " $TREE " in *" $_pid "*) ;; *) TREE="$TREE $_pid" ;; esac
  done
  [ -z "$TREE" ]
}

# -> APARTS: those of these processes that `run_apart` has marked and that are not known yet.
# shellcheck disable=SC2086 # lists and patterns
apart_of() { # PATTERN_OR_FOLDERS
  local _pid _marked
  APARTS=
  files_of "$1" /environ
  _marked=$(grep -lszxF "SP_APART=$_out" $FILES 2>/dev/null)
  for _pid in $_marked; do
    _pid=${_pid#/proc/}
    _pid=${_pid%/environ}
    process "$_pid" && [ "$P_STATE" != Z ] && [ "$P_START" -ge "$_since" ] && [ "$P_SID" != "$_runner" ] || continue
    case "$TREE " in *" $_pid "*) ;; *) APARTS="$APARTS $_pid" ;; esac
  done
}

# Signals the tree once. A stopped process gets the signal when it goes on.
signal_tree() { # SIGNAL ATTEMPT_FOLDER
  tree "$2" && [ -n "$TREE" ] || return 0
  # shellcheck disable=SC2086 # a list of pids
  {
    kill -s "$1" $TREE
    kill -s CONT $TREE
  } 2>/dev/null
  return 0
}

# Kills what is left until nothing is: stopped first, so that nobody forks away. -> TREE: what would not go.
kill_tree() { # ATTEMPT_FOLDER
  local _round
  _round=0
  while tree "$1" && [ -n "$TREE" ] && [ $_round -lt 50 ]; do
    # shellcheck disable=SC2086 # a list of pids
    kill -s STOP $TREE 2>/dev/null
    tree "$1"
    # shellcheck disable=SC2086 # a list of pids
    [ -n "$TREE" ] && kill -s KILL $TREE 2>/dev/null
    _round=$((_round + 1))
    [ $_round -gt 2 ] && sleep 0.1
  done
}

# TERM, GRACE seconds at most, KILL. -> TREE: what would not go.
end_tree() { # ATTEMPT_FOLDER GRACE_SECONDS
  local _until
  if [ "$2" != 0 ]; then
    signal_tree TERM "$1"
    uptime_now
    _until=$((CS + $2 * 100))
    [ -z "$TREE" ] || [ "$WHOSE" = apart ] || wait_free "$1/alive" "$2"
    # A child that closed its descriptors does not hold the lock: it has the same grace, and is looked at from time to time.
    while uptime_now && [ "$CS" -lt $_until ] && tree "$1" && [ -n "$TREE" ] &&
      { [ "$WHOSE" = apart ] || is_free "$1/alive"; }; do
      sleep 0.1
    done
  fi
  kill_tree "$1"
}

# Calls FUNCTION for a part of an attempt's processes alone.
of_part() { # command|apart FUNCTION ARGUMENTS…
  WHOSE=$1
  shift
  "$@"
  WHOSE=
}

# The same for all that is nobody's any more once the wrapper of an attempt is gone.
of_rest() { # FUNCTION ARGUMENTS…
  if keeps_rest; then of_part apart "$@"; else "$@"; fi
}
