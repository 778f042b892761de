# Attempts without an end: what can be said of them, and the final record of those that nobody can end any more.

# CAMPAIGN folder -> the attempts "ID N" that the journal has no end for, one a line.
open_attempts() {
  [ -d "$V/$C/jobs" ] || return 0
  (cd "$V/$C/jobs" && printf '%s\n' */[1-9]*) | awk -v journal="$V/$C/journal" '
    BEGIN {
      while ((getline line < journal) > 0)
        if (line ~ /^end .* \.$/) { split(line, f, " "); ended[substr(f[2], 4) " " substr(f[3], 3)] = 1 }
    }
    { sub(/\//, " ") }
    /^[0-9a-f]+ [0-9]+$/ && !($0 in ended)'
}

# ID N, with C set -> ATT and the records; fails where there is no such attempt.
load_attempt() {
  ID=$1 N=$2
  is_id "$ID" && is_number "$N" || return 1
  ATT=$V/$C/jobs/$ID/$N
  read_state "$ATT/state"
}

# Whether the runner that made the claim is gone.
owner_gone() {
  field rid "$R_CLAIM" || return 0
  case $F in */*) return 0 ;; esac
  [ ! -e "$V/run/life.$F" ] || is_free "$V/run/life.$F"
}

# -> VERDICT: ended, starting, running, orphan, foreign, dead. `state` is read again after each look at a lock, since the
# attempt may have ended between two looks.
verdict() {
  if [ -n "$R_END" ]; then
    VERDICT=ended
    return
  fi
  machine_now
  field machine "$R_CLAIM"
  if [ "$F" != "$MACHINE" ]; then
    VERDICT=foreign
    return
  fi
  if ! owner_gone; then
    VERDICT=starting
    [ -z "$R_START" ] || VERDICT=running
    return
  fi
  read_state "$ATT/state"
  if [ -n "$R_END" ]; then
    VERDICT=ended
    return
  fi
  VERDICT=orphan
  is_free "$ATT/alive" || return 0
  tree "$ATT"
  # The stub alone may be left for a moment: it holds `alive`, so it is no case of its own.
  [ -z "${TREE-}" ] || return 0
  read_state "$ATT/state"
  VERDICT=dead
  [ -z "$R_END" ] || VERDICT=ended
}

# Writes the end of a dead attempt, under its lock, so that all agree from then on. Fails when somebody else is at it or
# the disk refuses.
seal() { # BY
  command exec 5>>"$ATT/alive" 6>>"$ATT/state" || return 1
  _sealed=1
  if flock -n 5; then
    read_state "$ATT/state"
    if [ -n "$R_END" ]; then
      _sealed=0
    else
      load_spec
      boot_now
      if [ -n "$R_EXIT" ]; then
        field rc "$R_EXIT"
        _rc=$F
        cut_log
        judge "$_rc"
      else
        _rc=none
        judge_lost
      fi
      write_end "$_rc" "$1" none && make_durable "$ATT/state" && _sealed=0
    fi
  fi
  exec 5>&- 6>&-
  return $_sealed
}

# Adds what the journal lacks of an attempt that has its end.
journal_end() {
  read_state "$ATT/state"
  [ -n "$R_END" ] || return 1
  journal "$R_END"
}
journal() { # LINE…
  printf '%s\n' "$@" >>"$V/$C/journal"
}

# Of one campaign: ends the dead, completes the journal, prints the others as lines of an answer.
settle_campaign() { # BY
  open_attempts | while read -r _id _n; do
    load_attempt "$_id" "$_n" || continue
    verdict
    if [ "$VERDICT" = dead ]; then
      # Somebody else is sealing it, or the disk refuses: until its end is written it counts as open.
      if seal "$1"; then VERDICT=ended; else VERDICT=orphan; fi
      read_state "$ATT/state"
    fi
    if [ "$VERDICT" = ended ]; then
      # Its runner may be about to write the line; a second one is harmless.
      journal_end
      continue
    fi
    field apply "$R_CLAIM" || F=none
    _apply=$F
    field slot "$R_CLAIM" || F=none
    _slot=$F _t=none
    if [ -n "$R_START" ]; then
      field up "$R_START"
      to_clock "${F%.*}${F#*.}"
      _t=$T
    fi
    _session=none
    if command -v tmux >/dev/null; then
      session_name "$C" "$ID"
      _session=$SESSION
    fi
    printf 'open id=%s n=%s apply=%s slot=%s verdict=%s t=%s session=%s .\n' \
      "$ID" "$N" "$_apply" "$_slot" "$VERDICT" "$_t" "$_session"
  done
}
