# The campaign's `setup`: an attempt like a job's, once for a tree, before the jobs that need it and with no other job of
# the campaign running. Below CAMPAIGN:
#   queue/SEQ~BATCH/setup   the setup that a hand-over's jobs need: `setup ID TEXT`
#   jobs/ID/N               its attempts; their records say kind=setup, the jobs' say setup=ID
#   snapshots/NAME/setup    ID/N, the setup that was begun last in this tree; it goes with the tree
#   setups/PATH             the same of the campaign's own folder, by a hash of its path
#   setup.now               link to the attempt of the setup that is under way; one whose attempt has ended means nothing
#   setup.lock              held while setup.now is made or taken away
# A job claims first and looks for setup.now then; a setup makes setup.now, claims, and looks for claimed jobs then. One of
# them sees the other. The number of an attempt is the host's: clients need not agree on it.

# -> NOW, the ID/N of the setup that is under way in the campaign C; fails where there is none.
setup_runs() {
  NOW=
  [ -h "$V/$C/setup.now" ] || return 1
  NOW=$(readlink "$V/$C/setup.now") || return 1
  NOW=${NOW#jobs/}
  is_id "${NOW%/*}" && is_number "${NOW#*/}" && read_state "$V/$C/jobs/$NOW/state" && [ -z "$R_END" ]
}

# -> NEWEST: the number of the newest attempt of a setup, 0 without one; and its records.
newest_setup() { # ID
  NEWEST=0
  while [ -h "$V/$C/jobs/$1/$((NEWEST + 1))" ]; do NEWEST=$((NEWEST + 1)); done
  R_CLAIM='' R_END=''
  [ $NEWEST = 0 ] || read_state "$V/$C/jobs/$1/$NEWEST/state"
}

# Whether the newest attempt of a setup was this hand-over's, and has ended otherwise than well.
setup_failed() { # ID BATCH
  newest_setup "$1"
  [ -n "$R_END" ] && field batch "$R_CLAIM" && [ "$F" = "$2" ] || return 1
  case $R_END in
    *' state=succeeded '*) return 1 ;;
  esac
}

# -> LAST_SETUP, the file that says what was begun last in the tree of this hand-over.
last_setup() {
  LAST_SETUP=$V/$C/setups/$B_TREE
  [ "$B_SNAPSHOT" = none ] || LAST_SETUP=$V/$C/snapshots/$B_TREE/setup
}

# Whether what was begun last in the tree of this hand-over is its setup, and ended well.
is_set_up() {
  local _last
  last_setup
  { read -r _last <"$LAST_SETUP"; } 2>/dev/null && [ "${_last%/*}" = "$B_SETUP" ] &&
    is_number "${_last#*/}" && read_state "$V/$C/jobs/$_last/state" || return 1
  case $R_END in
    *' state=succeeded '*) return 0 ;;
  esac
  return 1
}

# Sees to it that what this hand-over needs is set up. Fails where it is not, or not yet: then the hand-over was withdrawn,
# or stays in the queue.
set_up() {
  [ "$B_SETUP" != none ] || return 0
  until is_set_up; do
    if setup_failed "$B_SETUP" "$BATCH"; then
      # Its jobs are as if never handed over. A mark that cannot be written is tried again.
      withdraw_batches "$BATCH" && { printf 'setup %s %s\n' "$B_SETUP" "$NEWEST" >"$V/$C/withdrawn/$BATCH"; } 2>/dev/null || sleep 1
      return 1
    fi
    if setup_runs; then
      stand_back
      return 1
    fi
    newest_setup "$B_SETUP"
    set -- "$V/$C/queue"/[0-9]*~*/c[0-9]*
    if { [ $NEWEST != 0 ] && [ -z "$R_END" ]; } || [ "${1%/*}" != "$BATCHDIR" ]; then
      # Its claim is on its way or left by a dead runner; or what was queued before it is not for our slot.
      NOW=
      stand_back
      return 1
    fi
    run_setup $((NEWEST + 1)) || return 1
  done
  # A link that a dead runner left.
  [ ! -h "$V/$C/setup.now" ] || setup_runs || drop_setup_now
  # So that the next snapshot begins with the folders of this one.
  [ "$B_SNAPSHOT" = none ] || [ -e "$V/$C/snapshots/$B_TREE/set-up" ] ||
    (verb_snapshot_set_up "$C" "$B_TREE") >/dev/null || echo "cannot note that $B_TREE is set up" >&2
  return 0
}

