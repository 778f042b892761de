# Done markers, judged at the end of an attempt by calling MARKERS of the spec: the first that does not hold sets MARKER
# and WHY. Globs are data: nothing in them means something but * ? [ ], and `**` as a whole part. Folders that are found on
# the way are data too, so they stand in quotes and only a part of the pattern does not.
#
# A pattern costs one look at each file below its folder: a folder is read once for all the places in the pattern that its
# path may have come to, and no part of a name is tried twice. Through a link to a folder leads what the pattern names before
# its first wildcard; behind that one link on a path, and none for `**`, so that a ring ends.

# Seconds that the markers of an attempt are judged for.
JUDGE_LIMIT=600
# A log of so many bytes is searched in no time; a longer one by a process that can be ended.
BRIEF_LOG=1048576
# A log that grows is searched by so many bytes at a time; more than its longest line that is looked for.
LOG_SLICE=67108864 SEARCHED_TWICE=65536

# From here on the judgement has its time.
begin_judgement() {
  uptime_now
  JUDGE_SINCE=$CS JUDGE_UNTIL=$((CS + JUDGE_LIMIT * 100)) STOPPED='' STEPS=0
}

# Whether the judgement goes on. -> STOPPED: `limit`, or `cancelled` where its end was asked for and it takes its time.
goes_on() {
  [ -z "$STOPPED" ] || return 1
  uptime_now
  if [ "$CS" -ge "$JUDGE_UNTIL" ]; then
    STOPPED=limit
  elif [ $((CS - JUDGE_SINCE)) -ge 100 ] && asked_by; then
    STOPPED=cancelled
  fi
  [ -z "$STOPPED" ]
}

# Calls FUNCTION for each regular file that matches, until STOPPED is set. Run in a subshell.
each_match() { # FOLDER PATTERN FUNCTION
  cd "$1" 2>/dev/null || return 0
  DO=$3
  read_pattern "$2"
  [ $LAST_PART = 0 ] || descend . 1 0
}

# -> PART_1 PART_2 … LAST_PART, the parts of a pattern between its slashes, and PIECES_… of those with more than one star.
# -> WILD_PART: the first that is no plain name. `**` in a row are one; one at the end means the files there.
read_pattern() { # PATTERN
  local _rest _part _before
  LAST_PART=0 WILD_PART='' _rest=$1/ _before=
  while [ -n "$_rest" ]; do
    _part=${_rest%%/*}
    _rest=${_rest#*/}
    case $_part in '' | .) continue ;; esac
    [ "$_part" != '**' ] || [ "$_before" != '**' ] || continue
    add_part "$_part"
    _before=$_part
  done
  [ "$_before" != '**' ] || add_part '*'
  WILD_PART=${WILD_PART:-$((LAST_PART + 1))}
}
add_part() { # PART
  LAST_PART=$((LAST_PART + 1))
  eval "PART_$LAST_PART=\$1"
  split_at_stars "$1"
  eval "PIECES_$LAST_PART=\$PIECES"
  case $1 in *['*?[']*) WILD_PART=${WILD_PART:-$LAST_PART} ;; esac
}

# -> PIECES: the part with `/` for each star that means any characters; empty where there is one at most.
split_at_stars() { # PART
  local _rest _set _stars
  PIECES='' _rest=$1 _stars=0
  while [ -n "$_rest" ]; do
    case $_rest in
      '*'*)
        _rest=${_rest#'*'}
        case $PIECES in */) continue ;; esac
        PIECES=$PIECES/ _stars=$((_stars + 1))
        ;;
      '['*']'*)
        # A set ends at the first `]` that is not its first character, nor the end of a `[:class:]` in it.
        _set='[' _rest=${_rest#'['}
        case $_rest in
          '!]'* | '^]'*) _set="$_set${_rest%"${_rest#??}"}" _rest=${_rest#??} ;;
          ']'*) _set='[]' _rest=${_rest#?} ;;
        esac
        while :; do
          case ${_rest%%']'*} in
            *'[:'*':') _set="$_set${_rest%%']'*}]" _rest=${_rest#*']'} ;;
            *) break ;;
          esac
        done
        case $_rest in
          *']'*) PIECES="$PIECES$_set${_rest%%']'*}]" _rest=${_rest#*']'} ;;
          *) PIECES=$PIECES$_set ;;
        esac
        ;;
      *) PIECES="$PIECES${_rest%"${_rest#?}"}" _rest=${_rest#?} ;;
    esac
  done
  [ $_stars -gt 1 ] || PIECES=''
}

