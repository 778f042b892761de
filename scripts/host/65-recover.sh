# The journal, and attempts without an end: what can be said of them, and the final record of those that nobody can end
# any more. The journal is an index: everything in it can be told again from the state files.

# Appends lines. What a full disk cut off must not swallow the line that comes next.
journal() { # LINE…
  printf '%s\n' ${JOURNAL_TORN:+''} "$@" 2>/dev/null >>"$V/$C/journal" || {
    JOURNAL_TORN=1
    return 1
  }
  JOURNAL_TORN=''
}

# Whether `gc` removed the files of an ended attempt.
is_removed() { # ATTEMPT_FOLDER
  [ -e "$1/removed" ] && [ ! -e "$1/out" ]
}

# Every end, every removal and every accepted result of the campaign C, from their own files.
known_ends() {
  local _file _new _old
  (
    cd "$V/$C/jobs" 2>/dev/null || exit 0
    # Ids and numbers only: no blanks to care for.
    printf '%s\n' */[1-9]*/state | xargs awk '
      FNR == 1 { told = 0 }
      !told && /^end id=.* \.$/ { print; told = 1 }' 2>/dev/null
    for _file in */[1-9]*/removed; do
      _old=${_file%/removed}
      is_id "${_old%/*}" && is_number "${_old#*/}" && is_removed "$_old" || continue
      printf 'removed id=%s n=%s .\n' "${_old%/*}" "${_old#*/}"
    done
    for _file in */accepted; do
      _new=${_file%/*}
      is_id "$_new" && read -r _old <"$_file" && is_id "$_old" || continue
      printf 'accept id=%s from=%s .\n' "$_new" "$_old"
    done
  )
}

# Sees to it that the campaign C has a journal with a head; a new one begins with all that is known. Fails where the disk
# refuses. Somebody may append to the old one meanwhile: what it then lacks is found missing by the next look.
have_journal() {
  local _line _new
  { read -r _line <"$V/$C/journal"; } 2>/dev/null || _line=
  case $_line in
    'journal gen='?*' .') return 0 ;;
  esac
  _new=$V/$C/journal.$$
  { printf 'journal gen=%s .\n' "$(random_word)" && known_ends; } 2>/dev/null >"$_new" && [ -s "$_new" ] &&
    make_durable "$_new" && mv "$_new" "$V/$C/journal" && return 0
  rm -f "$_new"
  return 1
}

# Prints what the journal of the campaign C lacks: `ID N`, attempts that it has no end for, and `ID accepted`. A line that
# was torn and joined by the next one says nothing, so it does not count. With a slot, attempts are left out whose runner
# is seen to live, and those of other slots that have a runner, or all of them with `own`: a few processes for however many,
# as each of many runners looks at the attempts of all when it begins.
not_in_journal() { # [SLOT own|all]
  (
    cd "$V/$C/jobs" 2>/dev/null || exit 0
    {
      [ $# = 0 ] || stat_of_runners
      printf '%s\n' */[1-9]* */accepted
    } | JOURNAL=$V/$C/journal RUN=$V/run awk \
      -v slot="${1-}" -v which="${2-}" -v boot="${BOOT%%[!0-9a-z]*}" "$NOT_IN_JOURNAL"
  )
}
# awk would give up where a process ends as it is read.
stat_of_runners() {
  local _file
  set --
  for _file in "$V/run"/life.[1-9]*; do
    _file=${_file#"$V"/run/life.}
    [ ! -d "/proc/${_file%%-*}" ] || set -- "$@" "/proc/${_file%%-*}/stat"
  done
  [ $# = 0 ] || cat "$@" 2>/dev/null
}
# shellcheck disable=SC2016 # a text for awk
NOT_IN_JOURNAL=$FIELD_AWK'
# Of a file that may be gone.
function first_line(file, line) {
  if ((getline line <file) <= 0) line = ""
  close(file)
  return line
}
# As `rid_lives` sees it, but for the lock.
function lives(rid, part) {
  return split(rid, part, "-") == 3 && part[3] == boot && ((part[1], part[2]) in seen)
}
function is_seen_to(claim, its, runner) {
  if (claim !~ /^claim .* \.$/) return 0
  its = field("slot", claim)
  if (its ~ /^[0-9]+$/ && its != slot) {
    if (which == "own") return 1
    runner = first_line(ENVIRON["RUN"] "/runner." its)
    sub(/ .*/, "", runner)
    if (lives(runner)) return 1
  }
  return lives(field("rid", claim))
}
BEGIN {
  while ((getline line <ENVIRON["JOURNAL"]) > 0) {
    if (line !~ / \.$/) continue
    count = split(line, f, " ")
    if (f[1] == "end" && gsub(/ id=/, "", line) == 1) told[substr(f[2], 4) "/" substr(f[3], 3)] = 1
    if (f[1] == "accept" && count == 4) told[substr(f[2], 4) "/accepted"] = 1
  }
}
/^[0-9]+ \(.*\) . / {
  pid = $1
  sub(/^.*\) /, "")
  if ($1 != "Z") seen[pid, $20]
  next
}
$0 in told || !/^[0-9a-f]+\/([1-9][0-9]*|accepted)$/ { next }
slot != "" && (/accepted$/ || is_seen_to(first_line($0 "/state"))) { next }
{ split($0, part, "/"); print part[1], part[2] }'

# -> ATT and the records; fails where there is no such attempt.
load_attempt() { # ID N ; uses C
  ID=$1 N=$2
  is_id "$ID" && is_number "$N" || return 1
  ATT=$V/$C/jobs/$ID/$N
  read_state "$ATT/state"
}

# Whether the runner of an id lives. No process is started for one that is seen; its lock tells where it is not, in another
# namespace of pids, say. One that begins has its file before its lock.
rid_lives() { # RID
  is_number "${1%%-*}" && process "${1%%-*}" && [ "$P_STATE" != Z ] &&
    [ "$1" = "${1%%-*}-$P_START-${BOOT%%[!0-9a-z]*}" ] && return 0
  ! is_free "$V/run/life.$1"
}

# Whether the runner that made the claim is gone.
owner_gone() {
  field rid "$R_CLAIM" || return 0
  case $F in */*) return 0 ;; esac
  ! rid_lives "$F"
}

# -> VERDICT: ended, starting, running, orphan, foreign, dead. `state` is read again after each look at a lock, since the
# attempt may have ended between two looks.
verdict() {
  VERDICT=ended
  [ -z "$R_END" ] || return 0
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
  [ -z "$R_END" ] || return 0
  VERDICT=orphan
  is_free "$ATT/alive" || return 0
  # The stub alone may be left for a moment: it holds `alive`, so it is no case of its own.
  of_rest tree "$ATT"
  [ -z "$TREE" ] || return 0
  read_state "$ATT/state"
  VERDICT=dead
  [ -z "$R_END" ] || VERDICT=ended
}

# Writes the end of a dead attempt, under its lock, so that all agree from then on; with what became of its clean-up, as
# `run_cleanup` says. Fails when somebody else is at it or the disk refuses.
seal() { # BY LEFT CLEANUP
  local _sealed
  _sealed=1
  ! hold_attempt || {
    ! seal_held "$@" || _sealed=0
    let_go_of_attempt
  }
  read_state "$ATT/state"
  return $_sealed
}
# Takes the lock of an attempt that nobody has any more: while it is held nobody else seals it. Reads the records.
hold_attempt() {
  local _count
  command exec 5>>"$ATT/alive" 6>>"$ATT/state" || return 1
  _count=0
  # Somebody who only looks has the lock for a moment.
  until flock -n 5; do
    _count=$((_count + 1))
    [ $_count -lt 20 ] || {
      let_go_of_attempt
      return 1
    }
    sleep 0.02
  done
  read_state "$ATT/state" && return 0
  let_go_of_attempt
  return 1
}
let_go_of_attempt() {
  exec 5>&- 6>&-
}
# Writes the end of an attempt that is held, unless it has one. Fails where that is not durable.
seal_held() { # BY LEFT CLEANUP
  local _rc
  CLEANUP=$3
  # An earlier try may have written it.
  read_state "$ATT/state" || return 1
  [ -z "$R_END" ] || {
    make_durable "$ATT/state"
    return
  }
  load_spec
  _rc=none
  if field rc "$R_EXIT"; then
    _rc=$F
    judge "$_rc"
  else
    judge_lost
  fi
  cut_log
  write_end "$_rc" "$1" "$2" && make_durable "$ATT/state" || return 1
  remove "$SECRETS/$ROOTID.$C".*."$ID.$N".*
}

# Of the campaign C: ends the dead, completes the journal, prints the others as lines of an answer. Where the journal
# cannot be written, its lines are printed too.
settle_campaign() { # [SLOT own|all], as `not_in_journal` has it
  local _id _what _old
  [ -z "$(tail -c 1 "$V/$C/journal" 2>/dev/null)" ] || JOURNAL_TORN=1
  not_in_journal "$@" | while read -r _id _what; do
    if [ "$_what" = accepted ]; then
      read -r _old <"$V/$C/jobs/$_id/accepted" && is_id "$_id" && is_id "$_old" && tell "accept id=$_id from=$_old ."
      continue
    fi
    load_attempt "$_id" "$_what" || continue
    verdict
    if [ "$VERDICT" = dead ]; then
      # Somebody else is sealing it, or the disk refuses: until its end is written it counts as open.
      seal seal none none </dev/null
      VERDICT=orphan
      [ -z "$R_END" ] || VERDICT=ended
    fi
    if [ "$VERDICT" = ended ]; then
      # That another host may start it is not said before it is sure that we shall not.
      case $R_END in *' reason=moved '*) make_durable "${ATT%/*}" || continue ;; esac
      # Its runner may be about to write the line; a second one is harmless.
      tell "$R_END"
    else
      tell_open
    fi
  done
}
tell() { # LINE
  journal "$1" || printf '%s\n' "$1"
}
tell_open() {
  local _apply _slot _t _kind
  field apply "$R_CLAIM" || F=none
  _apply=$F
  field slot "$R_CLAIM" || F=none
  _slot=$F _t=none
  if field up "$R_START"; then
    hundredths "$F"
    to_clock "$H"
    _t=$T
  fi
  SESSION=none
  command -v tmux >/dev/null && session_name "$C" "$ID"
  case $R_CLAIM in
    *' kind=setup '*) _kind=' kind=setup' ;;
    *) _kind= ;;
  esac
  printf 'open id=%s n=%s apply=%s slot=%s verdict=%s t=%s session=%s%s .\n' \
    "$ID" "$N" "$_apply" "$_slot" "$VERDICT" "$_t" "$SESSION" "$_kind"
}
