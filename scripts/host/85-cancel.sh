# The ends that a client asks for, or the closing of a window. In three passes over the list, so that the disk is waited for
# once a chunk of entries, not once an entry: marks, claims of what nobody has claimed, ends of what runs. And what is given
# to another host, which is the second pass alone.

# So many hundredths of a second an answer waits for ends that wrappers have yet to write, after the grace; a clean-up may
# run meanwhile. Where nobody was to have a grace, it is killed when a shorter time is over.
WAIT_FOR_ENDS=3000
WAIT_FOR_ENDS_NOW=1000
# So many entries are made durable together.
CHUNK_OF_LIST=64
# The host that gets what is claimed here.
GIVEN_TO=

# Ends attempts named by stdin, "ID N APPLY" a line, whatever they are at: in the queue, running, an orphan. After the
# answer no command of theirs runs, and none that had not started ever will; a clean-up that was begun after its command was
# ended may go on, and is ended by another cancel. GRACE 0 is KILL at once. Without an answer something could not be
# written, which stderr says; what could be done was done.
verb_cancel() { # INSTANCE BY GRACE [ROOT_ID|none]
  local _by _grace _list
  is_instance "$1" && is_name "$2" && is_slot "$3" || exit 64
  is_meant_for_us "${4-none}" || return 0
  C=$1 _by=$2 _grace=$3 FAILED=0
  clock_base
  read_list
  _list=$LIST
  # All marks first: a claim that is under way sees its own, and no runner takes up the next entry as we go on. Whoever
  # withdraws writes first and looks for claims then; who claims looks for marks then. One of us sees.
  in_chunks mark_cancelled
  in_chunks claim_cancelled
  stop_claimed
  drop_drained
  cancel_setup "$_by" "$_grace"
  forget_secrets
  settle_campaign
  # Nobody may build on ends that another root has.
  is_same_root || exit 66
  [ $FAILED = 0 ] || refuse_unwritten
}

# Gives attempts named by stdin, "ID N APPLY" a line, to the host TO: takes their claims, so that they never start here.
# What somebody has claimed, or asked the end of, stays. Prints the ends of those that are moved, by whomever; they are
# durable by then.
verb_move() { # INSTANCE TO [ROOT_ID|none]
  local _by _list _id _n
  is_instance "$1" && is_name "$2" || exit 64
  is_meant_for_us "${3-none}" || return 0
  C=$1 GIVEN_TO=$2 _by=move FAILED=0
  clock_base
  read_list
  _list=$LIST
  in_chunks claim_unmarked
  while read -r _id _n _; do
    load_attempt "$_id" "$_n" || continue
    case $R_END in *' reason=moved '*) printf '%s\n' "$R_END" ;; esac
  done <<LIST
$_list
LIST
  drop_drained
  GIVEN_TO=
  cancel_setup queue "$GRACE"
  forget_secrets
  is_same_root || exit 66
  [ $FAILED = 0 ] || refuse_unwritten
}
claim_unmarked() { # ENTRY…
  local _entry
  for _entry; do
    entry "$_entry"
    shift
    [ -e "${ATT%/*}/cancelled.$N" ] || set -- "$@" "$_entry"
  done
  take_claims "$@"
}

# In place of an answer.
refuse_unwritten() {
  echo "not everything could be written to $V: is its disk full? What could be done was done; ask again when there is room" >&2
  exit 73
}