# Runs the setup of this hand-over as attempt N. Fails where it is not to be started now.
run_setup() { # N
  local _kind _id _text _n _try _code
  settle
  { IFS=' ' read -r _kind _id _text <"$BATCHDIR/setup"; } 2>/dev/null || _kind=
  if [ "$_kind" != setup ] || [ "$_id" != "$B_SETUP" ] || ! is_id "$_id" || ! { is_snapshot "$B_TREE" || is_name "$B_TREE"; }; then
    damaged_batch
    return 1
  fi
  _n=$1
  _try=$_id/try-$_n.$RID
  cd "$V/$C/jobs" && mkdir -p "$_try/out" "$_id/state" && uptime_now || {
    sleep 1
    return 1
  }
  KIND=setup NEEDS='setup=none kind=setup' NEXT=''
  if { [ -s "$_try/state" ] || prepare_folder; } && make_durable . "$_id" "$_try" "$_try/state"; then
    # Its limits, codes and markers are not the jobs'.
    ATT=$V/$C/jobs/$_try
    load_spec
    run_attempt "$_id/$_n/-" ''
    _code=$?
  else
    _code=73
  fi
  KIND=job NEEDS="setup=$B_SETUP"
  eval "$COMMON"
  exec 5>&- 6>&- 8>&-
  settle
  case $_code in
    0)
      if is_set_up && [ "$B_SNAPSHOT" != none ]; then
        # Anew, where it was before: what is newest counts.
        rm -f "$V/$C/snapshots/$B_TREE/set-up"
      fi
      drop_setup_now
      ;;
    75) ;;
    *)
      ! cd "$V/$C/jobs/$_id" || {
        N=$_n TRY=try-$_n.$RID
        forget_try
      }
      [ -e "$V/$C/paused" ] || setup_runs || is_set_up || setup_failed "$B_SETUP" "$BATCH" || sleep 1
      return 1
      ;;
  esac
}

# The claim of a setup: fails where another one is under way, or has settled the matter since we looked.
claim_setup() { # in the folder of its job; uses ID N TRY
  {
    flock 0 && ! setup_runs && ! is_set_up && ! setup_failed "$B_SETUP" "$BATCH" && rm -f "$V/$C/setup.now" &&
      ln -sn "jobs/$ID/$N" "$V/$C/setup.now" &&
      fault setup-now && # for tests
      ln -sn "$TRY" "$N" 2>/dev/null
  } 0<>"$V/$C/setup.lock"
}

# Takes setup.now away where its setup has ended.
drop_setup_now() {
  {
    flock 0 && ! setup_runs && rm -f "$V/$C/setup.now"
  } 0<>"$V/$C/setup.lock"
}

# Between a claim and its start. A setup waits for the jobs that were claimed before it; a job that was claimed while a
# setup began waits for that one, and says so, lest each waits for the other. An end that is asked for is seen meanwhile.
stand_by() { # uses ID N TRY
  local _open
  if [ "$KIND" = setup ]; then
    until not_wanted; do
      same_root
      _open=$(open_attempt "$ID/$N" </dev/null)
      [ -n "$_open" ] || break
      pause_for "$_open"
    done
  elif [ -h "$V/$C/setup.now" ]; then
    while setup_runs && ! not_wanted; do
      same_root
      true >"$TRY/waits"
      see_to "$NOW"
      pause_for "$NOW"
    done
    rm -f "$TRY/waits"
  fi
}

# Whether the end of what we have claimed was asked for meanwhile. A setup whose hand-over has left the queue goes with it:
# who takes the last entry looks for setup.now then, and may have looked just before it was claimed.
not_wanted() { # in the folder of its job; uses N
  withdrawn || [ -e "cancelled.$N" ] || { [ "$KIND" = setup ] && [ ! -d "$BATCHDIR" ]; }
}

