# The runner: takes the entries of all campaigns of this root in turn and is the wrapper of the job it runs. One per slot,
# and one standby that waits for its lock. A runner that is killed leaves an orphan, which its successor supervises.

POOL=16
# Two deaths within so many hundredths of a second are one too many.
PACE=1000

# Starts a runner of slot K, detached, with nothing of our environment but what it needs. No `&`: a background list would
# start everything below with SIGINT ignored. The first setsid runs in place, the second leads a group, so it forks and we
# get control back.
start_runner() { # SLOT
  env -i PATH="$PATH" HOME="$HOME" SP_SH="$SP_SH" ${TMUX_TMPDIR+TMUX_TMPDIR="$TMUX_TMPDIR"} \
    ${SP_BOOT_ID_FILE+SP_BOOT_ID_FILE="$SP_BOOT_ID_FILE"} ${SP_MACHINE_ID_FILE+SP_MACHINE_ID_FILE="$SP_MACHINE_ID_FILE"} \
    ${SP_FAULT+SP_FAULT="$SP_FAULT"} \
    setsid setsid "$SP_SH" "$SELF" runner "$ROOT" "$1" \
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
  PEND='' PENDLINE='' NEXT='' LOCKER='' LAST='' KIND=job NEEDS='' BLOCKED=''
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
    while next_campaign; do
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

# Tidies and seals what is dead -> ORPHANS of this slot, as CAMPAIGN/ID/N. An orphan of another slot has lost its standby too: a runner
# of that slot sees to it.
find_orphans() {
  ORPHANS=
  for _folder in "$V"/*/queue/[0-9]*~*; do
    # What a runner left that was killed between its last chunk and the folder.
    set -- "$_folder"/c[0-9]*
    [ -e "$1" ] || [ ! -d "$_folder" ] || drop_batch "$_folder"
  done
  for _folder in "$V"/*/jobs; do
    [ -d "$_folder" ] || continue
    C=${_folder%/jobs}
    C=${C##*/}
    for _orphan in $(settle_campaign | awk '
      / verdict=orphan / { print substr($5, 6) "/" substr($2, 4) "/" substr($3, 3) }'); do
      _slot=${_orphan%%/*}
      if [ "$_slot" = "$K" ]; then
        ORPHANS="$ORPHANS $C/${_orphan#*/}"
      elif is_slot "$_slot"; then
        start_runner "$_slot"
      fi
    done
  done
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
    load_spec
    clean_tree
    run_cleanup "$K"
    # A full disk is waited for, as at any other end.
    until seal orphan "$LEFT" || [ ! -e "$ATT/state" ]; do sleep 1; done
    journal "$R_END"
  done
}

# -> C CHUNK: the first chunk for us of the next campaign in turn, after the last one served.
next_campaign() {
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
  [ ! -e "$V/$1/paused" ] || return 1
  for FIRST in "$V/$1/queue"/[0-9]*~*/c[0-9]*; do
    [ -e "$FIRST" ] || continue
    { read -r _slots <"${FIRST%/*}/slots"; } 2>/dev/null || return 0
    [ "$K" -ge "$_slots" ] || return 0
  done
  return 1
}

# Whether another campaign waits for its turn.
contended() {
  for _queue in "$V"/*/queue; do
    _name=${_queue%/queue}
    _name=${_name##*/}
    [ "$_name" != "$C" ] && first_chunk "$_name" && return 0
  done
  return 1
}

# Serves the chunk CHUNK of the campaign C, or one entry of it where another campaign waits.
serve() {
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
  is_name "$B_ORIGIN" || B_ORIGIN=none
  { read -r _ && read -r QUEUED; } 2>/dev/null <"$BATCHDIR/slots" || QUEUED=none
  set_up || return 0
  command exec 3<"$CHUNK" || return 0
  AHEAD='' STUCK=0 _entry=''
  fill_pool
  while [ -n "$AHEAD" ]; do
    _entry=${AHEAD%% *}
    case $AHEAD in
      *' '*) AHEAD=${AHEAD#* } ;;
      *)
        AHEAD=''
        fill_pool
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
  elif [ -z "$_entry" ] && [ -e "$CHUNK" ]; then
    rm -f "$CHUNK"
    [ ! -e "$CHUNK" ] || sleep 1
    set -- "$BATCHDIR"/c[0-9]*
    [ -e "$1" ] || drop_batch "$BATCHDIR"
  fi
}

# Sets a hand-over aside that cannot be read.
damaged_batch() {
  [ ! -e "$CHUNK" ] || mv "$BATCHDIR" "$V/$C/queue/damaged.$BATCH" 2>/dev/null || sleep 1
}

# Reads ahead -> AHEAD, STUCK: prepares the attempt folders of the next entries by one mkdir and one sync. An unclaimed one
# is harmless.
fill_pool() {
  cd "$V/$C/jobs" || return 0
  same_root
  _room=$((POOL / ${B_SLOTS:-1} + 1)) _count=0 _folders='' _pool=''
  while [ $_count -lt $_room ] && IFS=' ' read -r _kind _id _n _flag _text <&3; do
    [ "$_kind" = job ] && is_id "$_id" && is_number "$_n" || continue
    [ -h "$_id/$_n" ] && continue
    [ "$_n" -eq 1 ] || all_before_ended || continue
    _folders="$_folders $_id/try-$_n.$RID/out $_id/state"
    _pool="$_pool $_id/$_n/$_flag"
    eval "SPEC_$_count=\$_text"
    _count=$((_count + 1))
  done
  [ -n "$_pool" ] || return 0
  # shellcheck disable=SC2086 # ids and numbers
  mkdir -p $_folders || {
    STUCK=1
    return 0
  }
  uptime_now
  _count=0 _ahead='' _files=.
  for _item in $_pool; do
    _id=${_item%%/*}
    _n=${_item#*/}
    _n=${_n%/*}
    _try=$_id/try-$_n.$RID
    eval "_text=\$SPEC_$_count"
    _count=$((_count + 1))
    [ -s "$_try/state" ] || prepare_folder || {
      rm -rf "$_try"
      STUCK=1
      continue
    }
    _ahead="$_ahead${_ahead:+ }$_item"
    _files="$_files $_id $_try $_try/state"
  done
  # shellcheck disable=SC2086 # ids and numbers
  if make_durable $_files; then AHEAD=$_ahead; else STUCK=1; fi
}

# Whether the attempts of the job _id before _n that this host knows have ended. Some may have been another host's, and a
# root made anew has none.
all_before_ended() {
  for _link in "$_id"/[1-9]*; do
    [ -h "$_link" ] && is_number "${_link##*/}" && [ "${_link##*/}" -lt "$_n" ] || continue
    read_state "$_link/state" && [ -n "$R_END" ] || return 1
  done
}

# One attempt's folder from _try _id _n _text RAN_FROM NEEDS, with all that its start needs: the disk may be full by then.
# `state` comes last: who has one is whole.
prepare_folder() {
  printf '%s\n%s\n' "$COMMON" "$_text" >"$_try/spec" && true >>"$_try/alive" && true >>"$_try/log" && true >>"$_try/signal" &&
    printf 'claim v=1 campaign=%s origin=%s script=%s root=%s machine=%s boot=%s %s %s apply=%s batch=%s slot=%s rid=%s id=%s n=%s queued=%s up=%s .\n' \
      "$C" "$B_ORIGIN" "$VERSION" "$ROOTID" "$MACHINE" "$BOOT" "$RAN_FROM" "$NEEDS" "$B_APPLY" "$BATCH" "$K" "$RID" "$_id" "$_n" "${QUEUED:-none}" "$UP" \
      >"$_try/state"
}

# Locks `alive` of the next attempt while the present one runs: the lock belongs to the open file, so it stays with us.
# -> NEXT LOCKER
lock_next() { # ID/N
  NEXT=
  command exec 5>>"$V/$C/jobs/${1%/*}/try-${1#*/}.$RID/alive" || return 1
  flock -n 5 3<&- 4>&- 6>&- 7>&- 8>&- 9>&- &
  LOCKER=$!
  NEXT=$1
}

# Leaves when the root that this runner serves was removed: one made anew in its place may hold the same attempt of
# another life, whose records are not ours to write.
same_root() {
  is_same_root || exit 66
}

# Makes files durable, however long it takes: a disk that fails is waited for. What is gone by then, with the folder of its
# job, is waited for no more.
durable_at_last() { # FILE…
  same_root
  until make_durable "$@"; do
    for _path; do
      shift
      [ ! -e "$_path" ] || set -- "$@" "$_path"
    done
    [ $# -gt 0 ] || return 0
    sleep 1
    same_root
  done
}

# The final record of our own attempt, however long a full disk makes it wait.
write_end_at_last() { # RC LEFT
  until write_end "$1" runner "$2"; do
    sleep 1
    same_root
  done
}

# The last end is made durable, then told. A journal that cannot be written is completed by the next probe.
settle() {
  [ -n "$PEND" ] || return 0
  durable_at_last "$PEND"
  journal_pending
}

# The end of the job before, in the journal of its own campaign: the runner may be at another one's by now.
journal_pending() {
  _campaign=$C
  C=${PEND#"$V"/}
  C=${C%%/*}
  journal "$PENDLINE"
  C=$_campaign PEND=
}

withdrawn() {
  [ -e "$V/$C/withdrawn/$BATCH" ]
}

# Whether the claim ID/N is ours: then its folder is no leftover.
claimed_by_us() {
  [ "$(readlink "$N")" = "$TRY" ]
}

# An entry that is not to be started by us leaves nothing.
forget_try() {
  claimed_by_us || rm -rf "$TRY"
  [ -z "$SECRET" ] || rm -f "$SECRET"
}

# Claims an entry and runs it. 0: it was ours; 75: not to be started by us; 73: cannot now; 77: paused, so
# that it stays in the queue; 78: it stays, too, since a setup is under way.
run_attempt() { # ID/N/FLAG NEXT_ENTRY
  ID=${1%%/*} _flag=${1##*/}
  N=${1#*/}
  N=${N%/*}
  TRY=try-$N.$RID ATT=$V/$C/jobs/$ID/$N SECRET=''
  cd "$V/$C/jobs/$ID" || return 73
  # What is in this folder is looked at from inside it: a root that comes in its place by now is not met any more.
  same_root
  # What is cancelled is claimed all the same, so that its end is on record even if who asked for it died in between.
  if [ -h "$N" ] || withdrawn; then
    forget_try
    return 75
  fi
  if [ "$B_SECRETS" = 1 ]; then
    # Without its secrets a job never starts; the next apply hands it over again.
    # The name is our own: a runner that loses the race for the claim takes nothing from the one that wins it.
    SECRET=$SECRETS/$ROOTID.$C.$BATCH.$ID.$N.$RID
    ln "$SECRETS/$ROOTID.$C.$BATCH" "$SECRET" 2>/dev/null || [ -e "$SECRET" ] || {
      [ ! -e "$SECRETS/$ROOTID.$C.$BATCH" ] || return 73
      # Who claims the last entry takes the file away: then this one has been claimed meanwhile.
      [ -h "$N" ] || withdraw_batches "$BATCH"
      return 75
    }
  fi
  [ "$NEXT" = "$ID/$N" ] || lock_next "$ID/$N" || return 73
  NEXT=
  wait "$LOCKER" || return 73
  exec 8>&5 5>&-
  command exec 6>>"$TRY/state" || return 73
  # The last look before the claim.
  [ -e "$V/$C/paused" ] && return 77
  setup_runs && return 78
  fault before-claim
  claim || {
    [ -h "$N" ] || return 73
    forget_try
    return 75
  }
  fault claimed
  # The last job's end and this claim become durable together.
  durable_at_last ${PEND:+"$PEND"} .
  [ -z "$PEND" ] || journal_pending
  fault claim-durable
  stand_by
  # Whoever withdraws or cancels writes first and looks for claims then; we claim first and look then. One of us sees.
  if not_wanted; then
    read_state "$TRY/state"
    STATE=cancelled WHY=withdrawn SIGNAL=none MARKER=none
    if { read -r _by <"cancelled.$N"; } 2>/dev/null && [ "$_by" != withdraw ]; then
      WHY=by-$_by
    fi
    exec 8>&-
    [ -z "$SECRET" ] || rm -f "$SECRET"
    write_end_at_last none none
    PEND=$ATT/state PENDLINE=$END
    settle
    return 0
  fi
  [ "$KIND" = job ] || begin_setup
  if [ "$_flag" = fresh ] && [ -d state ]; then
    mv state "state-before.$N" && mkdir state
  fi
  if [ -n "$2" ]; then
    lock_next "${2%/*}"
  elif [ -n "$SECRET" ] && [ "$KIND" = job ]; then
    # Nothing of this hand-over is left to be claimed, unless in a later chunk.
    set -- "$BATCHDIR"/c[0-9]*
    [ $# -gt 1 ] || rm -f "$SECRETS/$ROOTID.$C.$BATCH"
  fi
  [ "$B_STAMP" = 0 ] || { load_spec && make_stamp; }
  uptime_now
  CS0=$CS
  read -r _ _ _ _ PID0 </proc/loadavg
  to_clock "$CS"
  OF_SETUP=''
  [ "$KIND" = job ] || OF_SETUP=' kind=setup'
  journal "start id=$ID n=$N apply=$B_APPLY slot=$K t=$T up=$UP$OF_SETUP ."
  (watch "$CS0") &
  setsid "$SP_SH" -c "$STUB" sp-stub "$ATT" "$ID" "$N" "$K" "$C" "$SECRET" \
    3<&- 4>&- 5>&- 9>&- </dev/null >>"$TRY/log" 2>>"$TRY/signal"
  exec 8>&-
  # When a job last ran in this slot, see `alone`.
  true >"$SLOTS/$K"
  fault job-ended
  finish
}

claim() {
  if [ "$KIND" = setup ]; then claim_setup; else ln -sn "$TRY" "$N" 2>/dev/null; fi
}

# The end of our own attempt.
finish() {
  # A root that was removed meanwhile takes the name of the file along, not what we have open: the job's processes are ended
  # all the same.
  read_state "$ATT/state" || read_state /proc/self/fd/6
  LEFT=none
  SURE=1
  nothing_left || clean_tree
  SURE=0
  [ -z "$SECRET" ] || [ ! -e "$SECRET" ] || rm -f "$SECRET"
  uptime_now
  # No disk writes faster than 4 GiB a second: a shorter job's log need not be measured.
  [ $(((CS - CS0 + 1) * 42949673)) -le "$B_LOG_MAX" ] || cut_log
  [ "$B_MARKERS$B_CLEANUP" = 00 ] || load_spec
  run_cleanup "$K"
  _rc=none
  if field rc "$R_EXIT"; then
    _rc=$F
    judge "$_rc"
  else
    # The stub was killed: what became of the command is not known, whatever the shell makes of it. Without a start there was
    # none.
    judge_lost
    [ "$WHY" != killed ] || WHY=stub-killed
  fi
  write_end_at_last "$_rc" "$LEFT"
  exec 6>&-
  PEND=$ATT/state PENDLINE=$END
  fault end-written
  case $STATE in
    failed | timeout | stalled | oom | lost) check_max_fail ;;
  esac
  return 0
}

# Whether no process of our own attempt is left. Only pids given out since the start can belong to the job; pids are
# given out in a ring, so the range is exact as long as the ring cannot have gone round (100,000 starts a second). Where the
# range is of use, only what is in it is looked at: a user who compiles beside the job costs no look at all processes.
nothing_left() {
  field pid "$R_START"
  _sid=${F:-none} _pid=$PID0 _suspects=
  # Until no pid was given out since the last look: what forks and ends as we look is seen by its child.
  while :; do
    uptime_now
    read -r _ _ _ _ _last </proc/loadavg
    _range=$((_last - PID0))
    [ $_range -ge 0 ] && [ $_range -le 512 ] && [ $(((CS - CS0 + 1) * 1000)) -le "$PID_MAX" ] || return 1
    [ "$_pid" -lt "$_last" ] || break
    while [ "$_pid" -lt "$_last" ]; do
      _pid=$((_pid + 1))
      [ -d "/proc/$_pid" ] && process "$_pid" || continue
      [ "$P_STATE" = Z ] || [ "$P_SID" = $$ ] && continue
      [ "$P_SID" != "$_sid" ] || return 1
      [ ! -O "/proc/$_pid" ] || _suspects="$_suspects /proc/$_pid/environ"
    done
  done
  [ -n "$_suspects" ] || return 0
  is_free "$ATT/alive" || return 1
  # shellcheck disable=SC2086 # a list of pids
  ! grep -qszxF "SP_OUT_DIR=$ATT/out" $_suspects || return 1
  # One that has ended meanwhile was not looked at, and may have left a child.
  for _file in $_suspects; do
    _pid=${_file#/proc/}
    process "${_pid%/*}" && [ "$P_STATE" != Z ] || return 1
  done
}

# Ends what an attempt left -> LEFT: none, cleaned, kept (what would not go).
clean_tree() {
  LEFT=none
  tree "$ATT" && [ -n "$TREE" ] || return 0
  end_tree "$ATT" 2
  LEFT=cleaned
  [ -z "$TREE" ] || LEFT=kept
}

# So many failed jobs of this apply: nothing of it starts any more. Counted from the journal, so that there is no counter
# to lose.
check_max_fail() {
  [ -n "$B_MAX_FAIL" ] || return 0
  settle
  _failed=$(awk -v apply="apply=$B_APPLY" '
    /^end .* \.$/ && !/ kind=setup / && $4 == apply && $6 ~ /=(failed|timeout|stalled|oom|lost)$/ { n[$2] = 1 }
    END { for (id in n) c++; print c + 0 }' "$V/$C/journal")
  [ "$_failed" -lt "$B_MAX_FAIL" ] || withdraw_batches "$B_APPLY"
}

# Secrets that a dead runner had laid out for an attempt. A stub that lives holds `alive`, and takes its own away.
forget_secrets() {
  for _file in "$SECRETS/$ROOTID".*.*.*.*.*; do
    [ ! -e "$_file" ] || ! is_stale_secret "$_file" || rm -f "$_file"
  done
}
is_stale_secret() { # FILE
  _rid=${1##*.}
  [ ! -e "$V/run/life.$_rid" ] || is_free "$V/run/life.$_rid" || return 1
  _campaign=${1#"$SECRETS/$ROOTID."}
  _campaign=${_campaign%%.*}
  _attempt=${1%.*}
  _id=${_attempt%.*}
  _attempt=$V/$_campaign/jobs/${_id##*.}/${_attempt##*.}
  [ ! -h "$_attempt" ] || is_free "$_attempt/alive"
}

# Hand-overs of which every entry is claimed: nothing of them can start any more.
drop_drained() {
  for _folder in "$V/$C/queue"/[0-9]*~*; do
    set -- "$_folder"/c[0-9]*
    [ -e "$1" ] || continue
    (cd "$V/$C/jobs" && printf '%s\n' */[1-9]*) | awk '
      FNR == NR { claimed[$0] = 1; next }
      $1 == "job" && !(($2 "/" $3) in claimed) { left = 1; exit }
      END { exit left }' - "$@" 2>/dev/null || continue
    drop_batch "$_folder"
  done
}

# Takes hand-overs out of the queue: one, or all of an apply. The mark comes first: a claim that is under way sees it. Fails
# where a mark cannot be written; then that hand-over stays.
withdraw_batches() { # BATCH_OR_APPLY ; uses C
  _marked=0
  for _folder in "$V/$C/queue"/[0-9]*~"$1" "$V/$C/queue"/[0-9]*~"$1"-[0-9]*; do
    [ -d "$_folder" ] || continue
    if mkdir -p "$V/$C/withdrawn" && true >"$V/$C/withdrawn/${_folder##*~}" && make_durable "$V/$C/withdrawn"; then
      drop_batch "$_folder"
    else
      _marked=1
    fi
  done
  return $_marked
}

# A hand-over of which nothing is to be started any more, with its secrets.
drop_batch() { # QUEUE_FOLDER
  _campaign=${1#"$V"/}
  rm -f "$SECRETS/$ROOTID.${_campaign%%/*}.${1##*~}"
  # Two at it at once: one of them finds the other's work done.
  rm -rf "$1" 2>/dev/null || rm -rf "$1"
}
