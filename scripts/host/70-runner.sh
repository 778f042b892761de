# The runner: takes the entries of all campaigns of this root in turn and is the wrapper of the job it runs. One per slot,
# and one standby that waits for its lock. A runner that is killed leaves an orphan, which its successor supervises.

POOL=16

# Starts a runner of slot K, detached. No `&`: a background list would start everything below with SIGINT ignored. The
# first setsid runs in place, the second leads a group, so it forks and we get control back.
start_runner() { # SLOT
  env -i PATH="$PATH" HOME="$HOME" ${TMUX_TMPDIR+TMUX_TMPDIR="$TMUX_TMPDIR"} \
    ${SP_BOOT_ID_FILE+SP_BOOT_ID_FILE="$SP_BOOT_ID_FILE"} ${SP_MACHINE_ID_FILE+SP_MACHINE_ID_FILE="$SP_MACHINE_ID_FILE"} \
    ${SP_FAULT+SP_FAULT="$SP_FAULT"} \
    setsid setsid /bin/sh "$SELF" runner "$ROOT" "$1" \
    </dev/null >/dev/null 2>>"$V/run/errors" 3<&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

verb_runner() { # SLOT [inherited]
  K=$1
  cd "$V/run" || exit 73
  SEEN_SIGNALS=none
  trap 'SEEN_SIGNALS=$SEEN_SIGNALS,HUP' HUP
  trap 'SEEN_SIGNALS=$SEEN_SIGNALS,TERM' TERM
  trap 'SEEN_SIGNALS=$SEEN_SIGNALS,INT' INT
  process $$
  RID=$$-$P_START
  STANDBY=0
  if [ "${2-}" != inherited ]; then
    command exec 3>>"standby.$K" 4>>"runner.$K" || exit 73
    flock -n 3 || exit 0
    flock 4
    exec 3>&-
    command exec 9>>"life.$RID" && flock -n 9 || exit 73
  fi
  boot_now
  machine_now
  clock_base
  read -r ROOTID <"$V/root-id" || exit 73
  PEND='' PENDLINE='' NEXT='' LOCKER='' C='' LAST=''
  PID_MAX=$(cat /proc/sys/kernel/pid_max)
  if work_left; then
    # From here on somebody stands by.
    start_runner "$K"
    supervise_orphans
    command exec 7>>"$SLOTS/$K" || exit 73
    flock 7
    while next_campaign; do
      serve
    done
  fi
  settle
  rm -f "$V/run/life.$RID"
  exit 0
}

# Whether there is anything to do: an entry, or an attempt without an end.
work_left() {
  set -- "$V"/*/queue/[0-9]*~*/c[0-9]*
  [ -e "$1" ] && return 0
  for _folder in "$V"/*/jobs; do
    [ -d "$_folder" ] || continue
    C=${_folder%/jobs}
    C=${C##*/}
    [ -z "$(open_attempts)" ] || return 0
  done
  return 1
}

