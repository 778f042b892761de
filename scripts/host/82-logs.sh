# What is read as it grows: the journal, and logs. A stream ends with its own reason, with the client, or after a time.

# Streams FILE, beginning as `tail` says by FROM (`-c +1`, `-n 10` as one word), until the shell text TEXT has ended, the
# client closes our stdin, or the time is over. What streams is a session of its own, whose first process waits for a lock
# that this one holds: so all of it goes with this process, however that ends.
stream() { # SECONDS FROM FILE TEXT ARGUMENT
  local _here
  _here=$V/run/wait.$$
  # Of a background command stdin is /dev/null, unless it has another descriptor.
  command exec 3>>"$_here" 4<&0 && flock -n 3 || exit 73
  # shellcheck disable=SC2016 # a text for another shell
  setsid "$SP_SH" -c '
    (
      exec >/dev/null
      timeout "$1" flock -s "$2" true
      rm -f "$2"
      kill -s KILL 0
    ) &
    (
      exec >/dev/null
      cat <&4
      kill -s KILL 0
    ) &
    exec 4<&-
    tail "$3" -f "$4" &
    exec >/dev/null
    text=$5
    shift 5
    eval "$text"
    sleep 0.05
    # Not by its number: one that has ended and was reaped has none, and the number may be of a stranger.
    kill -s KILL 0' sp-wait "$1" "$_here" "$2" "$3" "$4" "$5" 2>/dev/null 3>&- </dev/null &
  exec 4<&-
  wait $! 2>/dev/null
  rm -f "$_here"
}

# Streams the journal from an offset, as it grows, until all runners have left or the time is over.
verb_wait() { # INSTANCE OFFSET SECONDS
  is_instance "$1" && is_slot "$2" && is_number "$3" || exit 64
  # A runner that was asked for a moment ago may not have its lock yet: with entries left, look some times more. The last
  # lines may have been written while the locks were given up.
  # shellcheck disable=SC2016 # a text for another shell
  stream "$3" "-c+$(($2 + 1))" "$V/$1/journal" '
    idle=0
    while [ $idle -lt 20 ]; do
      for lock in "$1"/run/runner.*; do [ ! -e "$lock" ] || flock -s 8 8<"$lock"; done
      set -- "$1" "$1"/*/queue/[0-9]*~*/c[0-9]*
      [ -e "$2" ] || break
      idle=$((idle + 1))
      sleep 0.05
    done' "$V"
  printf '\n'
}

# The log of an attempt: all of it, or its last lines; once, or as it grows until the attempt has ended. Before it stands a
# line that says whether there is one.
verb_log() { # INSTANCE ID N LINES|all once|SECONDS
  local _from
  is_instance "$1" && is_id "$2" && is_number "$3" || exit 64
  C=$1
  _from=-c+1
  [ "$4" = all ] || { is_slot "$4" && _from=-n$4; } || exit 64
  load_attempt "$2" "$3" && [ -f "$ATT/log" ] || {
    printf 'log none .\n'
    return
  }
  printf 'log follows .\n'
  if [ "$5" = once ] || [ -n "$R_END" ]; then
    tail "$_from" "$ATT/log"
    return
  fi
  is_number "$5" || exit 64
  # The end follows within a moment when nobody holds `alive` any more; a runner that died meanwhile writes it later.
  # shellcheck disable=SC2016 # a text for another shell
  stream "$5" "$_from" "$ATT/log" '
    idle=0
    while [ $idle -lt 100 ]; do
      flock -s "$1/alive" true
      ! grep -q "^end .* \.\$" "$1/state" || break
      idle=$((idle + 1))
      sleep 0.05
    done' "$ATT"
}

# Logs of attempts that have ended, each behind a line with its size. "ID N" a line on stdin.
verb_logs() { # INSTANCE
  local _id _n
  is_instance "$1" || exit 64
  C=$1
  cd "$V/$C/jobs" 2>/dev/null || return 0
  set --
  while read -r _id _n; do
    load_attempt "$_id" "$_n" && [ -n "$R_END" ] && [ -f "$ATT/log" ] && [ ! -h "$ATT/log" ] || continue
    if [ -s "$ATT/log" ]; then
      set -- "$@" "$_id/$_n/log"
      [ $# -lt 64 ] || {
        print_logs "$@"
        set --
      }
    else
      printf 'log id=%s n=%s bytes=0 .\n' "$_id" "$_n"
    fi
  done
  [ $# = 0 ] || print_logs "$@"
}

# Their sizes come from one process. What an end has left behind may write on: only so much is printed.
print_logs() { # ID/N/log…
  local _size _log
  wc -c "$@" | while read -r _size _log; do
    # The last line is their sum.
    case $_log in */*/log) ;; *) continue ;; esac
    _log=${_log%/log}
    printf 'log id=%s n=%s bytes=%s .\n' "${_log%/*}" "${_log#*/}" "$_size"
    head -c "$_size" "$_log/log"
  done
}
