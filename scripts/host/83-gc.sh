# What nothing needs any more, listed or removed. What makes a second start impossible stays for ever: claims and their
# records, of moved attempts too, and the lists of hosts that jobs were dealt by. Of an attempt that has no end, or of what
# may be about to be used, nothing is touched.

# Minutes: what is younger may be about to be used.
GC_YOUNG=10
# Minutes: a hand-over that was withdrawn is not asked for again after such a time, a month.
GC_FORGOTTEN=43200

# Prints `gc kind= job= count= kib= .` for each kind that there is, attempts and states by job; with `remove`, after it was
# removed. Stdin: `attempt ID N`, ended attempts whose files nobody wants, `job ID`, jobs that are obsolete, and `.` at the end.
verb_gc() { # INSTANCE list|remove
  local _asked _found _sizes _other _kind _unit _path
  is_instance "$1" || exit 64
  C=$1
  case $2 in list | remove) ;; *) exit 64 ;; esac
  read_list
  _asked=$LIST
  cd "$V" && [ -d "$C/jobs" ] || return 0
  # In variables, not in files: the disk may be full, and that is why we were called.
  _found=$(gc_found)
  [ -n "$_found" ] || return 0
  # GNU du leaves out what it has counted by another name.
  _sizes=$(printf '%s\n' "$_found" | sed 's/^[^ ]* [^ ]* //' | tr '\n' '\000' | xargs -0 du -sk 2>/dev/null)
  # What stays after all, and what cannot be removed: few, so a list of them grows, not one of all that goes.
  _other=
  if [ "$2" = remove ]; then
    # Large trees were measured meanwhile: so all is looked at again.
    _found=$(gc_found)
    gc_mark "$_found"
    while read -r _kind _unit _path; do
      gc_is_waste "$_kind" "$_unit" "$_path" && gc_remove "$_kind" "$_path"
      case $? in
        0) ;;
        2) _other="${_other}stays $_path$NL" ;;
        *) _other="${_other}left $_path$NL" ;;
      esac
    done <<LIST
$_found
LIST
    # On a full disk the first marks may have failed.
    gc_mark "$_found"
    gc_tell "$_asked"
  fi
  printf '%s\n' "$_sizes" . "$_other" . "$_found" | awk '
    $0 == "" { next }
    $0 == "." { part++; next }
    !part { tab = index($0, "\t"); size[substr($0, tab + 1)] = substr($0, 1, tab - 1); next }
    part == 1 { other[substr($0, length($1) + 2)] = $1; next }
    {
      path = substr($0, length($1 $2) + 3)
      kind = $1
      if (path in other) kind = other[path]
      if (kind == "stays") next
      # Results are told of job by job.
      job = "none"
      if (kind == "attempts" || kind == "states") {
        job = $2
        sub(/\/.*/, "", job)
      }
      of = kind " job=" job
      kib[of] += size[path]
      if (!((of, $1, $2) in seen)) count[of]++
      seen[of, $1, $2] = 1
    }
    END { for (of in count) print "gc kind=" of " count=" count[of] " kib=" kib[of] + 0 " ." }'
}

# Marks attempts whose files go, so that a journal that is made anew says so, too.
gc_mark() { # LINES_OF_gc_found
  local _attempt
  for _attempt in $(printf '%s\n' "$1" | sed -n 's/^attempts \([^ ]*\) .*/\1/p' | sort -u); do
    { true >"$C/jobs/$_attempt/removed"; } 2>/dev/null
  done
}

# Tells in the journal of which attempts the files are gone, also of those that an earlier removal came to no end with.
gc_tell() { # LINES
  local _what _id _n
  [ -z "$(tail -c 1 "$C/journal" 2>/dev/null)" ] || JOURNAL_TORN=1
  while read -r _what _id _n; do
    [ "$_what" = attempt ] && is_id "$_id" && is_number "$_n" && is_removed "$C/jobs/$_id/$_n" || continue
    journal "removed id=$_id n=$_n ."
  done <<LIST
$1
LIST
}

# The last look, since what was removed before may have taken its time. Fails with 2 for what stays.
gc_is_waste() { # KIND UNIT PATH
  [ -n "$3" ] || return 2
  case $1 in
    states) gc_all_over "$2" || return 2 ;;
    tries) ! gc_is_claimed "$3" || return 2 ;;
    snapshots) ! gc_is_young "$3" "$3/looks" "$3/asked" || return 2 ;;
  esac
}