# Whether a name matches a part. A shell tries all ways to share a name among several stars; here each takes the least that
# lets the next piece follow, which decides it.
# shellcheck disable=SC2254 # patterns
name_matches() { # NAME PART PIECES
  local _name _pieces _piece
  case $1 in .*) case $2 in .*) ;; *) return 1 ;; esac ;; esac
  if [ -z "$3" ]; then
    case $1 in $2) return 0 ;; *) return 1 ;; esac
  fi
  _name=$1 _pieces=$3 _piece=${3%%/*}
  case $_name in $_piece*) ;; *) return 1 ;; esac
  # A set in it has one character too.
  # shellcheck disable=SC2295 # a pattern
  _name=${_name#$_piece}
  while :; do
    _pieces=${_pieces#*/}
    _piece=${_pieces%%/*}
    case $_pieces in
      */*) ;;
      *)
        case $_name in *$_piece) return 0 ;; *) return 1 ;; esac
        ;;
    esac
    case $_name in *$_piece*) ;; *) return 1 ;; esac
    # shellcheck disable=SC2295 # a pattern
    _name=${_name#*$_piece}
  done
}

# Holds the names in a folder against the parts at PLACES, words, and goes on below with the places that come next. LINKED: 1
# where a link has been followed from the first wildcard on.
descend() { # FOLDER PLACES LINKED
  local _folder _linked _places _place _part _pieces _name _path _next _alone _hidden
  _folder=$1 _linked=$3 _places='' _hidden=0
  for _place in $2; do
    eval "_part=\$PART_$_place"
    case "$_places " in *" $_place "*) ;; *) _places="$_places $_place" ;; esac
    # `**` may stand for no folder.
    [ "$_part" = '**' ] || continue
    case "$_places " in *" $((_place + 1)) "*) ;; *) _places="$_places $((_place + 1))" ;; esac
  done
  for _place in $_places; do
    eval "_part=\$PART_$_place _pieces=\$PIECES_$_place"
    case $_part in .*) _hidden=1 ;; esac
  done
  _alone=0
  [ "$_places" != " $_place" ] || [ -n "$_pieces" ] || _alone=1
  IFS=
  # shellcheck disable=SC2086 # a pattern
  if [ $_alone = 1 ]; then
    set -- "$_folder"/$_part
  elif [ $_hidden = 1 ]; then
    set -- "$_folder"/* "$_folder"/.[!.]* "$_folder"/..?*
  else
    set -- "$_folder"/*
  fi
  IFS=' '
  for _path; do
    [ -e "$_path" ] || continue
    STEPS=$((STEPS + 1))
    [ -z "$STOPPED" ] && { [ $((STEPS % 64)) != 0 ] || goes_on; } || return 0
    _name=${_path##*/} _next=''
    for _place in $_places; do
      eval "_part=\$PART_$_place _pieces=\$PIECES_$_place"
      if [ "$_part" = '**' ]; then
        case $_name in .*) continue ;; esac
        [ ! -d "$_path" ] || [ -h "$_path" ] || _next="$_next $_place"
      elif [ $_alone = 0 ] && ! name_matches "$_name" "$_part" "$_pieces"; then
        :
      elif [ "$_place" = "$LAST_PART" ]; then
        [ ! -f "$_path" ] || "$DO" "$_path"
      elif [ -d "$_path" ] && { [ ! -h "$_path" ] || [ "$_place" -lt "$WILD_PART" ] || [ "$_linked" = 0 ]; }; then
        _next="$_next $((_place + 1))"
      fi
    done
    [ -n "$_next" ] || continue
    # The last place is behind the first wildcard where any of them is.
    if [ -h "$_path" ] && [ "$_place" -ge "$WILD_PART" ]; then
      descend "$_path" "$_next" 1
    else
      descend "$_path" "$_next" "$_linked"
    fi
  done
}