# Calls FUNCTION with the entries of the list as words ID/N/APPLY, a chunk at a time. What may not stand in a path is left.
in_chunks() { # FUNCTION
  local _id _n _apply
  set -- "$1"
  while read -r _id _n _apply; do
    is_id "$_id" && is_number "$_n" && is_name "$_apply" || continue
    set -- "$@" "$_id/$_n/$_apply"
    [ $# -gt $CHUNK_OF_LIST ] || continue
    "$@"
    set -- "$1"
  done <<LIST
$_list
LIST
  [ $# = 1 ] || "$@"
}

# -> ID N ATT APPLY. From the folder that was entered: what is written here is never written to a root that comes in its
# place by now.
entry() { # ID/N/APPLY
  ID=${1%%/*} APPLY=${1##*/}
  N=${1#*/}
  N=${N%/*}
  ATT=$C/jobs/$ID/$N
}

mark_cancelled() { # ENTRY…
  local _folders _entry
  _folders=
  for _entry; do
    entry "$_entry"
    [ -d "${ATT%/*}" ] || _folders="$_folders $ID"
  done
  # shellcheck disable=SC2086 # ids
  [ -z "$_folders" ] || { mkdir -p "$C/jobs" && (cd "$C/jobs" && mkdir -p $_folders); }
  for _entry; do
    entry "$_entry"
    shift
    { printf '%s\n' "$_by" >"${ATT%/*}/cancelled.$N"; } 2>/dev/null || FAILED=1
    [ ! -e "${ATT%/*}/cancelled.$N" ] || set -- "$@" "${ATT%/*}/cancelled.$N" "${ATT%/*}"
  done
  [ $# = 0 ] || make_durable "$@" "$C/jobs" || FAILED=1
}

claim_cancelled() { # ENTRY…
  local _entry
  for _entry; do
    entry "$_entry"
    shift
    [ ! -e "${ATT%/*}/cancelled.$N" ] || set -- "$@" "$_entry"
  done
  take_claims "$@"
}

# Takes the claims itself, where nobody has, so that nobody else can; each with its end.
take_claims() { # ENTRY…
  local _try _folders _entry _files _folder
  _try=cancel-$$ _folders=
  for _entry; do
    entry "$_entry"
    shift
    [ ! -h "$ATT" ] || continue
    set -- "$@" "$_entry"
    _folders="$_folders $ID/try-$N.$_try/out"
  done
  [ $# -gt 0 ] || return 0
  # shellcheck disable=SC2086 # ids and numbers
  mkdir -p "$C/jobs" && (cd "$C/jobs" && mkdir -p $_folders) || FAILED=1
  _files=
  for _entry; do
    entry "$_entry"
    shift
    _folder=${ATT%/*}/try-$N.$_try
    if write_cancelled 2>/dev/null; then
      set -- "$@" "$_entry"
      _files="$_files $ID/try-$N.$_try/state $ID/try-$N.$_try"
    else
      FAILED=1
      rm -rf "$_folder"
    fi
  done
  # shellcheck disable=SC2086 # ids and numbers
  if [ $# = 0 ] || ! (cd "$C/jobs" && make_durable $_files); then
    for _entry; do
      entry "$_entry"
      rm -rf "${ATT%/*}/try-$N.$_try"
    done
    FAILED=1
    return
  fi
  for _entry; do
    entry "$_entry"
    shift
    if ln -sn "try-$N.$_try" "$ATT" 2>/dev/null; then
      set -- "$@" "$_entry"
    else
      # Somebody was faster, and then it is one that runs; or it stands in the list twice.
      [ -h "$ATT" ] || FAILED=1
      [ "$(readlink "$ATT")" = "try-$N.$_try" ] || rm -rf "${ATT%/*}/try-$N.$_try"
    fi
  done
  _folders=
  for _entry; do _folders="$_folders ${_entry%%/*}"; done
  # shellcheck disable=SC2086 # ids
  [ $# = 0 ] || (cd "$C/jobs" && make_durable $_folders) || FAILED=1
  is_same_root || exit 66
  for _entry; do
    entry "$_entry"
    read_state "$ATT/state" && tell "$R_END"
  done
}

# The folder of such a claim, but for its name; of ID N APPLY, in _folder.
write_cancelled() {
  local _written
  STATE=cancelled WHY=by-$_by SIGNAL=none MARKER=none CLEANUP=none CUT=''
  case $_by in
    withdraw) WHY=withdrawn ;;
    move) WHY=moved ;;
  esac
  uptime_now
  R_CLAIM="claim v=1 campaign=$C root=$ROOTID machine=$MACHINE boot=$BOOT apply=$APPLY slot=none rid=none id=$ID n=$N up=$UP ."
  R_START='' R_EXIT=''
  command exec 6>"$_folder/state" || return 1
  printf '%s\n' "$R_CLAIM" >&6 && write_end none cancel none && true >"$_folder/alive" && true >"$_folder/log"
  _written=$?
  exec 6>&-
  return $_written
}

# Ends what somebody else has claimed and what has not ended.
stop_claimed() {
  local _id _n _count _running _entry _what _deadline _rest
  _running=
  while read -r _id _n _; do
    load_attempt "$_id" "$_n" && [ -z "$R_END" ] && [ -e "${ATT%/*}/cancelled.$N" ] || continue
    # A claim that is on its way to its start is waited for.
    _count=0
    until ! read_state "$ATT/state" || [ -n "$R_START$R_END" ] || owner_gone || [ $_count -gt 100 ]; do
      sleep 0.05
      _count=$((_count + 1))
    done
    [ -n "$R_CLAIM" ] && [ -z "$R_END" ] || continue
    verdict
    [ "$VERDICT" != foreign ] || continue
    if [ -n "$R_EXIT" ]; then
      # Its command has ended by itself, which stands. What runs after a command has the grace to come to its end.
      _what=apart
    else
      _what='command'
      stop_attempt cancelled "$_by"
      [ "$_grace" = 0 ] || of_part command signal_tree TERM "$ATT"
    fi
    _running="$_running $_what/$_id/$_n"
  done <<LIST
$_list
LIST
  # All of them have the same grace, counted from now.
  uptime_now
  _deadline=$((CS + _grace * 100))
  for _entry in $_running; do
    _what=${_entry%%/*} _id=${_entry#*/} _n=${_entry##*/}
    load_attempt "${_id%/*}" "$_n" || continue
    uptime_now
    _rest=$(((_deadline - CS + 99) / 100))
    [ $_rest -gt 0 ] || _rest=0
    [ -n "$R_EXIT" ] || of_part command end_tree "$ATT" "$_rest"
    wait_for_end
  done
}

# Its runner writes the end of an attempt; where that is gone, we do.
wait_for_end() { # uses those of `stop_claimed`
  local _until _kill
  # From when on what runs after its command is ended, and from when on it is waited for no more.
  _kill=$_deadline _until=$((_deadline + WAIT_FOR_ENDS))
  if [ "$_what" = command ]; then
    if [ "$_grace" = 0 ]; then _kill=$((_deadline + WAIT_FOR_ENDS_NOW)); else _kill=$((_until + 1)); fi
  fi
  # Each has some time of its own, however many there are.
  uptime_now
  [ $_until -gt $((CS + 200)) ] || _until=$((CS + 200))
  while read_state "$ATT/state" && [ -z "$R_END" ]; do
    verdict
    case $VERDICT in
      ended) return ;;
      dead) ! seal cancel none none </dev/null || return 0 ;;
      *)
        if [ -z "$R_EXIT" ]; then
          # One that was slow to start has not been ended yet.
          of_part command kill_tree "$ATT"
        elif [ "$VERDICT" = orphan ] && is_unattended; then
          of_rest kill_tree "$ATT"
        elif [ "$CS" -ge "$_kill" ]; then
          of_part apart end_tree "$ATT" "$((_grace > 0 ? 2 : 0))"
        fi
        ;;
    esac
    uptime_now
    if [ "$CS" -ge $_until ]; then
      # One whose processes are gone lacks nothing but room for its end.
      [ "$VERDICT" != dead ] || FAILED=1
      return 0
    fi
    sleep 0.1
  done
}

# Whether no runner of its slot lives that would see to the end of an orphan.
is_unattended() {
  ! field slot "$R_CLAIM" || ! is_slot "$F" || is_free "$V/run/runner.$F"
}