# Fails with 2 for what stays after all.
gc_remove() { # KIND PATH
  local _out
  _out=$2
  if [ "$1" = snapshots ]; then
    # Out of its name first: a tree of which half is left must not be taken for one.
    _out=${2%/*}/in.gone-$$-${2##*/}
    mv "$2" "$_out" 2>/dev/null || return 1
    # Whoever was promised it has left a mark by then; who comes later does not find it.
    if gc_is_young "$_out/asked"; then
      mv "$_out" "$2" && return 2
      return 1
    fi
  fi
  rm -rf "$_out" 2>/dev/null || {
    # A job may have taken the rights away.
    chmod -R u+rwX "$_out" && rm -rf "$_out"
  } 2>/dev/null
  [ ! -e "$_out" ]
}

# Prints `KIND UNIT PATH`, a line for each path; a unit is what is counted.
gc_found() {
  local _useless
  _useless=$(gc_asked)
  [ -z "$_useless" ] || printf '%s\n' "$_useless"
  gc_tries
  gc_snapshots "$_useless"
  gc_queue
  gc_secrets
  gc_root
}

gc_print() { # KIND UNIT PATH…
  local _kind _unit _path
  _kind=$1 _unit=$2
  shift 2
  for _path; do
    # No name of ours.
    case $_path in *"$NL"*) continue ;; esac
    [ ! -e "$_path" ] && [ ! -h "$_path" ] || printf '%s %s %s\n' "$_kind" "$_unit" "$_path"
  done
}

gc_asked() {
  local _sources _queued _what _id _n _job _name
  # A job that counts by the result of another one needs that.
  _sources=" $(cat "$C"/jobs/*/accepted 2>/dev/null | tr '\n' ' ') "
  _queued=$(queued_entries)
  while read -r _what _id _n; do
    is_id "$_id" || continue
    case $_sources in *" $_id "*) continue ;; esac
    _job=$C/jobs/$_id
    case $_what in
      attempt)
        gc_is_over "$_id" "$_n" || continue
        for _name in out log log.cut command prepare cleanup init init-runs params.json signal stamp clock; do
          gc_print attempts "$_id/$_n" "$_job/$_n/$_name"
        done
        gc_print attempts "$_id/$_n" "$_job/state-before.$_n"
        ;;
      job)
        case $_queued in *"id=$_id "*) continue ;; esac
        gc_all_over "$_id" && gc_print states "$_id" "$_job/state"
        ;;
    esac
  done <<LIST
$_asked
LIST
}

gc_is_over() { # ID N
  load_attempt "$1" "$2" && [ -n "$R_END" ] && is_free "$ATT/alive"
}
gc_all_over() { # ID
  local _claim
  for _claim in "$C/jobs/$1"/[1-9]*; do
    [ ! -h "$_claim" ] || gc_is_over "$1" "${_claim##*/}" || return 1
  done
}

# Folders of attempts that were prepared and never claimed.
gc_tries() {
  local _try _rid
  for _try in "$C"/jobs/*/try-*; do
    [ -d "$_try" ] || continue
    _rid=${_try##*/try-*.}
    case $_rid in
      cancel-* | adopt-*) [ ! -d "/proc/${_rid#*-}" ] || continue ;;
      *) ! rid_lives "$_rid" || continue ;;
    esac
    # Who is gone by now claims nothing any more: so this is looked at after that.
    ! gc_is_claimed "$_try" || continue
    ! read_state "$_try/state" || { field machine "$R_CLAIM" && [ "$F" = "$MACHINE" ]; } || continue
    is_free "$_try/alive" && gc_print tries "$_try" "$_try"
  done
}

