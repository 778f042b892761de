# From the end of an attempt's processes to its final record. The same judgement for the runner's own attempt (BY=runner),
# for an orphan that a runner supervised (BY=orphan) and for what a probe finds dead (BY=seal).
# All of it uses C ID N ATT and, after read_state, the records; fd 6 is the attempt's state file.

# Sets from the attempt's spec what is judged here. A spec that is not there judges nothing.
load_spec() {
  B_CODES=' 0 ' B_MARKERS=0 B_CLEANUP=0 B_LIMIT='' B_KILL_AFTER=$GRACE B_LOG_MAX=268435456 B_STAMP=0 B_MAX_FAIL=''
  B_SECRETS=0 B_PREPARE=0 B_INIT=''
  # shellcheck source=/dev/null
  [ -s "$ATT/spec" ] && . "$ATT/spec"
  SP_OUT_DIR=$ATT/out SP_STATE_DIR=${ATT%/*}/state SP_WORK_DIR=${B_WORK-}
}

# Head and tail of a log that is over its limit; kept whole where the disk has no room for the cut.
cut_log() {
  _size=$(wc -c <"$ATT/log") || return 0
  [ "$_size" -gt "$B_LOG_MAX" ] || return 0
  _half=$((B_LOG_MAX / 2))
  {
    head -c "$_half" "$ATT/log" &&
      printf '\n[sp: %s bytes left out: the log is longer than log-max]\n' "$((_size - 2 * _half))" &&
      tail -c "$_half" "$ATT/log"
  } >"$ATT/log.cut" 2>/dev/null && mv "$ATT/log.cut" "$ATT/log" && return 0
  rm -f "$ATT/log.cut"
}

# After every attempt, whatever its end; bounded, and no part of the verdict.
run_cleanup() {
  [ "$B_CLEANUP" = 1 ] || return 0
  # shellcheck disable=SC2016 # a text for another shell
  timeout -k 5 600 setsid /bin/sh -c '
    NL="
"
    ATT=$1 N=$2 SLOT=$3 CAMPAIGN=$4 ID=$5
    . "$ATT/spec"
    SP_OUT_DIR=$ATT/out SP_STATE_DIR=${ATT%/*}/state SP_WORK_DIR=$B_WORK SP_PARAMS_FILE=$ATT/params.json
    export SP_OUT_DIR SP_STATE_DIR SP_WORK_DIR SP_PARAMS_FILE
    unset LC_ALL SP_FAULT SP_BOOT_ID_FILE SP_MACHINE_ID_FILE TMUX_TMPDIR
    B_ACCOUNT; ENVIRONMENT
    export SP_CAMPAIGN="$CAMPAIGN" SP_JOB_ID="$ID" SP_ATTEMPT="$N" SP_HOST="$B_HOST" SP_SLOT="$SLOT"
    run() { exec "$@"; }
    script() { printf "%s\n" "$2" >"$ATT/$1" || exit 126; B_SHELL "$ATT/$1"; }
    cd "$SP_WORK_DIR" && CLEANUP' sp-cleanup "$ATT" "$N" "$1" "$C" "$ID" \
    </dev/null >>"$ATT/log" 2>&1 3<&- 4>&- 5>&- 6>&- 8>&- 9>&- ||
    printf '\n[sp: cleanup ended with code %s]\n' "$?" >>"$ATT/log"
}

# RC or `none` in, records read -> STATE WHY SIGNAL MARKER.
judge() { # RC
  STATE='' WHY='' SIGNAL=none MARKER=none
  if [ -n "$R_STOP" ]; then
    field why "$R_STOP"
    case $F in
      time-limit) STATE=timeout WHY=time-limit ;;
      *)
        STATE=cancelled
        field by "$R_STOP"
        WHY=by-$F
        ;;
    esac
  fi
  case "${R_EXIT}" in
    *' sig=yes '*) SIGNAL=$(kill -l $(($1 - 128))) || SIGNAL=none ;;
  esac
  case $SIGNAL in *[!A-Z0-9+-]* | '') [ "$SIGNAL" = none ] || SIGNAL=none ;; esac
  [ -z "$STATE" ] || return 0
  if [ -n "$R_PREPARE" ]; then
    STATE=failed WHY=prepare
    return 0
  fi
  case $B_CODES in
    *" $1 "*) ;;
    *)
      STATE=failed WHY=exit-code
      [ "$SIGNAL" = none ] || WHY=signal
      return 0
      ;;
  esac
  if [ "$B_MARKERS" = 1 ]; then
    _verdict=$(
      WHY=''
      B_ACCOUNT
      MARKERS
      printf '%s %s' "$WHY" "$MARKER"
    )
    WHY=${_verdict% *} MARKER=${_verdict#* }
    if [ -n "$WHY" ]; then
      STATE=failed
      return 0
    fi
  fi
  STATE=succeeded WHY=ok MARKER=none
}

# No exit record, nobody left: why nothing is known.
judge_lost() {
  STATE=lost SIGNAL=none MARKER=none
  boot_now
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
  if [ -n "$R_STOP" ]; then
    field why "$R_STOP"
    case $F in
      time-limit) STATE=timeout WHY=time-limit ;;
      *)
        STATE=cancelled
        field by "$R_STOP"
        WHY=by-$F
        ;;
    esac
  fi
}

# The final record and the journal's line for it, from STATE WHY SIGNAL MARKER. Fails when it is not on the disk.
# The newline first: a torn last line must not swallow the record.
write_end() { # RC BY LEFT
  uptime_now
  to_clock "$CS"
  _ended=$T _started=none _elapsed=none _slot=none
  field boot "$R_CLAIM"
  if [ -n "$R_START" ] && [ "$F" = "$BOOT" ]; then
    field up "$R_START"
    _since=${F%.*}${F#*.}
    _until=$CS
    if [ -n "$R_EXIT" ]; then
      field up "$R_EXIT"
      _until=${F%.*}${F#*.}
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
  END="id=$ID n=$N apply=$F slot=$_slot state=$STATE reason=$WHY rc=$1 sig=$SIGNAL by=$2 marker=$MARKER left=$3"
  END="end $END started=$_started ended=$_ended el=$_elapsed up=$UP ."
  printf '\n%s\n' "$END" >&6
}