# Orphans of this slot: their limits go on, their markers are judged, their end is written. Dead attempts are sealed.
supervise_orphans() {
  for _folder in "$V"/*/jobs; do
    [ -d "$_folder" ] || continue
    C=${_folder%/jobs}
    C=${C##*/}
    for _pair in $(settle_campaign seal | awk '/ verdict=orphan /{ print substr($2, 4) "/" substr($3, 3) "/" substr($5, 6) }'); do
      _slot=${_pair##*/}
      _pair=${_pair%/*}
      [ "$_slot" = "$K" ] || {
        # Its own runner is gone too: a new one of that slot sees to it.
        is_number "$_slot" || [ "$_slot" = 0 ] && start_runner "$_slot"
        continue
      }
      load_attempt "${_pair%/*}" "${_pair#*/}" || continue
      load_spec
      _from=
      if [ -n "$R_START" ]; then
        field up "$R_START"
        _from=${F%.*}${F#*.}
        (watch "$_from") &
      fi
      flock -s "$ATT/alive" true
      while tree "$ATT" && [ -n "$TREE" ] && [ -z "$R_EXIT" ]; do
        # A job that closed its descriptors: looked at, since no lock tells of it.
        sleep 1
        read_state "$ATT/state"
      done
      end_tree "$ATT" 2
      run_cleanup "$K"
      seal orphan
      journal_end
    done
  done
}

# -> C CHUNK: the first chunk of the next campaign in turn, after the last one served.
next_campaign() {
  _passed=0 _wrap='' _own=''
  [ -n "$LAST" ] || _passed=1
  for _queue in "$V"/*/queue; do
    set -- "$_queue"/[0-9]*~*/c[0-9]*
    _name=${_queue%/queue}
    _name=${_name##*/}
    if [ "$_name" = "$LAST" ]; then
      _passed=1
      [ -e "$1" ] && [ ! -e "$V/$_name/paused" ] && _own=$1
      continue
    fi
    [ -e "$1" ] && [ ! -e "$V/$_name/paused" ] || continue
    if [ $_passed = 1 ]; then
      C=$_name CHUNK=$1
      return 0
    fi
    [ -n "$_wrap" ] || _wrap=$1
  done
  CHUNK=${_wrap:-$_own}
  [ -n "$CHUNK" ] || return 1
  C=${CHUNK#"$V"/}
  C=${C%%/*}
}

# Whether another campaign waits for its turn.
contended() {
  for _queue in "$V"/*/queue; do
    [ "$_queue" = "$V/$C/queue" ] && continue
    set -- "$_queue"/[0-9]*~*
    [ -e "$1" ] && return 0
  done
  return 1
}

# Serves one chunk, or one entry of it where another campaign waits.
serve() {
  LAST=$C
  BATCHDIR=${CHUNK%/*}
  BATCH=${BATCHDIR##*/}
  BATCH=${BATCH#*~}
  { IFS= read -r HEADER && IFS= read -r COMMON; } <"$BATCHDIR/common" 2>/dev/null || return 0
  field script "$HEADER"
  if [ "$F" != "$VERSION" ] && is_name "$F" && [ -e "$V/bin/$F" ]; then
    # The hand-over names the script that runs it. The locks stay with this process.
    settle
    cd / && exec /bin/sh "$V/bin/$F" runner "$ROOT" "$K" inherited
  fi
  eval "$COMMON"
  command exec 3<"$CHUNK" || return 0
  AHEAD='' _stuck=0
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
        if contended; then
          exec 3<&-
          return 0
        fi
        ;;
      73) _stuck=1 ;;
      77)
        exec 3<&-
        return 0
        ;;
    esac
    [ -e "$BATCHDIR" ] || break
  done
  exec 3<&-
  [ -e "$BATCHDIR" ] || return 0
  if [ $_stuck = 1 ]; then
    settle
    sleep 1
    return 0
  fi
  rm -f "$CHUNK"
  set -- "$BATCHDIR"/c[0-9]*
  [ -e "$1" ] || {
    rm -rf "$BATCHDIR"
    rm -f "$SECRETS/$ROOTID.$C.$BATCH"
  }
}

# Reads ahead: prepares the attempt folders of the next entries by one mkdir and one sync. An unclaimed one is harmless.
fill_pool() {
  cd "$V/$C/jobs" || return 1
  _room=$((POOL / ${B_SLOTS:-1} + 1)) _count=0 _folders='' _pool=''
  while [ $_count -lt $_room ] && IFS=' ' read -r _kind _id _n _flag _text <&3; do
    [ "$_kind" = job ] && is_id "$_id" && is_number "$_n" || continue
    [ -h "$_id/$_n" ] && continue
    if [ "$_n" -gt 1 ]; then
      # Only after the end of the attempt before; a root made anew has none of them.
      set -- "$_id"/[1-9]*
      [ ! -h "$1" ] || { read_state "$_id/$((_n - 1))/state" && [ -n "$R_END" ]; } || continue
    fi
    _folders="$_folders $_id/try-$_n.$RID/out $_id/state"
    _pool="$_pool $_id/$_n/$_flag"
    eval "SPEC_$_count=\$_text"
    _count=$((_count + 1))
  done
  [ -n "$_pool" ] || return 1
  # shellcheck disable=SC2086 # ids and numbers
  mkdir -p $_folders || { _stuck=1; return 1; }
  uptime_now
  _count=0 _files=.
  for _item in $_pool; do
    _id=${_item%%/*}
    _n=${_item#*/}
    _n=${_n%/*}
    _try=$_id/try-$_n.$RID
    eval "_text=\$SPEC_$_count"
    _count=$((_count + 1))
    if [ ! -s "$_try/state" ]; then
      printf '%s\n%s\n' "$COMMON" "$_text" >"$_try/spec" &&
        printf 'claim v=1 campaign=%s origin=%s script=%s root=%s machine=%s boot=%s snapshot=none setup=none apply=%s batch=%s slot=%s rid=%s id=%s n=%s up=%s .\n' \
          "$C" "$B_ORIGIN" "$VERSION" "$ROOTID" "$MACHINE" "$BOOT" "$B_APPLY" "$BATCH" "$K" "$RID" "$_id" "$_n" "$UP" \
          >"$_try/state" && true >>"$_try/alive" && true >>"$_try/log" || {
        rm -rf "$_try"
        _stuck=1
        continue
      }
    fi
    AHEAD="$AHEAD${AHEAD:+ }$_item"
    _files="$_files $_id $_try $_try/state"
  done
  # shellcheck disable=SC2086 # ids and numbers
  make_durable $_files
}

# Locks `alive` of the next attempt while the present one runs: the lock belongs to the open file, so it stays with us.
lock_next() { # ID N
  command exec 5>>"$V/$C/jobs/$1/try-$2.$RID/alive" || return 1
  flock -n 5 3<&- 4>&- 6>&- 7>&- 8>&- 9>&- &
  LOCKER=$!
  NEXT=$1/$2
}

# Leaves when the root that this runner serves was removed: one made anew in its place may hold the same attempt of
# another life, whose records are not ours to write.
same_root() {
  { read -r _root <"$V/root-id"; } 2>/dev/null && [ "$_root" = "$ROOTID" ] && return 0
  exit 66
}

# The last end is made durable, then told.
settle() {
  [ -n "$PEND" ] || return 0
  until same_root && make_durable "$PEND"; do sleep 1; done
  PEND=''
  journal "$PENDLINE"
}

withdrawn() {
  [ -e "$V/$C/withdrawn/$BATCH" ]
}

# Claims an entry and runs it. 0: it was ours; 75: not to be started by us; 73: cannot now; 77: paused.
run_attempt() { # ID/N/FLAG NEXT_ENTRY
  ID=${1%%/*} _flag=${1##*/}
  N=${1#*/}
  N=${N%/*}
  TRY=try-$N.$RID ATT=$V/$C/jobs/$ID/$N SECRET=''
  cd "$V/$C/jobs/$ID" || return 73
  # What is cancelled is claimed all the same, so that its end is on record even if who asked for it died in between.
  if [ -h "$N" ] || withdrawn; then
    rm -rf "$TRY"
    return 75
  fi
  if [ "$B_SECRETS" = 1 ]; then
    # Without its secrets a job never starts; the next apply hands it over again.
    SECRET=$SECRETS/$ROOTID.$C.$BATCH.$ID.$N
    ln "$SECRETS/$ROOTID.$C.$BATCH" "$SECRET" 2>/dev/null || [ -e "$SECRET" ] || {
      withdraw_batches "$BATCH"
      return 75
    }
  fi
  [ "$NEXT" = "$ID/$N" ] || lock_next "$ID" "$N" || return 73
  wait "$LOCKER" || return 73
  NEXT=''
  exec 8>&5 5>&-
  command exec 6>>"$TRY/state" || return 73
  # The last look before the claim.
  [ -e "$V/$C/paused" ] && return 77
  fault before-claim
  ln -sn "$TRY" "$N" 2>/dev/null || {
    exec 6>&- 8>&-
    [ -h "$N" ] || return 73
    rm -rf "$TRY"
    [ -z "$SECRET" ] || rm -f "$SECRET"
    return 75
  }
  fault claimed
  # The last job's end and this claim become durable together.
  until same_root && make_durable ${PEND:+"$PEND"} .; do sleep 1; done
  [ -z "$PEND" ] || journal "$PENDLINE"
  PEND=''
  fault claim-durable
  # Whoever withdraws or cancels writes first and looks for claims then; we claim first and look then. One of us sees.
  if withdrawn || [ -e "cancelled.$N" ]; then
    read_state "$TRY/state"
    STATE=cancelled WHY=withdrawn SIGNAL=none MARKER=none
    if { read -r _by <"cancelled.$N"; } 2>/dev/null && [ "$_by" != withdraw ]; then
      WHY=by-$_by
    fi
    exec 8>&-
    [ -z "$SECRET" ] || rm -f "$SECRET"
    until write_end none runner none; do sleep 1; done
    PEND=$ATT/state PENDLINE=$END
    settle
    return 0
  fi
  if [ "$_flag" = fresh ] && [ -d state ]; then
    mv state "state-before.$N" && mkdir state
  fi
  if [ -n "$2" ]; then
    _next=${2%/*}
    lock_next "${_next%/*}" "${_next#*/}"
  elif [ -n "$SECRET" ]; then
    # Nothing of this hand-over is left to be claimed, unless in a later chunk.
    set -- "$BATCHDIR"/c[0-9]*
    [ "$#" -gt 1 ] || rm -f "$SECRETS/$ROOTID.$C.$BATCH"
  fi
  [ "$B_STAMP" = 0 ] || { load_spec && make_stamp; }
  uptime_now
  CS0=$CS
  read -r _ _ _ _ PID0 </proc/loadavg
  to_clock "$CS"
  journal "start id=$ID n=$N apply=$B_APPLY slot=$K t=$T up=$UP ."
  (watch "$CS0") &
  setsid /bin/sh -c "$STUB" sp-stub "$ATT" "$ID" "$N" "$K" "$C" "$SECRET" \
    3<&- 4>&- 5>&- 9>&- </dev/null >>"$TRY/log" 2>>"$TRY/signal"
  _rc=$?
  exec 8>&-
  fault job-ended
  finish "$_rc"
}

# The end of our own attempt.
finish() { # RC_OF_STUB
  read_state "$ATT/state"
  leftovers
  uptime_now
  # No disk writes faster than 4 GiB a second: a shorter job's log need not be measured.
  [ $((CS - CS0)) -le $((B_LOG_MAX / 42949673)) ] || cut_log
  [ "$B_MARKERS$B_CLEANUP" = 00 ] || load_spec
  run_cleanup "$K"
  if [ -n "$R_EXIT" ]; then
    field rc "$R_EXIT"
    _rc=$F
    judge "$_rc"
  else
    # The stub was killed: what became of the command is not known, whatever the shell makes of it.
    judge_lost
    [ "$WHY" = killed ] || [ "$WHY" = before-start ] && WHY=stub-killed
    _rc=none
  fi
  until write_end "$_rc" runner "$LEFT"; do sleep 1; done
  exec 6>&-
  PEND=$ATT/state PENDLINE=$END
  fault end-written
  case $STATE in
    failed | timeout | stalled | oom | lost) check_max_fail ;;
  esac
  return 0
}

# -> LEFT. Only pids given out since the start can belong to the job; pids are given out in a ring, so the range is exact
# as long as the ring cannot have gone round (100,000 starts a second).
leftovers() {
  LEFT=none
  uptime_now
  read -r _ _ _ _ _last </proc/loadavg
  _range=$((_last - PID0))
  if [ $_range -lt 0 ] || [ $_range -gt 512 ] || [ $(((CS - CS0 + 1) * 1000)) -gt "$PID_MAX" ]; then
    tree "$ATT"
    [ -n "$TREE" ] || return 0
  else
    field pid "$R_START"
    _sid=${F:--1} _pid=$PID0 _suspect=0
    while [ "$_pid" -lt "$_last" ]; do
      _pid=$((_pid + 1))
      [ -d "/proc/$_pid" ] && process "$_pid" || continue
      [ "$P_STATE" = Z ] || [ "$P_SID" = $$ ] && continue
      [ "$P_SID" = "$_sid" ] || [ -O "/proc/$_pid" ] || continue
      _suspect=1
      break
    done
    [ $_suspect = 1 ] || return 0
    tree "$ATT"
    [ -n "$TREE" ] || return 0
  fi
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
    /^end .* \.$/ && $4 == apply && $6 ~ /=(failed|timeout|stalled|oom|lost)$/ { n[$2] = 1 }
    END { for (id in n) c++; print c + 0 }' "$V/$C/journal")
  [ "$_failed" -lt "$B_MAX_FAIL" ] || withdraw_batches "$B_APPLY"
}

# Takes hand-overs out of the queue. The mark comes first: a claim that is under way sees it.
withdraw_batches() { # BATCH or APPLY
  mkdir -p "$V/$C/withdrawn"
  for _folder in "$V/$C/queue"/[0-9]*~"$1"*; do
    [ -d "$_folder" ] || continue
    _name=${_folder##*/}
    : >"$V/$C/withdrawn/${_name#*~}"
    make_durable "$V/$C/withdrawn"
    rm -rf "$_folder"
    rm -f "$SECRETS/$ROOTID.$C.${_name#*~}"
  done
}