# Prints f fresh, e empty, s stale, c the clock cannot tell. Below the attempt's own folder all is fresh.
judge_match() { # FILE
  if [ ! -s "$1" ]; then
    printf e
  elif [ "$OWN" = 0 ] && [ -n "$CLOCK" ]; then
    printf c
  elif [ "$OWN" = 1 ] || [ ! "$ATT/stamp" -nt "$1" ] || changed_since "$1"; then
    printf f
    WANTED=$((WANTED - 1))
    [ $WANTED -gt 0 ] || STOPPED=${STOPPED:-enough}
  elif [ -z "$STOPPED" ]; then
    printf s
  fi
}
# cp -p, tar and rsync keep an old time of content: then the time of the inode tells, unless a link may have moved it.
changed_since() { # FILE
  local _found _inode _then
  # A process for each of many files takes its time.
  goes_on || return 1
  if _found=$(find -L "$1" -prune -links 1 -cnewer "$ATT/stamp" 2>/dev/null); then
    [ -n "$_found" ]
    return
  fi
  # Where find has no -cnewer: whole seconds, so only a later second is proof.
  _inode=$(stat -L -c '%h %Z' "$1" 2>/dev/null) && _then=$(stat -c %Y "$ATT/stamp" 2>/dev/null) || return 1
  [ "${_inode% *}" = 1 ] && [ "${_inode#* }" -gt "$_then" ]
}

# -> FOUND: the letters of all matches until so many are fresh; at its end L or X where the judgement was stopped.
matches() { # FOLDER PATTERN WANTED
  OWN=0 CLOCK='' WANTED=$3
  [ "$1" = "$SP_OUT_DIR" ] && OWN=1
  # What `make_stamp` could not do.
  if [ -e "$ATT/clock" ]; then
    { read -r CLOCK <"$ATT/clock"; } 2>/dev/null || CLOCK=clock
  elif [ ! -e "$ATT/stamp" ]; then
    CLOCK=clock
  fi
  FOUND=$(
    each_match "$1" "$2" judge_match
    case $STOPPED in limit) printf L ;; cancelled) printf X ;; esac
  )
}
# -> WHY where a judgement was stopped; fails where it was not.
stopped_by() { # LETTERS
  case $1 in
    *X) WHY=cancelled ;;
    *L) WHY=marker-limit ;;
    *c*) [ "$CLOCK" = limit ] && WHY=marker-limit ;;
    *) return 1 ;;
  esac
}
# What a spec calls. The first that does not hold -> WHY MARKER; the others are not looked at.
marker_file() { # INDEX FOLDER PATTERN
  [ -z "$WHY" ] || return 0
  matches "$2" "$3" 1
  case $FOUND in *f*) return 0 ;; esac
  stopped_by "$FOUND" || case $FOUND in
    '') WHY=marker-missing ;;
    *c*) WHY=marker-clock ;;
    *s*) WHY=marker-stale ;;
    *) WHY=marker-empty ;;
  esac
  MARKER=files.$1
}
marker_count() { # FOLDER PATTERN MIN
  local _fresh
  [ -z "$WHY" ] || return 0
  matches "$1" "$2" "$3"
  _fresh=$(printf %s "$FOUND" | tr -dc f)
  [ ${#_fresh} -ge "$3" ] && return 0
  stopped_by "$FOUND" || WHY=marker-count
  MARKER=count
}

# -> HIGH NON_ASCII: what is no ASCII in the C locale, as bytes for a set, and as characters of UTF-8 (RFC 3629, section 4).
know_high() {
  HIGH=$(printf '\200-\377')
  NON_ASCII=$(
    printf '[\302-\337][\200-\277]|\340[\240-\277][\200-\277]|[\341-\354\356\357][\200-\277]{2}|'
    printf '\355[\200-\237][\200-\277]|\360[\220-\277][\200-\277]{2}|[\361-\363][\200-\277]{3}|\364[\200-\217][\200-\277]{2}'
  )
}
# Whether a line matches CHARACTERS, or, being no UTF-8, matches BYTES: ends with 0 or 1, and with 2 where the search broke off.
# A carriage return belongs to the end of its line. With FROM and COUNT, of so many bytes of the file; its first and last line
# may not be whole, so they are left out. A hole, which reads as one line of zeros, is passed over in little memory.
# In a shell of its own, or a text for one.
# shellcheck disable=SC2016 # a text for another shell
GREP_TEXT='
lines() { # CHARACTERS BYTES UTF8 FILE [FROM COUNT]
  CR=$(printf "\r")
  case ${5-} in
    "") tr -s "\000" <"$4" | sed "s/$CR\$//" ;;
    0) head -c "$6" "$4" | tr -s "\000" | sed "\$d;s/$CR\$//" ;;
    *) tail -c "+$5" "$4" | head -c "$6" | tr -s "\000" | sed "1d;\$d;s/$CR\$//" ;;
  esac
}
no_text() {
  lines "$@" | grep -avxE -e "$3"
  [ $? -lt 2 ]
}
search() { # lines|no_text PATTERN CHARACTERS BYTES UTF8 FILE [FROM COUNT]
  told=$(exec 3>&1 >/dev/null 2>&1; {
    from=$1 pattern=$2
    shift 2
    "$from" "$@" && echo whole >&3
  } | { grep -aqE -e "$2"; echo "grep $?" >&3; })
  case $told in
    *"grep 0"*) exit 0 ;;
    *whole*"grep 1"* | *"grep 1"*whole*) ;;
    *) exit 2 ;;
  esac
}
search lines "$1" "$@"
[ "$1" = "$2" ] || search no_text "$2" "$@"
exit 1'

