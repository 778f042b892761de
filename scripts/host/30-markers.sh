# Done markers, judged at the end of an attempt by calling MARKERS of the spec: the first that does not hold sets MARKER
# and WHY. Globs are data: the shell expands nothing in them but * ? [ ], and `**` as a whole component. Folders that are
# found on the way are data too, so they stand in quotes and only the pattern does not.

# Calls FUNCTION for each regular file that matches, in name order. Run in a subshell.
each_match() { # FOLDER PATTERN FUNCTION
  cd "$1" 2>/dev/null || return 0
  IFS=
  DO=$3
  match_below . "$2"
}
match_below() { # FOLDER PATTERN
  local _tops _rest _top _match
  case /$2/ in
    */'**'/*)
      _tops=/$2/
      _tops=${_tops%%/'**'/*}
      _rest=/$2/
      _rest=${_rest#"$_tops"/'**'/}
      _rest=${_rest%/}
      # shellcheck disable=SC2086 # a pattern
      for _top in "$1"$_tops; do
        [ -d "$_top" ] && walk "$_top" "${_rest:-*}"
      done
      ;;
    *)
      # shellcheck disable=SC2086 # a pattern
      for _match in "$1"/$2; do
        [ -f "$_match" ] && "$DO" "$_match"
      done
      ;;
  esac
  return 0
}
# A folder and all below it; a link to a folder is not followed, so that a ring ends. In a subshell: the caller's variables
# are those of this function too.
walk() ( # FOLDER PATTERN
  local _sub
  match_below "$1" "$2"
  for _sub in "$1"/*/; do
    [ -d "$_sub" ] && [ ! -h "${_sub%/}" ] && walk "${_sub%/}" "$2"
  done
)

# Prints f fresh, e empty, s stale, c the clock cannot tell. Below the attempt's own folder all is fresh.
judge_match() { # FILE
  if [ ! -s "$1" ]; then
    printf e
  elif [ "$OWN" = 1 ]; then
    printf f
  elif [ -e "$ATT/clock" ] || [ ! -e "$ATT/stamp" ]; then
    printf c
  elif [ ! "$ATT/stamp" -nt "$1" ]; then
    printf f
  elif changed_since "$1"; then
    printf f
  else
    printf s
  fi
}
# cp -p, tar and rsync keep an old time of content: then the time of the inode tells, unless a link may have moved it.
changed_since() { # FILE
  local _found _inode _then
  if _found=$(find -L "$1" -prune -links 1 -cnewer "$ATT/stamp" 2>/dev/null); then
    [ -n "$_found" ]
    return
  fi
  # Where find has no -cnewer: whole seconds, so only a later second is proof.
  _inode=$(stat -L -c '%h %Z' "$1" 2>/dev/null) && _then=$(stat -c %Y "$ATT/stamp" 2>/dev/null) || return 1
  [ "${_inode% *}" = 1 ] && [ "${_inode#* }" -gt "$_then" ]
}

# -> FOUND: the letters of all matches.
matches() { # FOLDER PATTERN
  OWN=0
  [ "$1" = "$SP_OUT_DIR" ] && OWN=1
  FOUND=$(each_match "$1" "$2" judge_match)
}
# What a spec calls. The first that does not hold -> WHY MARKER; the others are not looked at.
marker_file() { # INDEX FOLDER PATTERN
  [ -z "$WHY" ] || return 0
  matches "$2" "$3"
  case $FOUND in
    *f*) return 0 ;;
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
  matches "$1" "$2"
  _fresh=$(printf %s "$FOUND" | tr -dc f)
  [ ${#_fresh} -ge "$3" ] && return 0
  WHY=marker-count MARKER=count
}
marker_log() { # EXTENDED_REGULAR_EXPRESSION, over bytes
  [ -z "$WHY" ] || return 0
  grep -aqE -e "$1" "$ATT/log" && return 0
  WHY=marker-log MARKER=log
}

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
# cannot be had, the markers say so instead of guessing.
make_stamp() {
  true >"$ATT/stamp"
  # shellcheck disable=SC2317 # MARKERS calls them
  (
    marker_file() { (each_match "$2" "$3" outdate_match); }
    marker_count() { (each_match "$1" "$2" outdate_match); }
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
      # Without a stamp the clock cannot tell, either.
      true >"$ATT/clock" || rm -f "$ATT/stamp"
      return
    fi
    sleep 0.01
    true >"$ATT/stamp"
  done
}
