# One attempt, from its entry in the queue to its end: what a runner does as the wrapper of a job. Which entries it is offered,
# and what becomes of those of a dead runner, is not decided here.

# A secret that cannot be linked for so many hundredths of a second is given up, and its hand-over with it.
LINK_WITHIN=1000

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
  local _path
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
  local _campaign
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
  local _flag
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
      ! may_link_later "$SECRETS/$ROOTID.$C.$BATCH" || return 73
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
  fault before-claim # for tests
  claim || {
    [ -h "$N" ] || return 73
    forget_try
    return 75
  }
  fault claimed # for tests
  # The last job's end and this claim become durable together.
  durable_at_last ${PEND:+"$PEND"} .
  [ -z "$PEND" ] || journal_pending
  fault claim-durable # for tests
  stand_by
  # It may take its time, so that it comes before the last look.
  [ "$B_STAMP" = 0 ] || { load_spec && make_stamp; }
  # Whoever withdraws or cancels writes first and looks for claims then; we claim first and look then. One of us sees.
  if not_wanted; then
    read_state "$TRY/state"
    STATE=cancelled WHY=withdrawn SIGNAL=none MARKER=none CLEANUP=none CUT=''
    # From inside the folder that was entered, as all else here.
    ! asked_by . || WHY=by-$ASKED
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
    # Nothing of this hand-over is left to be claimed, unless in a later chunk, or by another runner.
    set -- "$BATCHDIR"/c[0-9]*
    [ $# -gt 1 ] || { [ "${B_SLOTS:-1}" -gt 1 ] && [ -e "$CHUNK" ] && ! is_drained "$CHUNK"; } ||
      remove "$SECRETS/$ROOTID.$C.$BATCH"
  fi
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
  fault job-ended # for tests
  finish
}

# Whether a secret that could not be linked now may be later: it is there, and ours, and this has not gone on for long. A
# place in memory may be full for a moment.
may_link_later() { # FILE ; uses BATCH
  [ -e "$1" ] && [ -O "$1" ] && [ ! -h "$1" ] || return 1
  uptime_now
  if [ "${UNLINKED_OF-}" != "$BATCH" ]; then
    UNLINKED_OF=$BATCH UNLINKED_SINCE=$CS
  fi
  [ $((CS - UNLINKED_SINCE)) -lt $LINK_WITHIN ] && return 0
  UNLINKED_OF=
  printf 'sp: the secrets of the hand-over %s cannot be linked in %s: is it full? The next apply hands over anew\n' \
    "$BATCH" "$SECRETS" >&2
  return 1
}

claim() {
  if [ "$KIND" = setup ]; then claim_setup; else ln -sn "$TRY" "$N" 2>/dev/null; fi
}

# The end of our own attempt.
finish() {
  local _brief _rc
  # A root that was removed meanwhile takes the name of the file along, not what we have open: the job's processes are ended
  # all the same.
  read_state "$ATT/state" || read_state /proc/self/fd/6
  LEFT=none
  SURE=1
  nothing_left || clean_tree
  SURE=0
  [ -z "$SECRET" ] || [ ! -e "$SECRET" ] || rm -f "$SECRET"
  uptime_now
  ELAPSED=$((CS - CS0))
  # No disk writes faster than 4 GiB a second: a shorter job's log need not be measured.
  _brief=1
  [ $(((CS - CS0 + 1) * 42949673)) -le "$B_LOG_MAX" ] && [ "$B_CLEANUP" = 0 ] || _brief=0
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
  CUT=''
  [ $_brief = 1 ] || cut_log
  write_end_at_last "$_rc" "$LEFT"
  exec 6>&-
  PEND=$ATT/state PENDLINE=$END
  fault end-written # for tests
  case $STATE in
    failed | timeout | stalled | oom | lost) check_max_fail ;;
  esac
  return 0
}

# Whether no process of our own attempt is left. Only pids given out since the start can belong to the job; pids are
# given out in a ring, so the range is exact as long as the ring cannot have gone round (100,000 starts a second). Where the
# range is of use, only what is in it is looked at: a user who compiles beside the job costs no look at all processes.
nothing_left() {
  local _sid _pid _suspects _last _range _file
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

# Ends what an attempt left, unless it is to be let be -> LEFT: none, cleaned, kept (what would not go, or need not).
clean_tree() {
  LEFT=none
  # A clean-up that a dead runner had begun is begun anew.
  ! keeps_rest || of_part apart kill_tree "$ATT"
  tree "$ATT" && [ -n "$TREE" ] || return 0
  if keeps_rest; then
    LEFT=kept
    return
  fi
  end_tree "$ATT" 2
  LEFT=cleaned
  [ -z "$TREE" ] || LEFT=kept
}

# So many failed jobs of this apply: nothing of it starts any more. Counted from the journal, so that there is no counter
# to lose.
check_max_fail() {
  local _failed
  [ -n "$B_MAX_FAIL" ] || return 0
  settle
  _failed=$(awk -v apply="apply=$B_APPLY" '
    /^end .* \.$/ && !/ kind=setup / && $4 == apply && $6 ~ /=(failed|timeout|stalled|oom|lost)$/ { n[$2] = 1 }
    END { for (id in n) c++; print c + 0 }' "$V/$C/journal")
  [ "$_failed" -lt "$B_MAX_FAIL" ] || withdraw_batches "$B_APPLY"
}
