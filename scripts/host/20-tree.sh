# The processes of an attempt, and their end. A process belongs to it when it is in the stub's session, or when it is
# younger than the stub and carries the attempt's SP_OUT_DIR in its environment or holds its `alive` lock. Never by name,
# never by pid alone.

# ATTEMPT_FOLDER, after read_state -> TREE: pids, the stub left out.
tree() {
  TREE=
  [ -n "$R_START" ] || return 1
  field pid "$R_START"
  _sid=$F _stub=$F
  field pstart "$R_START"
  _since=$F
  # The session's number may have been given to a stranger since; then only the mark counts.
  process "$_sid"
  [ "$P_START" = "$_since" ] || [ "$P_START" = 0 ] || _sid=-1
  _session=$(cat /proc/[0-9]*/stat 2>/dev/null | awk -v sid="$_sid" -v since="$_since" '
    { pid = $1; sub(/^.*\) /, ""); if ($1 != "Z" && $4 == sid && $20 >= since && pid != sid) print pid }')
  _marked=$(grep -lsaF "SP_OUT_DIR=$1/out" /proc/[0-9]*/environ 2>/dev/null)
  # Who holds the lock `alive` under its inherited number can have it from the job only. The whole path counts: another
  # root of this machine may have the same attempt of the same campaign.
  # shellcheck disable=SC2012 # busybox has no find -lname
  _holders=$(ls -l /proc/[0-9]*/fd/8 2>/dev/null | MARK=" -> ${1%/*}/try-${1##*/}." awk '
    index($0, ENVIRON["MARK"]) && /\/alive$/ { sub(/ -> .*/, ""); sub(/.* \/proc\//, ""); sub(/\/.*/, ""); print }')
  field rid "$R_CLAIM"
  _runner=${F%%-*}
  for _pid in $_session; do TREE="$TREE $_pid"; done
  for _pid in $_marked $_holders; do
    _pid=${_pid#/proc/}
    _pid=${_pid%/environ}
    [ "$_pid" = "$_stub" ] || [ "$_pid" = $$ ] && continue
    process "$_pid" || continue
    # The runner and its helpers hold the lock for a moment too.
    [ "$P_STATE" = Z ] || [ "$P_START" -lt "$_since" ] || [ "$P_SID" = "$_runner" ] && continue
    case " $TREE " in *" $_pid "*) ;; *) TREE="$TREE $_pid" ;; esac
  done
  return 0
}

# Signals the tree once. A stopped process gets the signal when it goes on.
signal_tree() { # SIGNAL ATTEMPT_FOLDER
  tree "$2" || return 0
  [ -n "$TREE" ] || return 0
  # shellcheck disable=SC2086 # a list of pids
  { kill -s "$1" $TREE && kill -s CONT $TREE; } 2>/dev/null
  return 0
}

# Kills what is left until nothing is: stopped first, so that nobody forks away.
kill_tree() { # ATTEMPT_FOLDER
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

# TERM, at most GRACE seconds, KILL.
end_tree() { # ATTEMPT_FOLDER GRACE_SECONDS
  if [ "$2" != 0 ]; then
    signal_tree TERM "$1"
    tree "$1"
    [ -z "$TREE" ] || timeout "$2" flock -s "$1/alive" true 2>/dev/null
    # A child that closed its descriptors does not hold the lock: give it the same grace, looked at from time to time.
    _tenths=$(($2 * 10))
    while tree "$1" && [ -n "$TREE" ] && is_free "$1/alive" && [ $_tenths -gt 0 ]; do
      sleep 0.1
      _tenths=$((_tenths - 1))
    done
  fi
  kill_tree "$1"
}
