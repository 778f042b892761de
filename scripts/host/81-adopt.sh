# Results of another instance of the campaign's name: listed, and taken over on request. The other instance is only read.

# Every end that an instance has on record.
verb_ends() { # INSTANCE
  is_instance "$1" || exit 64
  C=$1
  known_ends
}

# Takes ended attempts over, `ID N` a line on stdin, as the next attempts of the same jobs. They are copied whole: either
# instance may remove its own. Prints `adopted id= n= .` for each, with its number here. A job that is queued here, or has an
# attempt without an end, is left out.
verb_adopt() { # INSTANCE FROM
  local _queued _id _n
  is_instance "$1" && is_instance "$2" && [ "$1" != "$2" ] && [ "${1%%~*}" = "${2%%~*}" ] || exit 64
  C=$1
  make_instance || exit 73
  read_list
  _queued=$(queued_entries)
  case $_queued in *'unreadable !'*) exit 74 ;; esac
  [ -z "$(tail -c 1 "$V/$C/journal" 2>/dev/null)" ] || JOURNAL_TORN=1
  while read -r _id _n; do
    is_id "$_id" && is_number "$_n" || continue
    case $_queued in *"id=$_id "*) continue ;; esac
    adopt "$2" "$_id" "$_n" || continue
    # A journal that cannot be written is completed by the next probe.
    journal "$R_END"
    ! is_removed "$ATT" || journal "removed id=$ID n=$N ."
    printf 'adopted id=%s n=%s .\n' "$ID" "$N"
  done <<LIST
$LIST
LIST
}

# Copies one ended attempt -> ID N ATT and its records. Fails, and leaves nothing, where it may not or cannot.
adopt() { # FROM ID N
  local _from _job _next _claim _try
  _from=$V/$1/jobs/$2/$3 _job=$V/$C/jobs/$2
  _next=1
  for _claim in "$_job"/[1-9]*; do
    [ -h "$_claim" ] || continue
    load_attempt "$2" "${_claim##*/}" && [ -n "$R_END" ] || return 1
    [ "$N" -lt $_next ] || _next=$((N + 1))
  done
  is_number $_next && read_state "$_from/state" && [ -n "$R_END" ] && is_free "$_from/alive" || return 1
  case $R_END in *' kind=setup '*) return 1 ;; esac
  _try=try-$_next.adopt-$$
  mkdir -p "$_job" && rm -rf "${_job:?}/$_try" && mkdir "$_job/$_try" && cp -R -P -p "$_from/." "$_job/$_try" &&
    sed -e "s/^\\(claim .* id=$2 n=\\)$3 /\\1$_next /" -e "s/^end id=$2 n=$3 /end id=$2 n=$_next /" \
      "$_from/state" >"$_job/$_try/state" &&
    printf 'adopted from=%s n=%s .\n' "$1" "$3" >>"$_job/$_try/state" &&
    { [ -e "$_job/state" ] || cp -R -P -p "$V/$1/jobs/$2/state" "$_job/$_try/state-of-job"; } &&
    sync && ln -sn "$_try" "$_job/$_next" 2>/dev/null || {
    rm -rf "${_job:?}/$_try"
    return 1
  }
  # Ours by now: no runner makes one before it has the claim.
  [ ! -e "$_job/$_try/state-of-job" ] || [ -e "$_job/state" ] || mv "$_job/$_try/state-of-job" "$_job/state"
  rm -rf "${_job:?}/$_try/state-of-job"
  make_durable "$_job" "$V/$C/jobs"
  load_attempt "$2" "$_next"
}
