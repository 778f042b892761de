# What clients ask. Every answer stands between `sp-begin NONCE` and `sp-end NONCE`; anything else is no answer, whatever
# the exit status. Asking twice does no harm. Free text comes by stdin, arguments are plain words.

# Bytes of all lists of hosts of a campaign.
HOSTS_MAX=262144
# Clients of an instance that are remembered: those that handed over last.
CLIENTS_MAX=16
# Bytes of a journal's line that its mark is made of: the last ones, as the client looks at them.
MARKED=2048

# What an apply needs to know before it hands over, and what plan, status and the rest show.
verb_probe() { # INSTANCE GENERATION OFFSET MARK [PROGRAM…]
  local _generation _offset _mark _tmux _missing _program _had _part _queued _withdrawn _apply _open
  is_instance "$1" || exit 64
  C=$1 _generation=$2 _offset=$3 _mark=$4
  shift 4
  clock_base
  to_clock "$CS"
  _tmux=none
  command -v tmux >/dev/null && _tmux=$(tmux -V | tr -dc 'A-Za-z0-9.')
  _missing=
  for _program; do
    command -v "$_program" >/dev/null || _missing="$_missing,$_program"
  done
  _missing=${_missing#,}
  printf 'host v=1 script=%s root=%s machine=%s boot=%s t=%s up=%s tmux=%s missing=%s .\n' \
    "$VERSION" "$ROOTID" "$MACHINE" "$BOOT" "$T" "$UP" "${_tmux:-none}" "${_missing:-none}"
  tell_others
  # An instance that is not there yet has no mark and nothing else.
  [ -e "$V/$C/instance" ] || {
    is_same_root || exit 66
    return 0
  }
  _had=
  for _part in instance jobs queue; do
    [ ! -e "$V/$C/$_part" ] || _had="$_had $_part"
  done
  printf 'instance %s .\n' "$C"
  [ -e "$V/$C/paused" ] && printf 'paused .\n'
  [ ! -e "$V/$C/hosts" ] || sed 's/^/hosts /' "$V/$C/hosts"
  # On a full disk there may be no journal to complete; then all that it would say stands in the answer.
  have_journal || known_ends
  # Queue first, claims then, journal last: an entry that moves on meanwhile is seen at least once. What is left out of the
  # queue because it is claimed must have been claimed before the claims are looked at. In variables, not in files: the disk
  # may be full.
  tidy_setups
  _queued=$(queued_entries)
  case $_queued in *'unreadable !'*) exit 74 ;; esac
  # The marks behind the queue: what left it before has one by now.
  for _withdrawn in "$V/$C/withdrawn"/*; do
    _apply=${_withdrawn##*/}
    [ ! -e "$_withdrawn" ] || printf 'left %s .\n' "${_apply%-*}"
  done
  [ -z "$_queued" ] || _queued=$({
    (cd "$V/$C/jobs" && printf '%s\n' */[1-9]*)
    printf '%s\n' "$_queued"
  } | awk '
    $1 != "queued" { sub(/\//, " "); claimed[$0] = 1; next }
    !((substr($2, 4) " " substr($3, 3)) in claimed)')
  _open=$(settle_campaign)
  [ -z "$_queued" ] || printf '%s\n' "$_queued"
  [ -z "$_open" ] || printf '%s\n' "$_open"
  journal_from "$_generation" "$_offset" "$_mark"
  # A root that is removed as we look has lost claims before it has lost its name: what it does not name may have run.
  is_same_root || exit 66
  for _part in $_had; do
    [ -e "$V/$C/$_part" ] || exit 66
    # By the whole journal a client may take for gone what is not named: then nothing may have been passed over.
    [ "$_generation" != none ] || [ "$_part" = instance ] || ls "$V/$C/$_part" >/dev/null || exit 74
  done
}

# Other instances of the campaign's name that the root has, a line for each of their clients: for people, and for a client that
# looks for its own.
tell_others() { # uses C
  local _folder _other _file _client _jobs
  for _folder in "$V/${C%%~*}"~*; do
    _other=${_folder##*/}
    [ "$_other" != "$C" ] && is_instance "$_other" && [ -e "$_folder/instance" ] || continue
    set -- "$_folder"/jobs/*
    _jobs=$#
    [ -e "$1" ] || _jobs=0
    for _file in "$_folder"/clients/*; do
      { IFS= read -r _client <"$_file"; } 2>/dev/null || continue
      printf 'other %s %s %s .\n' "$_other" "$_jobs" "$_client"
    done
  done
}

# Entries of the queue as `queued id= n= apply= .`, claimed ones among them, and `unreadable !` where there may be more.
queued_entries() {
  local _folder _apply
  for _folder in "$V/$C/queue"/[0-9]*~*; do
    set -- "$_folder"/c[0-9]*
    [ -e "$1" ] || continue
    _apply=${_folder##*~}
    { cat "$@" 2>/dev/null || unreadable "$@"; } | awk -v apply="${_apply%-*}" '
      $1 == "unreadable" { print }
      $1 == "job" && $2 ~ /^[0-9a-f]+$/ && $3 ~ /^[0-9]+$/ { print "queued id=" $2 " n=" $3 " apply=" apply " ." }'
  done
}

# Says so of chunks that are still there: one that is gone by now was served.
unreadable() { # CHUNK…
  local _chunk
  for _chunk; do
    cat "$_chunk" >/dev/null 2>&1 || [ ! -e "$_chunk" ] || printf 'unreadable !\n'
  done
}

# The journal's bytes from an offset; from the start when it is another journal than the client knows, or was rolled back and
# has another line before the offset by now.
journal_from() { # GENERATION OFFSET MARK
  local _line _now _size _from
  { read -r _line <"$V/$C/journal"; } 2>/dev/null || return 0
  case $_line in 'journal gen='*' .') ;; *) return 0 ;; esac
  _now=${_line#journal gen=}
  _now=${_now% .}
  _size=$(wc -c <"$V/$C/journal")
  _from=$2
  { [ "$1" = "$_now" ] && [ "$_from" -le "$_size" ]; } 2>/dev/null && has_mark "$_from" "$3" || _from=0
  printf 'journal gen=%s from=%s bytes=%s .\n' "$_now" "$_from" "$((_size - _from))"
  tail -c "+$((_from + 1))" "$V/$C/journal" | head -c "$((_size - _from))"
}

# Whether the journal's last line before the offset has this mark, see `JournalPosition` of the client.
has_mark() { # OFFSET MARK
  local _start _sum
  [ "$1" != 0 ] || return 0
  _start=$(($1 - MARKED))
  [ $_start -ge 0 ] || _start=0
  _sum=$(tail -c "+$((_start + 1))" "$V/$C/journal" | head -c "$(($1 - _start))" | tail -n 1 | sha256sum) || return 1
  case $_sum in "$2"*) return 0 ;; esac
  return 1
}

# The environment that the account's login shell would give, asked of that shell, which may print what it likes.
verb_account() { # [PROGRAM…]
  local _user _entry _shell _login _path _program
  _user=$(id -un)
  _entry=$(awk -F: -v user="$_user" '$1 == user' /etc/passwd)
  [ -n "$_entry" ] || _entry=$(getent passwd "$_user" 2>/dev/null)
  _shell=${_entry##*:}
  [ -x "$_shell" ] || _shell=/bin/sh
  # What its start-up files leave running may hold its output for ever: that is read up to the mark, and not for ever. The sed
  # of busybox reads one line ahead.
  # shellcheck disable=SC2016 # a text for another shell
  _login=$(
    {
      umask "$ACCOUNT_UMASK" && env -i HOME="$HOME" USER="$_user" LOGNAME="$_user" SHELL="$_shell" TERM=dumb \
        PATH=/usr/local/bin:/usr/bin:/bin timeout 10 "$_shell" -l -c \
        'printf "\nsp-path:%s\nsp-umask:" "$PATH"; umask; env; printf "\nsp-env-end\n\n"' </dev/null 2>/dev/null
    } | timeout 12 sed '/^sp-env-end$/q'
  )
  _path=$(printf '%s\n' "$_login" | sed -n 's/^sp-path://p' | tail -n 1)
  printf 'account HOME=%s\n' "$HOME"
  printf 'account umask=%s\n' "$ACCOUNT_UMASK"
  printf '%s\n' "$_login" | sed -n 's/^sp-umask:\([0-7][0-7]*\)$/account login-umask=\1/p' | tail -n 1
  printf 'account USER=%s\n' "$_user"
  printf 'account SHELL=%s\n' "$_shell"
  printf 'account PATH=%s\n' "${_path:-$PATH}"
  printf '%s\n' "$_login" | sed -n -e '1,/^sp-path:/d' -e 's/^LANG=/account LANG=/p' -e 's/^TZ=/account TZ=/p' \
    -e 's/^TMPDIR=/account TMPDIR=/p'
  root_facts account
  for _program; do
    (PATH=${_path:-$PATH} && command -v "$_program" >/dev/null) || printf 'account missing=%s\n' "$_program"
  done
}

# Takes over the specs of one apply from stdin: lines `batch …`, `common`-text, `hosts JSON`, `client JSON`, `setup …` where the jobs need
# one, `job …`, then, where there are secrets, `secrets`, their lines and `secrets-end`. Checked by hash before anything can
# start, the secrets by that last line, since a hash would tell of them; handed over once, however often it is asked.
verb_hand_over() { # INSTANCE CLIENT BATCH SHA256 SLOTS [ROOT_ID|none]
  local _client _batch _in _secret _sum
  is_instance "$1" && is_name "$2" && is_name "$3" && is_number "$5" || exit 64
  is_meant_for_us "${6-none}" || return 0
  C=$1 _client=$2 _batch=$3
  make_instance || exit 73
  # From inside the queue: what is taken over goes to the root it is meant for, never to one that comes in its place by now.
  cd "$V/$C/queue" || exit 73
  is_same_root || {
    refuse_root
    return
  }
  _in=in.$_batch.$$
  mkdir "$_in" || exit 73
  # Secrets go past the disk. Its path goes past awk's reading of backslashes.
  close_secrets
  _secret=$SECRETS/$ROOTID.$C.$_batch
  SP_SECRET="$_secret.$$" awk -v batch="$_in/all" '
    NR == 1 { wanted = / secrets=1 / }
    secrets && $0 == "secrets-end" { whole = 1; next }
    secrets { print >ENVIRON["SP_SECRET"]; next }
    $0 == "secrets" { secrets = 1; next }
    { print >batch }
    END { if (wanted && !whole) print "cut off" >batch }' && _sum=$(sha256sum <"$_in/all") || refuse_batch
  [ "${_sum%% *}" = "$4" ] || {
    rm -rf "$_in" "$_secret.$$"
    printf 'refused damaged .\n'
    return
  }
  clock_base
  to_clock "$CS"
  printf '%s\n' "$5" "$T" >"$_in/slots" && awk -v folder="$_in" '
    NR <= 2 { print >(folder "/common"); next }
    !jobs && sub(/^hosts /, "") { print >(folder "/hosts"); next }
    !jobs && sub(/^client /, "") { print >(folder "/client"); next }
    !jobs && $1 == "setup" { print >(folder "/setup"); next }
    { if (jobs % 32 == 0) { if (name) close(name); name = sprintf("%s/c%06d", folder, jobs / 32) }
      jobs++
      print >name }' "$_in/all" && rm -f "$_in/all" && make_durable "$_in"/* "$_in" || refuse_batch
  exec 5>>.lock
  flock 5
  keep_hosts "$_in/hosts" || {
    rm -rf "$_in" "$_secret.$$"
    printf 'refused hosts .\n'
    return
  }
  [ ! -s "$_in/client" ] || keep_client "$_in/client" "$_client" || refuse_batch
  set -- [0-9]*~"$_batch" "$5"
  if [ -e "$1" ] || [ -e "$V/$C/withdrawn/$_batch" ]; then
    rm -rf "$_in"
    # It was taken before; secrets may be gone since then, with a reboot.
    [ -e "$1" ] && [ -e "$_secret.$$" ] && [ ! -e "$_secret" ] && mv "$_secret.$$" "$_secret"
    rm -f "$_secret.$$"
  else
    [ ! -e "$_secret.$$" ] || mv "$_secret.$$" "$_secret" || refuse_batch
    next_number
    mv "$_in" "$NUMBER~$_batch" && make_durable . || refuse_batch
  fi
  exec 5>&-
  kick "$2"
  printf 'taken .\n'
}
# What is meant for a root that was here before may have begun there, and nobody knows.
is_meant_for_us() { # ROOT_ID|none
  case $1 in none | "$ROOTID") return 0 ;; esac
  refuse_root
  return 1
}
refuse_root() {
  printf 'refused root .\n'
}
refuse_batch() {
  rm -rf "$_in" "$_secret.$$"
  exit 73
}
# Keeps the list of hosts that this hand-over was dealt by, before anything of it can start: by the lists of all hand-overs
# a client finds out which host may have a job. They are never forgotten; fails where they would be too many.
keep_hosts() { # FILE
  local _lists
  [ -s "$1" ] && ! grep -qxFf "$1" "$V/$C/hosts" 2>/dev/null || return 0
  _lists=$V/$C/hosts.$$
  { [ ! -e "$V/$C/hosts" ] || cat "$V/$C/hosts"; } >"$_lists" && cat "$1" >>"$_lists" || refuse_lists
  [ "$(wc -c <"$_lists")" -le $HOSTS_MAX ] || {
    rm -f "$_lists"
    return 1
  }
  make_durable "$_lists" && mv "$_lists" "$V/$C/hosts" && make_durable "$V/$C" || refuse_lists
}
refuse_lists() {
  rm -f "$_lists"
  refuse_batch
}
# Remembers who handed over: its line takes the place of what it said before.
keep_client() { # FILE CLIENT
  local _clients _client
  _clients=$V/$C/clients
  [ -d "$_clients" ] || mkdir "$_clients" || return 1
  mv "$1" "$_clients/$2" || return 1
  # Work trees that were made for one run each would be kept for ever.
  # shellcheck disable=SC2012 # the names are words of ours
  ls -t -- "$_clients" | tail -n "+$((CLIENTS_MAX + 1))" | while read -r _client; do
    ! is_name "$_client" || rm -f "$_clients/$_client"
  done
}
# -> NUMBER: behind the last hand-over of the queue, the folder we are in. What a hand-over left that was cut short goes.
next_number() {
  local _folder
  NUMBER=0
  for _folder in [0-9]*~*; do
    [ ! -d "$_folder" ] || NUMBER=${_folder%%~*}
  done
  hundredths "$NUMBER."
  NUMBER=$(printf %08d $((H + 1)))
  for _folder in in.*; do
    [ ! -d "$_folder" ] || [ -d "/proc/${_folder##*.}" ] ||
      rm -rf "$_folder" "$SECRETS/$ROOTID.$C.${_folder#in.}"
  done
}

# Makes the folder of the instance; its mark comes last, so that who sees it finds the rest.
make_instance() { # uses C
  local _folder
  for _folder in "" /queue /jobs /withdrawn; do
    [ -d "$V/$C$_folder" ] || mkdir -p "$V/$C$_folder" || return 1
  done
  [ -e "$V/$C/instance" ] ||
    { printf '%s\n' "$C" >"$V/$C/instance.$$" && mv "$V/$C/instance.$$" "$V/$C/instance"; } || return 1
  have_journal && make_durable "$V/$C/instance" "$V/$C" "$V"
}

random_word() {
  head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n'
  printf '\n'
}

# A runner for each slot; one that is there already makes the new one its standby or sends it away.
kick() { # SLOTS
  local _k
  _k=0
  while [ $_k -lt "$1" ]; do
    start_runner $_k
    _k=$((_k + 1))
  done
}
verb_kick() { # SLOTS
  is_number "$1" || exit 64
  kick "$1"
}

# Takes whole hand-overs out of the queue; what they had not started is as if never handed over.
verb_withdraw() { # INSTANCE BATCH_OR_APPLY
  is_instance "$1" && is_name "$2" || exit 64
  C=$1 FAILED=0
  clock_base
  withdraw_batches "$2" || exit 73
  cancel_setup queue "$GRACE"
  [ $FAILED = 0 ] || refuse_unwritten
}

# Results taken over from one job to another: "NEW OLD" a line on stdin.
verb_accept() { # INSTANCE
  local _new _old
  is_instance "$1" || exit 64
  C=$1
  make_instance || exit 73
  while read -r _new _old; do
    is_id "$_new" && is_id "$_old" || continue
    mkdir -p "$V/$C/jobs/$_new" && printf '%s\n' "$_old" >"$V/$C/jobs/$_new/accepted.$$" &&
      mv "$V/$C/jobs/$_new/accepted.$$" "$V/$C/jobs/$_new/accepted" &&
      make_durable "$V/$C/jobs/$_new/accepted" "$V/$C/jobs/$_new" "$V/$C/jobs" || exit 73
    tell "accept id=$_new from=$_old ."
  done
}

# Everything the host knows of one job, for `sp explain`.
verb_evidence() { # INSTANCE ID
  local _link
  is_instance "$1" && is_id "$2" || exit 64
  C=$1 ID=$2
  clock_base
  # What machine, boot and root the records are compared with.
  [ ! -d "$V/$C/jobs/$ID" ] || printf 'now machine=%s boot=%s root=%s up=%s .\n' "$MACHINE" "$BOOT" "$ROOTID" "$UP"
  for _link in "$V/$C/jobs/$ID"/[1-9]*; do
    [ -h "$_link" ] || continue
    N=${_link##*/}
    load_attempt "$ID" "$N" || continue
    verdict
    printf 'attempt n=%s verdict=%s .\n' "$N" "$VERDICT"
    sed -n 's/^\(.* \.\)$/record \1/p' "$ATT/state"
    if is_free "$ATT/alive"; then printf 'lock name=alive held=no .\n'; else printf 'lock name=alive held=yes .\n'; fi
    if owner_gone; then printf 'lock name=runner held=no .\n'; else printf 'lock name=runner held=yes .\n'; fi
    [ -e "$V/$C/jobs/$ID/cancelled.$N" ] && printf 'mark name=cancelled n=%s .\n' "$N"
  done
  [ -e "$V/$C/jobs/$ID/accepted" ] && printf 'mark name=accepted from=%s .\n' "$(cat "$V/$C/jobs/$ID/accepted")"
  queued_entries | grep -F "id=$ID "
}

# The tmux session of a running attempt, made where it is not there.
verb_window() { # INSTANCE ID N
  is_instance "$1" && is_id "$2" && is_number "$3" || exit 64
  session_name "$1" "$2"
  tmux -L sp -f /dev/null has-session -t "=$SESSION" 2>/dev/null || open_window "$1" "$2" "$3" || exit 69
  printf 'window %s .\n' "$SESSION"
}