# Prints one attempt of the campaign that is not over, other than ID/N and those that wait for it.
open_attempt() { # ID/N
  local _id _n
  not_in_journal | while read -r _id _n; do
    [ "$_id/$_n" != "$1" ] && load_attempt "$_id" "$_n" && [ ! -e "$ATT/waits" ] || continue
    verdict
    case $VERDICT in
      starting | running | orphan)
        printf '%s\n' "$_id/$_n"
        break
        ;;
    esac
  done
}

# Until an attempt's processes are gone, a second at most; a moment where they are and its end is still to be written.
pause_for() { # ID/N
  if is_free "$V/$C/jobs/$1/alive"; then
    sleep 0.1
  else
    wait_free "$V/$C/jobs/$1/alive" 1
  fi
}

# The tree is this setup's from now on, whatever becomes of it.
begin_setup() {
  last_setup
  until note_setup; do
    sleep 1
    same_root
  done 2>/dev/null
}
note_setup() {
  if [ "$B_SNAPSHOT" = none ]; then
    mkdir -p "$V/$C/setups" || return 1
  elif [ ! -d "$V/$C/snapshots/$B_TREE" ]; then
    # One that is gone has nothing to be set up in, as its setup is about to find out.
    return 0
  fi
  printf '%s\n' "$ID/$N" >"$LAST_SETUP.new" && mv "$LAST_SETUP.new" "$LAST_SETUP" &&
    make_durable "$LAST_SETUP" "${LAST_SETUP%/*}" "$V/$C"
}

# This campaign has to wait for its setup NOW. Other campaigns have their turn first; only when all have been met that wait
# like it do we.
stand_back() {
  settle
  case " $BLOCKED " in
    *" $C "*) BLOCKED='' ;;
    *)
      BLOCKED="$BLOCKED $C"
      ! contended || return 0
      BLOCKED=''
      ;;
  esac
  if [ -n "$NOW" ]; then
    see_to "$NOW"
    pause_for "$NOW"
  else
    (settle_campaign) </dev/null >/dev/null
    sleep 0.2
  fi
}

# Where the runner of a setup died: its end is written, or a runner asked for that sees to it. In a subshell: descriptors
# and records here are those of something else.
see_to() { # ID/N
  (
    load_attempt "${1%/*}" "${1#*/}" || exit 0
    verdict
    case $VERDICT in
      dead) settle_campaign >/dev/null ;;
      orphan) ! field slot "$R_CLAIM" || ! is_slot "$F" || [ "$F" = "$K" ] || start_runner "$F" ;;
    esac
  ) </dev/null
}

# Before the queue is told of: hand-overs whose setup ended otherwise than well go, also where its runner died.
tidy_setups() { # uses C
  local _setup _batch _id
  set -- "$V/$C/queue"/[0-9]*~*/setup
  [ -e "$1" ] || [ -h "$V/$C/setup.now" ] || return 0
  ! setup_runs || (load_attempt "${NOW%/*}" "${NOW#*/}" && verdict && [ "$VERDICT" = dead ] && seal seal none none) </dev/null
  ! setup_runs || return 0
  for _setup; do
    _batch=${_setup%/setup}
    { IFS=' ' read -r _ _id _ <"$_setup"; } 2>/dev/null && is_id "$_id" && setup_failed "$_id" "${_batch##*~}" &&
      withdraw_batches "${_batch##*~}"
  done
  [ ! -h "$V/$C/setup.now" ] || drop_setup_now
}

# After entries were taken out of the queue: ends a setup that no entry needs any more.
cancel_setup() { # BY GRACE ; uses C and those of `verb_cancel`
  local _setup _id _by _grace _list
  setup_runs || return 0
  for _setup in "$V/$C/queue"/[0-9]*~*/setup; do
    ! { IFS=' ' read -r _ _id _ <"$_setup"; } 2>/dev/null || [ "$_id" != "${NOW%/*}" ] || return 0
  done
  _by=$1 _grace=$2 _list="${NOW%/*} ${NOW#*/} none"
  in_chunks mark_cancelled
  stop_claimed
}
