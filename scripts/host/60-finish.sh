# From the end of an attempt's processes to its final record. The same judgement for the runner's own attempt (by=runner),
# for an orphan that a runner supervised (by=orphan) and for what a probe or a cancel finds dead (by=seal, by=cancel).
# All of it uses C ID N ATT and, after read_state, the records; fd 6 is the attempt's state file.

# Sets from the attempt's spec what is judged here. A spec that is not there judges nothing.
load_spec() {
  B_CODES=' 0 ' B_MARKERS=0 B_CLEANUP=0 B_CLEANUP_LIMIT=600 B_LIMIT='' B_KILL_AFTER=$GRACE B_LOG_MAX=268435456 B_STAMP=0
  # shellcheck source=/dev/null
  [ -s "$ATT/spec" ] && . "$ATT/spec"
  # shellcheck disable=SC2034 # MARKERS names them
  SP_OUT_DIR=$ATT/out SP_STATE_DIR=${ATT%/*}/state SP_WORK_DIR=${B_WORK-}
}

# Head and tail of a log that is over its limit, once its markers are judged; kept whole where the disk has no room for the
# cut. -> CUT: how many bytes were left out; empty for none.
cut_log() {
  local _size _half
  CUT=''
  _size=$(wc -c <"$ATT/log") || return 0
  [ "$_size" -gt "$B_LOG_MAX" ] || return 0
  _half=$((B_LOG_MAX / 2))
  {
    head -c "$_half" "$ATT/log" &&
      printf '\n[sp: %s bytes left out: the log is longer than log-max]\n' "$((_size - 2 * _half))" &&
      tail -c "$_half" "$ATT/log"
  } 2>/dev/null >"$ATT/log.cut" && mv "$ATT/log.cut" "$ATT/log" && CUT=$((_size - 2 * _half)) && return 0
  rm -f "$ATT/log.cut"
}

# Runs a text for another shell beside the runner, in a session and with a mark of its own, so that a cancel finds all of
# it; and none of what a command left counts as it. After SECONDS it is ended. -> APART: its exit code, `limit`, or
# `cancelled`. Nothing of it is left when this returns.
run_apart() { # SECONDS TEXT NAME ARGUMENTS…
  local _until _seconds
  _seconds=$1
  shift
  uptime_now
  hundredths "$_seconds"
  _until=$((CS + H))
  # By `timeout` one process is ended, by us what it has started.
  timeout -k 5 "$_seconds" env SP_APART="$ATT/out" setsid "$SP_SH" -c "$@" 3<&- 4>&- 5>&- 6>&- 8>&- 9>&-
  APART=$?
  uptime_now
  if [ $APART -gt 123 ] && [ "$CS" -ge $_until ]; then
    APART=limit
    of_part apart end_tree "$ATT" "$B_KILL_AFTER"
  else
    [ $APART -le 128 ] || [ ! -e "${ATT%/*}/cancelled.$N" ] || APART=cancelled
    of_part apart kill_tree "$ATT"
  fi
}

# Runs the clean-up after every attempt, whatever its end, which it does not change; but not where `init` failed, which it
# would need itself. It holds the slot: what it tidies may be what the next job uses. -> CLEANUP: `none`, `ok`, its exit code,
# `limit`, `cancelled`.
run_cleanup() { # SLOT
  CLEANUP=none
  [ "$B_CLEANUP" = 1 ] && [ -z "$R_INIT" ] || return 0
  run_apart "$B_CLEANUP_LIMIT" "$CLEANUP_TEXT" sp-cleanup "$ATT" "$ID" "$N" "$1" "$C" '' </dev/null >>"$ATT/log" 2>&1
  CLEANUP=$APART
  case $CLEANUP in
    0) CLEANUP=ok ;;
    limit) printf '\n[sp: cleanup ran longer than cleanup-limit, %s s, and was ended]\n' "$B_CLEANUP_LIMIT" >>"$ATT/log" ;;
    cancelled) printf '\n[sp: cleanup was ended by a cancel]\n' >>"$ATT/log" ;;
    *) printf '\n[sp: cleanup ended with code %s]\n' "$CLEANUP" >>"$ATT/log" ;;
  esac
}

# -> STATE WHY of an attempt that was stopped; fails for one that was not.
judge_stop() {
  field why "$R_STOP" || return 1
  case $F in
    time-limit) STATE=timeout WHY=time-limit ;;
    *)
      field by "$R_STOP"
      STATE=cancelled WHY=by-$F
      ;;
  esac
}

# Whether no other slot of this user has run a job since this attempt started: what the kernel killed for memory was this
# attempt's. A slot's lock is held, or was written to, by who ran there since; params.json is as old as the start.
alone() {
  local _lock
  field slot "$R_CLAIM"
  for _lock in "$SLOTS"/*; do
    [ "$_lock" != "$SLOTS/$F" ] && [ -e "$_lock" ] || continue
    # busybox knows whole seconds: what is not surely older counts.
    is_free "$_lock" && [ "$ATT/params.json" -nt "$_lock" ] || return 1
  done
}

# -> STATE WHY SIGNAL MARKER of an attempt whose exit is on record.
judge() { # RC
  local _verdict
  SIGNAL=none MARKER=none
  case $R_EXIT in
    *' sig=yes '*) SIGNAL=$(kill -l $(($1 - 128)) 2>/dev/null) ;;
  esac
  case $SIGNAL in
    none) ;;
    '' | *[!A-Z0-9+-]*) SIGNAL=none ;;
  esac
  judge_stop && return
  if [ -n "$R_INIT$R_PREPARE" ]; then
    STATE=failed WHY=prepare
    [ -z "$R_INIT" ] || WHY=init
    return
  fi
  case $B_CODES in
    *" $1 "*) ;;
    *)
      STATE=failed WHY=exit-code
      [ "$SIGNAL" = none ] || WHY=signal
      case $R_EXIT in
        *' oom=yes '*) if alone; then STATE=oom WHY=memory; else WHY=oom-suspected; fi ;;
      esac
      return
      ;;
  esac
  STATE=succeeded WHY=ok
  [ "$B_MARKERS" = 1 ] || return 0
  _verdict=$(
    WHY=''
    begin_judgement
    call_markers
    printf '%s %s' "$WHY" "$MARKER"
  )
  [ "$_verdict" != ' none' ] || return 0
  # Nothing at all: the judgement itself broke off. What was not seen to hold does not hold.
  _verdict=${_verdict:-marker-missing none}
  STATE=failed WHY=${_verdict% *} MARKER=${_verdict#* }
  # Its end was asked for before it was known whether it counts.
  [ "$WHY" != cancelled ] || { MARKER=none && judge_asked; }
}

# Whether somebody asked for the end of the attempt -> ASKED, who; by the mark in the job's folder. On a full disk the mark may
# be empty: it was a person then.
asked_by() { # [FOLDER]
  local _mark
  _mark=${1-${ATT%/*}}/cancelled.$N
  [ -e "$_mark" ] || return 1
  { read -r ASKED <"$_mark" && is_name "$ASKED"; } 2>/dev/null || ASKED=user
  [ "$ASKED" != withdraw ]
}
# -> STATE WHY of such an attempt; fails for another.
judge_asked() {
  asked_by || return 1
  STATE=cancelled WHY=by-$ASKED
}

# No exit record, nobody left: -> STATE WHY SIGNAL MARKER, why nothing is known.
judge_lost() {
  SIGNAL=none MARKER=none
  judge_stop && return
  # All was killed before that was on record here.
  judge_asked && return
  STATE=lost
  field boot "$R_CLAIM"
  if [ "${F%.*}" != "${BOOT%.*}" ]; then
    WHY=reboot
  elif [ "$F" != "$BOOT" ]; then
    WHY=restart
  elif [ -z "$R_START" ]; then
    # `start` is not fsynced, but within one boot its absence is the truth: the command never ran.
    WHY=before-start
  else
    WHY=killed
  fi
}

# Writes the final record from STATE WHY SIGNAL MARKER CLEANUP CUT and -> END, the same as a line for the journal. Fails when
# it is not in the file. The newline first: a torn last line must not swallow the record.
write_end() { # RC BY LEFT
  local _ended _started _elapsed _slot _since _until _key
  uptime_now
  to_clock "$CS"
  _ended=$T _started=none _elapsed=none _slot=none
  field boot "$R_CLAIM"
  if [ -n "$R_START" ] && [ "$F" = "$BOOT" ]; then
    field up "$R_START"
    hundredths "$F"
    _since=$H _until=$CS
    if [ -n "$R_EXIT" ]; then
      field up "$R_EXIT"
      hundredths "$F"
      _until=$H
    fi
    to_clock "$_since"
    _started=$T
    to_clock "$_until"
    _ended=$T
    to_seconds $((_until - _since))
    _elapsed=$X
  fi
  field slot "$R_CLAIM" && _slot=$F
  field apply "$R_CLAIM" || F=none
  END="id=$ID n=$N apply=$F slot=$_slot state=$STATE reason=$WHY rc=$1 sig=$SIGNAL by=$2 marker=$MARKER left=$3 cleanup=$CLEANUP${CUT:+ cut=$CUT}"
  END="end $END started=$_started ended=$_ended el=$_elapsed up=$UP"
  # What it ran from is told with its end, so that a client that knows nothing of it needs no other record. A claim
  # without these fields is older than they are, or a cancel's.
  set --
  for _key in snapshot code git dirty; do
    field "$_key" "$R_CLAIM"
    set -- "$@" "$F"
  done
  ran_from "$@"
  END="$END $RAN_FROM${GIVEN_TO:+ to=$GIVEN_TO}"
  case $R_CLAIM in
    *' kind=setup '*) END="$END kind=setup" ;;
  esac
  END="$END ."
  printf '\n%s\n' "$END" >&6
}