marker_log() { # PIECE…
  local _code
  [ -z "$WHY" ] && [ -z "$R_FOUND" ] || return 0
  _code=0 APART=''
  log_has "$@" || _code=$?
  [ $_code != 0 ] || return 0
  # What was taken out of the log meanwhile was searched before.
  read_state "$ATT/state" && [ -n "$R_FOUND" ] && return 0
  WHY=marker-log MARKER=log
  # A search that broke off, for want of memory say, has not found out that there is no such line.
  case $APART$_code in
    cancelled*) WHY=cancelled ;;
    limit* | *2) WHY=marker-limit ;;
  esac
}

# Whether a line of the log matches an extended regular expression, given in pieces: between them stand HIGH and NON_ASCII in
# turn. 1: none does; 2: that was not found out. -> APART
log_has() { # PIECE…
  expression "$@"
  set -- "$CHARACTERS" "$BYTES" "$UTF8" "$ATT/log"
  APART='' F=$(wc -c <"$ATT/log") || return 2
  if [ "$F" -le $BRIEF_LOG ]; then
    (eval "$GREP_TEXT")
    return
  fi
  uptime_now
  to_seconds $((JUDGE_UNTIL > CS ? JUDGE_UNTIL - CS : 1))
  run_apart "$X" "$GREP_TEXT" sp-grep "$@" </dev/null
  case $APART in 0 | 1) return "$APART" ;; esac
  return 2
}

# The same of bytes of a log that grows, by the watch, in a process group that ends with its time. What the runner does apart
# from the command has a mark of its own; this has none, so that nobody takes it for that.
part_of_log_has() { # FROM COUNT SECONDS PIECE…
  local _from _count _seconds
  _from=$1 _count=$2 _seconds=$3
  shift 3
  expression "$@"
  timeout -k 5 "$_seconds" "$SP_SH" -c "$GREP_TEXT" sp-grep "$CHARACTERS" "$BYTES" "$UTF8" "$ATT/log" "$_from" "$_count" \
    </dev/null
}

