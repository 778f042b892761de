# Beside a running attempt: its time limit, the size of its log, its window in tmux. It ends when the attempt's `alive`
# lock is free, so it costs nothing while it sleeps. It never writes an end.

# Uses ATT C ID N and B_…; run as `( watch CS ) &`.
watch() { # CS_OF_START
  local _limit _tick _window _wait
  exec 3<&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
  _limit='' SEARCHED=0
  # The records are those of the attempt before. What an earlier watch of this one has found stands.
  read_state "$ATT/state"
  if [ -n "$B_LIMIT" ]; then
    hundredths "$B_LIMIT"
    _limit=$(($1 + H))
  fi
  _tick=$MOMENT _window=0
  while :; do
    uptime_now
    _wait=$_tick
    if [ -n "$_limit" ]; then
      [ $((_limit - CS)) -lt $_wait ] && _wait=$((_limit - CS))
      if [ $_wait -le 0 ]; then
        stop_attempt time-limit runner
        ! keeps_rest || return
        of_part command end_tree "$ATT" "$B_KILL_AFTER"
        # Its start may not have been on record yet: then there was nothing to end.
        until [ ! -e "$ATT/alive" ] || wait_free "$ATT/alive" 1; do
          read_state "$ATT/state" && of_part command kill_tree "$ATT"
        done
        return
      fi
    fi
    to_seconds "$_wait"
    # An attempt that was removed with its root cannot be waited for.
    [ -e "$ATT/alive" ] || return
    wait_free "$ATT/alive" "$X" && return
    uptime_now
    if [ $_window = 0 ] && [ $((CS - $1)) -ge $MOMENT ]; then
      _window=1 _tick=200
      open_window "$C" "$ID" "$N"
      update_index_soon
    else
      _tick=1000
    fi
    punch_log "$_limit"
  done
}

# Says in the state file why an attempt is ended; the processes are the caller's to end. An exit that is already recorded
# stands. The newline first: what a killed writer left must not swallow the record.
stop_attempt() { # WHY BY ; uses ATT
  read_state "$ATT/state"
  [ -z "$R_EXIT$R_END$R_STOP" ] || return 0
  uptime_now
  printf '\nstop why=%s by=%s up=%s .\n' "$1" "$2" "$UP" >>"$ATT/state"
  make_durable "$ATT/state"
}

# A log over its limit loses its middle while the job writes on: the tail keeps its place, the disk gets its room back. As far
# as it was searched for what the markers want, which takes ten seconds at most and leaves the time limit its own.
punch_log() { # CS_OF_LIMIT
  local _size _half _to _until
  _size=$(wc -c <"$ATT/log") || return 0
  [ "$_size" -gt "$B_LOG_MAX" ] || return 0
  # Whole blocks, rounded up: what `cut_log` keeps of head and tail stays.
  _half=$(((B_LOG_MAX / 2 + 4095) / 4096 * 4096))
  _to=$((_size - _half))
  if [ "$B_MARKERS" = 1 ] && [ -z "$R_FOUND" ]; then
    uptime_now
    _until=$((CS + 1000))
    [ -z "$1" ] || [ $_until -lt "$1" ] || _until=$1
    search_before_cut "$_size" "$_until"
    [ -n "$R_FOUND" ] || [ $((SEARCHED - SEARCHED_TWICE)) -gt $_to ] || _to=$((SEARCHED - SEARCHED_TWICE))
  fi
  _to=$((_to / 4096 * 4096 - _half))
  # Once the job has ended the log is its runner's.
  [ $_to -gt 0 ] && ! is_free "$ATT/alive" || return 0
  fallocate -p -o "$_half" -l "$_to" "$ATT/log" 2>/dev/null
  return 0
}

# -> SESSION
session_name() { # INSTANCE ID
  SESSION=sp-$1-${2%"${2#????????}"}
}

# One session a job in a server of our own, whose configuration nobody's file changes.
open_window() { # INSTANCE ID ATTEMPT
  command -v tmux >/dev/null || return 1
  session_name "$1" "$2"
  in_clean_environment tmux -L sp -f /dev/null start-server \; set-option -g exit-empty off \; \
    new-session -d -s "$SESSION" "$SP_SH" "$SELF" view "$ROOT" "$1" "$2" "$3" >/dev/null 2>&1 </dev/null
}

# Runs what outlives us: it keeps the environment that it starts with, which must not be the one of a client, with what is
# secret there.
in_clean_environment() { # COMMAND…
  set -- ${SP_TEST_SH+SP_TEST_SH="$SP_TEST_SH"} ${SP_FAULT+SP_FAULT="$SP_FAULT"} "$@" # for tests
  set -- ${SP_BOOT_ID_FILE+SP_BOOT_ID_FILE="$SP_BOOT_ID_FILE"} "$@" # for tests
  set -- ${SP_MACHINE_ID_FILE+SP_MACHINE_ID_FILE="$SP_MACHINE_ID_FILE"} "$@" # for tests
  env -i PATH="$PATH" HOME="$HOME" LC_ALL=C ${TMUX_TMPDIR+TMUX_TMPDIR="$TMUX_TMPDIR"} "$@"
}

# What runs in the window. Its end by itself changes nothing; closing session, window or pane cancels the job, which
# needs the server's word that the session is gone while the server lives.
verb_view() { # INSTANCE ID ATTEMPT
  local _hung _tail _held
  C=$1 ID=$2 N=$3
  ATT=$V/$C/jobs/$ID/$N
  session_name "$C" "$ID"
  _hung=0
  trap '_hung=1' HUP
  trap '' INT QUIT TSTP
  tail -n +1 -F "$ATT/log" 2>/dev/null &
  _tail=$!
  while [ -e "$ATT/alive" ] && ! is_free "$ATT/alive"; do
    flock -s "$ATT/alive" true &
    _held=$!
    wait "$_held"
    if [ $_hung = 1 ]; then
      end_child "$_tail"
      end_child "$_held"
      session_closed && {
        exec </dev/null >/dev/null 2>&1
        printf '%s %s view\n.\n' "$ID" "$N" | verb_cancel "$C" tmux "$GRACE"
      }
      exit 0
    fi
  done
  # What the job wrote last is shown before the window goes.
  sleep 0.2
  end_child "$_tail"
}
# Ends a child of ours. One that was reaped has no number any more: it may be a stranger's.
end_child() { # PID
  local _stat
  { read -r _stat <"/proc/$1/stat"; } 2>/dev/null || return 0
  case ${_stat##*) } in
    ?" $$ "*) kill "$1" 2>/dev/null ;;
  esac
  return 0
}
session_closed() {
  local _socket _server _try _pid
  _socket=${TMUX-}
  _server=${_socket#*,}
  _server=${_server%%,*}
  _socket=${_socket%%,*}
  [ -n "$_socket" ] || return 1
  for _try in 1 2 3 4 5; do
    sleep 0.1
    _pid=$(timeout 2 tmux -S "$_socket" display-message -p '#{pid}' 2>/dev/null) || return 1
    [ "$_pid" = "$_server" ] || return 1
  done
  ! timeout 2 tmux -S "$_socket" has-session -t "=$SESSION" 2>/dev/null
}
