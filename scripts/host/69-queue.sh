# The entries of hand-overs: read ahead and prepared by a runner, leased where several share a queue, and taken out when
# nothing of them is to be started any more. Nothing is claimed here.

# So many entries are read ahead.
POOL=16
# Where runners share a queue, one that reads ahead keeps entries from the others: for so many hundredths of a second, and
# only where jobs are shorter than the other figure.
LEASE=500
BRIEF=10

# Whether several entries are taken at once. Of jobs that take their time each runner takes one when it is free: so they
# begin in order, and none waits for a runner that is busy.
reads_ahead() {
  [ "${B_SLOTS:-1}" -le 1 ] || [ "$ELAPSED" -lt $BRIEF ]
}

# Where runners share a queue: whether the entry is for us to prepare. One that several prepare at once costs each of them
# as much as if it were its own; the claim alone decides who starts it, so what is lost or late here is no harm.
lease() { # ID N
  local _lease _by _at
  [ "${B_SLOTS:-1}" -gt 1 ] || return 0
  _lease=$BATCHDIR/lease.${CHUNK##*/}.$1.$2
  set -C
  { printf '%s %s\n' "$RID" "$CS" >"$_lease"; } 2>/dev/null && {
    set +C
    return 0
  }
  set +C
  if { read -r _by _at <"$_lease"; } 2>/dev/null && is_name "$_by" && is_number "$_at" && [ "$_by" != "$RID" ] &&
    [ "$CS" -ge "$_at" ] && [ $((CS - _at)) -lt $LEASE ] && rid_lives "$_by"; then
    LEASED=1
    return 1
  fi
  { printf '%s %s\n' "$RID" "$CS" >"$_lease"; } 2>/dev/null
  return 0
}

# Whether every entry of a chunk is known to have been claimed.
is_drained() { # CHUNK
  local _entries _item
  _entries=$(awk '$1 == "job" { print $2 "/" $3 }' "$1" 2>/dev/null) || return 1
  for _item in $_entries; do
    [ -h "$V/$C/jobs/$_item" ] || return 1
  done
}

# Reads the next entries -> AHEAD, STUCK, LEASED: prepares their attempt folders by one mkdir and one sync. An unclaimed one
# is harmless. Fails where there is none.
fill_pool() {
  local _room _count _folders _pool _kind _id _n _flag _text _ahead _files _item _try
  cd "$V/$C/jobs" || {
    STUCK=1
    return 1
  }
  same_root
  uptime_now
  _room=1 _count=0 _folders='' _pool=''
  ! reads_ahead || _room=$((POOL / ${B_SLOTS:-1} + 1))
  while [ $_count -lt $_room ] && IFS=' ' read -r _kind _id _n _flag _text <&3; do
    [ "$_kind" = job ] && is_id "$_id" && is_number "$_n" || continue
    [ -h "$_id/$_n" ] && continue
    [ "$_n" -eq 1 ] || all_before_ended || continue
    lease "$_id" "$_n" || continue
    _folders="$_folders $_id/try-$_n.$RID/out $_id/state"
    _pool="$_pool $_id/$_n/$_flag"
    eval "SPEC_$_count=\$_text"
    _count=$((_count + 1))
  done
  [ -n "$_pool" ] || return 1
  # shellcheck disable=SC2086 # ids and numbers
  mkdir -p $_folders || {
    STUCK=1
    return 1
  }
  uptime_now
  _count=0 _ahead='' _files=.
  for _item in $_pool; do
    _id=${_item%%/*}
    _n=${_item#*/}
    _n=${_n%/*}
    _try=$_id/try-$_n.$RID
    eval "_text=\$SPEC_$_count"
    _count=$((_count + 1))
    [ -s "$_try/state" ] || prepare_folder || {
      rm -rf "$_try"
      STUCK=1
      continue
    }
    _ahead="$_ahead${_ahead:+ }$_item"
    _files="$_files $_id $_try $_try/state"
  done
  # shellcheck disable=SC2086 # ids and numbers
  make_durable $_files || {
    STUCK=1
    return 1
  }
  AHEAD=$_ahead
  [ -n "$AHEAD" ]
}

# Whether the attempts of the job _id before _n that this host knows have ended. Some may have been another host's, and a
# root made anew has none.
all_before_ended() {
  local _link
  for _link in "$_id"/[1-9]*; do
    [ -h "$_link" ] && is_number "${_link##*/}" && [ "${_link##*/}" -lt "$_n" ] || continue
    read_state "$_link/state" && [ -n "$R_END" ] || return 1
  done
}

# One attempt's folder from _try _id _n _text RAN_FROM NEEDS, with all that its start needs: the disk may be full by then.
# `state` comes last: who has one is whole.
prepare_folder() {
  printf '%s\n%s\n' "$COMMON" "$_text" >"$_try/spec" && true >>"$_try/alive" && true >>"$_try/log" && true >>"$_try/signal" &&
    printf 'claim v=1 campaign=%s script=%s root=%s machine=%s boot=%s %s %s apply=%s batch=%s slot=%s rid=%s id=%s n=%s queued=%s up=%s .\n' \
      "$C" "$VERSION" "$ROOTID" "$MACHINE" "$BOOT" "$RAN_FROM" "$NEEDS" "$B_APPLY" "$BATCH" "$K" "$RID" "$_id" "$_n" "${QUEUED:-none}" "$UP" \
      >"$_try/state"
}

# Secrets that a dead runner had laid out for an attempt. A stub that lives holds `alive`, and takes its own away.
forget_secrets() {
  local _file
  for _file in "$SECRETS/$ROOTID".*.*.*.*.*; do
    [ ! -e "$_file" ] || ! is_stale_secret "$_file" || remove "$_file"
  done
}
is_stale_secret() { # FILE
  local _rid _campaign _attempt _id
  _rid=${1##*.}
  [ ! -e "$V/run/life.$_rid" ] || is_free "$V/run/life.$_rid" || return 1
  _campaign=${1#"$SECRETS/$ROOTID."}
  _campaign=${_campaign%%.*}
  _attempt=${1%.*}
  _id=${_attempt%.*}
  _attempt=$V/$_campaign/jobs/${_id##*.}/${_attempt##*.}
  [ ! -h "$_attempt" ] || is_free "$_attempt/alive"
}

# Hand-overs of which every entry is claimed: nothing of them can start any more.
drop_drained() {
  local _folder
  for _folder in "$V/$C/queue"/[0-9]*~*; do
    set -- "$_folder"/c[0-9]*
    [ -e "$1" ] || continue
    (cd "$V/$C/jobs" && printf '%s\n' */[1-9]*) | awk '
      FNR == NR { claimed[$0] = 1; next }
      $1 == "job" && !(($2 "/" $3) in claimed) { left = 1; exit }
      END { exit left }' - "$@" 2>/dev/null || continue
    drop_batch "$_folder"
  done
}

# Takes hand-overs out of the queue: one, or all of an apply. The mark comes first: a claim that is under way sees it. Fails
# where a mark cannot be written; then that hand-over stays.
withdraw_batches() { # BATCH_OR_APPLY ; uses C
  local _marked _folder
  _marked=0
  for _folder in "$V/$C/queue"/[0-9]*~"$1" "$V/$C/queue"/[0-9]*~"$1"-[0-9]*; do
    [ -d "$_folder" ] || continue
    if mark_withdrawn "${_folder##*~}"; then
      drop_batch "$_folder"
    else
      _marked=1
    fi
  done
  return $_marked
}

# By the mark a client knows, too, that what it misses was never started.
mark_withdrawn() { # BATCH
  mkdir -p "$V/$C/withdrawn" && true >"$V/$C/withdrawn/$1" && make_durable "$V/$C/withdrawn"
}

# A hand-over of which nothing is to be started any more, with its secrets.
drop_batch() { # QUEUE_FOLDER
  local _campaign
  _campaign=${1#"$V"/}
  remove "$SECRETS/$ROOTID.${_campaign%%/*}.${1##*~}"
  remove "$1"
}
