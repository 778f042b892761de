# The runner: takes the entries of all campaigns of this root in turn and is the wrapper of the job it runs. One per slot,
# and one standby that waits for its lock. A runner that is killed leaves an orphan, which its successor supervises.

# Two deaths within so many hundredths of a second are one too many.
PACE=1000

# Starts a runner of slot K, detached, with nothing of our environment but what it needs. No `&`: a background list would
# start everything below with SIGINT ignored. The first setsid runs in place, the second leads a group, so it forks and we
# get control back.
start_runner() { # SLOT
  in_clean_environment setsid setsid "$SP_SH" "$SELF" runner "$ROOT" "$1" \
    </dev/null >/dev/null 2>>"$V/run/errors" 3<&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

# `inherited`: another version of this script, with the same process and its locks, found a hand-over that names us.
verb_runner() { # SLOT [inherited]
  is_slot "$1" || exit 64
  K=$1
  cd "$V/run" || exit 73
  # Nothing is done on a signal, but what we start must not inherit that it is ignored.
  trap : HUP TERM INT
  process $$
  RID=${BOOT%%[!0-9a-z]*}
  RID=$$-$P_START-$RID
  if [ "${2-}" != inherited ]; then
    command exec 3>>"standby.$K" 4>>"runner.$K" || exit 73
    flock -n 3 || exit 0
    # What waits for us may outlive us for a moment: it must not keep the next standby away.
    flock 4 3>&-
    exec 3>&-
    command exec 9>>"life.$RID" && flock -n 9 || exit 73
    pace
  fi
  clock_base
  PEND='' PENDLINE='' NEXT='' LOCKER='' LAST='' KIND=job NEEDS='' BLOCKED='' PASSED='' ELAPSED=$BRIEF
  PID_MAX=$(cat /proc/sys/kernel/pid_max)
  forget_secrets
  find_orphans
  # Who finds nothing leaves, so that its standby does, too. What others run or nobody can end is no work.
  if [ -n "$ORPHANS" ] || next_campaign; then
    start_runner "$K"
    supervise_orphans
    command exec 7>>"$SLOTS/$K" || exit 73
    flock 7
    # Once for all the helpers that watch.
    know_flock
    while next_campaign || what_was_passed; do
      serve
    done
    settle
  fi
  # Through the descriptor: by its path it may be another root's by now.
  printf 'left\n' >&4
  rm -f "$V/run/life.$RID"
  # Who waits for us waits no longer.
  exec 4>&- 7>&- 9>&-
  [ -z "$LAST$ORPHANS" ] || update_index
  exit 0
}

# The lock file of a slot says who holds it and, if that one came after a death, since when; `left` once it has left by
# itself. Who comes after a death comes at once, but waits a second where the one that died had come after a death itself a
# moment before: a runner that always dies at the same step would be followed by the next without end.
pace() { # in V/run, with the lock held
  local _since _before _then _left
  _since=none
  if { read -r _before _then && ! read -r _left; } 2>/dev/null <"runner.$K" && is_name "$_before"; then
    rm -f "life.$_before"
    uptime_now
    # Uptimes of one boot can be compared.
    if [ "${_before##*-}" = "${RID##*-}" ] && is_number "$_then" && [ $((CS - _then)) -lt $PACE ]; then
      sleep 1 4>&- 9>&-
      uptime_now
    fi
    _since=$CS
  fi
  # On a full disk nobody waits.
  { printf '%s %s\n' "$RID" "$_since" >"runner.$K"; } 2>/dev/null
}

# Tidies and seals what is dead -> ORPHANS of this slot, as CAMPAIGN/ID/N. An orphan of another slot has lost its standby
# too: a runner of that slot sees to it. Where runners begin together, one of them looks at the other slots.
find_orphans() {
  local _slots _folder _orphan _slot
  ORPHANS='' _slots=own
  command exec 7>>"$V/run/looks" && flock -n 7 && _slots=all
  for _folder in "$V"/*/queue/[0-9]*~*; do
    # What a runner left that was killed between its last chunk and the folder.
    set -- "$_folder"/c[0-9]*
    [ -e "$1" ] || [ ! -d "$_folder" ] || drop_batch "$_folder"
  done
  for _folder in "$V"/*/jobs; do
    [ -d "$_folder" ] || continue
    C=${_folder%/jobs}
    C=${C##*/}
    for _orphan in $(settle_campaign "$K" $_slots | awk '
      / verdict=orphan / { print substr($5, 6) "/" substr($2, 4) "/" substr($3, 3) }'); do
      _slot=${_orphan%%/*}
      if [ "$_slot" = "$K" ]; then
        ORPHANS="$ORPHANS $C/${_orphan#*/}"
      elif is_slot "$_slot"; then
        start_runner "$_slot"
      fi
    done
  done
  exec 7>&-
}

# -> C ATT and the records of an orphan; fails where it has its end by now.
load_orphan() { # CAMPAIGN/ID/N
  C=${1%%/*} N=${1##*/}
  ID=${1#*/}
  load_attempt "${ID%/*}" "$N" && [ -z "$R_END" ]
}

# The orphans' limits go on, all at once; then, one after the other, they are waited for, their markers judged, their ends
# written.
supervise_orphans() {
  local _orphan
  for _orphan in $ORPHANS; do
    load_orphan "$_orphan" && field up "$R_START" || continue
    hundredths "$F"
    load_spec
    (watch "$H") &
  done
  for _orphan in $ORPHANS; do
    load_orphan "$_orphan" || continue
    # Until its exit is on record, or nobody is left who could write it. What it left behind may hold `alive` for ever, and
    # no lock tells of a process that closed its descriptors: so it is looked at from time to time.
    while read_state "$ATT/state" && [ -z "$R_EXIT" ] && { ! wait_free "$ATT/alive" 1 || { tree "$ATT" && [ -n "$TREE" ]; }; }; do
      ! is_free "$ATT/alive" || sleep 1
    done
    end_orphan
    [ -z "$R_END" ] || journal "$R_END"
  done
}

# The end of an orphan whose processes are gone, but for what they left.
end_orphan() {
  load_spec
  clean_tree
  CLEANUP=none
  # As at any other end the clean-up holds the slot; the command may have been what held it.
  [ "$B_CLEANUP" = 0 ] || { command exec 7>>"$SLOTS/$K" && flock 7; } || return 0
  # From here on nobody else takes it for dead. A root that was removed is not waited for.
  until hold_attempt; do
    [ -e "$ATT/state" ] || return 0
    sleep 1
  done
  # Somebody may have been faster; then its clean-up is not run behind its end.
  [ -n "$R_END" ] || run_cleanup "$K"
  # A full disk is waited for, as at any other end.
  until seal_held orphan "$LEFT" "$CLEANUP" || [ ! -e "$ATT/state" ]; do sleep 1; done
  let_go_of_attempt
  read_state "$ATT/state" || :
}

# -> C CHUNK: the first chunk for us of the next campaign in turn, after the last one served.
next_campaign() {
  local _pass _passed _queue _name
  for _pass in behind all; do
    _passed=0
    for _queue in "$V"/*/queue; do
      _name=${_queue%/queue}
      _name=${_name##*/}
      if [ $_pass = behind ] && [ $_passed = 0 ]; then
        [ "$_name" != "$LAST" ] || _passed=1
        continue
      fi
      first_chunk "$_name" && C=$_name CHUNK=$FIRST && return 0
    done
  done
  return 1
}

# -> FIRST: the first chunk of a campaign that is for this slot; fails where there is none, or the campaign is paused.
first_chunk() { # CAMPAIGN
  local _slots
  [ ! -e "$V/$1/paused" ] || return 1
  for FIRST in "$V/$1/queue"/[0-9]*~*/c[0-9]*; do
    [ -e "$FIRST" ] || continue
    case " $PASSED " in *" $FIRST "*) continue ;; esac
    { read -r _slots <"${FIRST%/*}/slots"; } 2>/dev/null || return 0
    [ "$K" -ge "$_slots" ] || return 0
  done
  return 1
}

# What we passed over because another runner had leased it: a moment later it has been claimed, or is free.
what_was_passed() {
  [ -n "$PASSED" ] || return 1
  settle
  sleep 1
  PASSED=
  next_campaign
}

# Whether another campaign waits for its turn.
contended() {
  local _queue _name
  for _queue in "$V"/*/queue; do
    _name=${_queue%/queue}
    _name=${_name##*/}
    [ "$_name" != "$C" ] && first_chunk "$_name" && return 0
  done
  return 1
}

# Serves the chunk CHUNK of the campaign C, or one entry of it where another campaign waits.
serve() {
  local _entry
  LAST=$C
  BATCHDIR=${CHUNK%/*}
  BATCH=${BATCHDIR##*/}
  BATCH=${BATCH#*~}
  if withdrawn; then
    drop_batch "$BATCHDIR"
    # What cannot be removed is met again at once.
    [ ! -d "$BATCHDIR" ] || sleep 1
    return
  fi
  { IFS= read -r HEADER && IFS= read -r COMMON; } 2>/dev/null <"$BATCHDIR/common" || {
    # Withdrawn this moment, or damaged: then it is set aside, and its jobs are as if never handed over.
    damaged_batch
    return
  }
  field script "$HEADER"
  if [ "$F" != "$VERSION" ] && is_name "$F" && [ -e "$V/bin/$F" ]; then
    # The hand-over names the script that runs it. The locks stay with this process.
    settle
    cd / && exec "$SP_SH" "$V/bin/$F" runner "$ROOT" "$K" inherited
  fi
  B_GIT='' B_DIRTY='' B_CODE='' B_SNAPSHOT='' B_SETUP=none B_TREE=''
  eval "$COMMON"
  NEEDS="setup=$B_SETUP"
  ran_from "$B_SNAPSHOT" "$B_CODE" "$B_GIT" "$B_DIRTY"
  { read -r _ && read -r QUEUED; } 2>/dev/null <"$BATCHDIR/slots" || QUEUED=none
  [ "$B_SECRETS" != 1 ] || {
    find_secrets
    close_secrets
  }
  set_up || return 0
  command exec 3<"$CHUNK" || {
    # Withdrawn this moment, or it cannot be read now.
    [ ! -e "$CHUNK" ] || sleep 1
    return 0
  }
  AHEAD='' STUCK=0 LEASED=0 _entry=''
  while [ -n "$AHEAD" ] || fill_pool; do
    _entry=${AHEAD%% *}
    case $AHEAD in
      *' '*) AHEAD=${AHEAD#* } ;;
      *)
        AHEAD=''
        ! reads_ahead || fill_pool
        ;;
    esac
    run_attempt "$_entry" "${AHEAD%% *}"
    case $? in
      0)
        BLOCKED=''
        ! contended || break
        ;;
      78)
        # A setup has begun meanwhile.
        [ -z "$SECRET" ] || rm -f "$SECRET"
        stand_back
        break
        ;;
      73 | 77)
        [ -z "$SECRET" ] || rm -f "$SECRET"
        [ ! -e "$V/$C/paused" ] || break
        STUCK=1
        ;;
    esac
    _entry=
    [ -e "$CHUNK" ] || break
  done
  exec 3<&- 6>&- 8>&-
  if [ $STUCK = 1 ]; then
    settle
    sleep 1
  elif [ -n "$_entry" ] || [ ! -e "$CHUNK" ]; then
    return
  elif [ $LEASED = 1 ] && ! is_drained "$CHUNK"; then
    PASSED="$PASSED $CHUNK"
  else
    remove "$CHUNK" "$BATCHDIR/lease.${CHUNK##*/}".*
    [ ! -e "$CHUNK" ] || sleep 1
    set -- "$BATCHDIR"/c[0-9]*
    [ -e "$1" ] || drop_batch "$BATCHDIR"
  fi
}

# Sets a hand-over aside that cannot be read.
damaged_batch() {
  [ ! -e "$CHUNK" ] || { mark_withdrawn "$BATCH" && mv "$BATCHDIR" "$V/$C/queue/damaged.$BATCH" 2>/dev/null; } || sleep 1
}