# -> CHARACTERS BYTES UTF8: what a line is to match, and what tells whether it is text.
expression() { # PIECE…
  know_high
  join_pieces "$NON_ASCII" "$@"
  CHARACTERS=$JOINED
  join_pieces "[$HIGH]" "$@"
  BYTES=$JOINED
  UTF8="([^$HIGH]|$NON_ASCII)*"
}
join_pieces() { # ANY PIECE… -> JOINED
  local _any _between
  _any=$1 JOINED=$2 _between=$HIGH
  shift 2
  while [ $# -gt 0 ]; do
    JOINED=$JOINED$_between$1
    if [ "$_between" = "$HIGH" ]; then _between=$_any; else _between=$HIGH; fi
    shift
  done
}

# Searches a log that grows, up to SIZE or for some seconds, before its middle is taken out: a line that the log marker wants
# is noted. -> R_FOUND, SEARCHED: up to which byte that was done. A search that breaks off is taken up again.
search_before_cut() { # SIZE UNTIL_CS
  local _to _found
  uptime_now
  while [ "$SEARCHED" -lt "$1" ] && [ "$CS" -lt "$2" ]; do
    _to=$((SEARCHED + LOG_SLICE < $1 ? SEARCHED + LOG_SLICE : $1)) _found=0
    search_slice $_to $(($2 - CS)) || _found=$?
    case $_found in
      0) SEARCHED=$_to ;;
      10)
        uptime_now
        printf '\nfound marker=log up=%s .\n' "$UP" >>"$ATT/state" && R_FOUND="found marker=log up=$UP ."
        return
        ;;
      *) return ;;
    esac
    uptime_now
  done
}

# 10: a line was found; another code than 0: that was not found out.
# shellcheck disable=SC2317 # MARKERS calls them
search_slice() ( # TO_BYTE HUNDREDTHS
  load_spec
  marker_file() { :; }
  marker_count() { :; }
  marker_log() {
    local _code
    _code=0
    part_of_log_has "$LOG_FROM" "$LOG_COUNT" "$X" "$@" || _code=$?
    case $_code in
      0) exit 10 ;;
      1) ;;
      *) exit 2 ;;
    esac
  }
  # Some bytes twice: a line may have been half written.
  LOG_FROM=$((SEARCHED > SEARCHED_TWICE ? SEARCHED - SEARCHED_TWICE : 0))
  LOG_COUNT=$(($1 - LOG_FROM))
  to_seconds "$2"
  call_markers
)

# Calls MARKERS with the variables of the host that a marker may name; the tools stay our own. Run in a subshell.
call_markers() {
  local _path
  _path=$PATH
  B_ACCOUNT
  PATH=$_path
  LC_ALL=C
  MARKERS
}

# Before the start: a stamp that is newer than every file that matches already. Where a clock stands wrong and that
# cannot be had, or not in time, the markers say so instead of guessing.
make_stamp() {
  true >"$ATT/stamp"
  # shellcheck disable=SC2317 # MARKERS calls them
  (
    begin_judgement
    marker_file() { (each_match "$2" "$3" outdate_match; note_stop); }
    marker_count() { (each_match "$1" "$2" outdate_match; note_stop); }
    marker_log() { :; }
    call_markers
  )
}
outdate_match() { # FILE
  local _tries
  [ ! -e "$ATT/clock" ] && [ -e "$ATT/stamp" ] || return 0
  _tries=0
  until [ "$ATT/stamp" -nt "$1" ]; do
    _tries=$((_tries + 1))
    if [ $_tries -gt 300 ]; then
      cannot_stamp clock
      return
    fi
    sleep 0.01
    true >"$ATT/stamp"
  done
}
# Without a stamp the clock cannot tell, either.
cannot_stamp() { # clock|limit
  printf '%s\n' "$1" >"$ATT/clock" || rm -f "$ATT/stamp"
}
note_stop() {
  [ "$STOPPED" != limit ] || cannot_stamp limit
}