gc_is_claimed() { # TRY_FOLDER
  local _n
  _n=${1##*/try-}
  [ "${1%/*}/${_n%%.*}" -ef "$1" ]
}

# Snapshots that no attempt waits for or runs in, nor ran in one whose files stay: results may lie in the tree. What a setup
# made there alone keeps none; the newest that was set up, and the newest, stay for the next one.
gc_snapshots() { # LINES_OF_gc_asked
  local _all _used _kept _id _n _folder _name
  _all=$C/snapshots
  [ -d "$_all" ] || return 0
  # shellcheck disable=SC2016 # texts for awk
  # The queue first: what leaves it meanwhile is claimed.
  _used=" $(
    cat "$C"/queue/*/common "$C"/queue/*/all 2>/dev/null | sed -n "s/.*B_SNAPSHOT='\([0-9a-f]*\)'.*/\1/p" | tr '\n' ' '
    not_in_journal | while read -r _id _n; do
      load_attempt "$_id" "$_n" && field snapshot "$R_CLAIM" && printf '%s ' "$F"
    done
    {
      printf '%s\n' "$1" ''
      printf '%s\n' "$C"/jobs/*/[1-9]*/out
    } | awk '
      !listed { split($0, part, " "); useless[part[2]] = 1; listed = $0 == ""; next }
      { split($0, part, "/") }
      part[3] ~ /^[0-9a-f]+$/ && !((part[3] "/" part[4]) in useless) { sub(/out$/, "state"); print }' |
      xargs awk '/^claim .* \.$/ && !/ kind=setup / && match($0, / snapshot=[0-9a-f]+ /) { printf "%s ", substr($0, RSTART + 10, RLENGTH - 11) }' 2>/dev/null
  )"
  # shellcheck disable=SC2012 # the names are hex digits
  _kept=" $(cd "$_all" && { ls -t -- */looks | head -n 1; ls -t -- */set-up | head -n 1; } 2>/dev/null | tr '\n' ' ')"
  for _folder in "$_all"/*; do
    _name=${_folder##*/}
    is_snapshot "$_name" || continue
    case $_used in *" ${_name%%.*} "*) continue ;; esac
    case $_kept in *" $_name/"*) continue ;; esac
    gc_is_young "$_folder" "$_folder/looks" "$_folder/asked" || gc_print snapshots "$_name" "$_folder"
  done
  for _folder in "$_all"/in.*; do
    [ ! -d "$_folder" ] || ! is_abandoned "$_folder" || gc_print unpublished "${_folder##*/}" "$_folder"
  done
}

gc_is_young() { # PATH…
  [ -n "$(find "$@" -prune -mmin "-$GC_YOUNG" 2>/dev/null)" ]
}

# What hand-overs left: cut short, damaged, withdrawn.
gc_queue() {
  local _folder _life _mark
  for _folder in "$C"/queue/in.* "$C"/queue/damaged.*; do
    [ -d "$_folder" ] || continue
    case ${_folder##*/} in
      in.*) [ ! -d "/proc/${_folder##*.}" ] || continue ;;
    esac
    gc_print hand-overs "${_folder##*/}" "$_folder"
  done
  # A runner may have read ahead in one that was withdrawn.
  for _life in run/life.*; do
    [ ! -e "$_life" ] || ! rid_lives "${_life#run/life.}" || return 0
  done
  find "$C/withdrawn" -type f -mmin "+$GC_FORGOTTEN" 2>/dev/null | while read -r _mark; do
    set -- "$C/queue"/*"~${_mark##*/}"
    [ -e "$1" ] || gc_print marks "${_mark##*/}" "$_mark"
  done
}

gc_secrets() {
  local _file _batch
  for _file in "$SECRETS/$ROOTID.$C".*; do
    [ -f "$_file" ] || continue
    _batch=${_file#"$SECRETS/$ROOTID.$C."}
    case $_batch in
      *.*.*.*) is_stale_secret "$_file" || continue ;;
      *)
        # Laid out before its hand-over is in the queue: so that is looked at last.
        set -- "$C/queue/in.${_batch%%.*}".*
        [ ! -e "$1" ] || continue
        set -- "$C/queue"/*"~${_batch%%.*}"
        [ ! -e "$1" ] || continue
        ;;
    esac
    gc_print secrets "${_file##*/}" "$_file"
  done
}

# What the campaigns of the root share.
gc_root() {
  local _file _named _name
  for _file in run/life.*; do
    [ ! -e "$_file" ] || rid_lives "${_file#run/life.}" || gc_print locks "$_file" "$_file"
  done
  for _file in run/wait.*; do
    [ -d "/proc/${_file#run/wait.}" ] || gc_print locks "$_file" "$_file"
  done
  # Whatever names a version may still run it.
  _named=$(
    cat ./*/queue/*/common ./*/queue/*/all 2>/dev/null | sed -n 's/^batch .* script=\([^ ]*\) .*/\1/p'
    cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\000' '\n' | sed -n 's,^.*/v2/bin/\([^/]*\)$,\1,p'
  )
  for _file in bin/*; do
    _name=${_file#bin/}
    case $_name in "$VERSION" | *[!A-Za-z0-9._-]*) continue ;; esac
    case "$NL$_named$NL" in *"$NL$_name$NL"*) continue ;; esac
    gc_is_young "$_file" || gc_print scripts "$_name" "$_file"
  done
  for _file in server.db.damaged*; do
    [ ! -f "$_file" ] || gc_print index "$_file" "$_file"
  done
}
