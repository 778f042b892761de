# Snapshots: trees of files that were sent once and are never changed after. The client fills a folder in.TOKEN and asks
# to have it published. Below CAMPAIGN/snapshots:
#   NAME/  NAME.2/ …   named by content; NAME.2 was made anew because a job had changed files of NAME
#     tree/            the files, which nobody may write, in folders that may be written
#     paths            the files' paths, each ended by NUL
#     looks            hash of how they look: kind, rights, size, time
#     setup            what ran there last, see 72-setup.sh
#     set-up           its setup ended well: folders that are its own may be taken from it
#   in.TOKEN/          on its way; `owner` says who fills it: a process of this host, or 0

is_snapshot() { # WORD
  is_id "${1%%.*}" || return 1
  case $1 in
    *.*) is_number "${1#*.}" ;;
  esac
}

# How the files of a list look, a line each, in the order of the list: kind and rights, size, time.
list_looks() { # FOLDER
  [ ! -s "$1/paths" ] || { cd "$1/tree" && xargs -0 stat -c '%f %s %Y' <"$1/paths"; } 2>/dev/null
}

# The same, hashed. -> LOOKS
looks_of() { # FOLDER
  LOOKS=$(list_looks "$1" | sha256sum)
  LOOKS=${LOOKS%% *}
}

# Whether no file of a snapshot was changed in place.
is_intact() { # FOLDER
  local _known
  { read -r _known <"$1/looks"; } 2>/dev/null || return 1
  looks_of "$1"
  [ "$LOOKS" = "$_known" ]
}

# -> CURRENT, the folder that holds the snapshot as it was sent; empty where none does, then FREE is the next to make
# and CHANGED the last that was changed.
current_snapshot() { # NAME
  local _number
  CURRENT='' CHANGED=none FREE=$1 _number=1
  while [ -e "$_all/$FREE" ]; do
    if is_intact "$_all/$FREE"; then
      CURRENT=$FREE
      return
    fi
    CHANGED=$FREE
    _number=$((_number + 1))
    FREE=$1.$_number
  done
}

# -> NEWEST, the newest whole snapshot that has the FILE.
newest_snapshot() { # FILE
  local _folder
  NEWEST=none
  # shellcheck disable=SC2012 # the names are hex digits
  for _folder in $(cd "$_all" && ls -t -- *"/$1" 2>/dev/null | head -n 3); do
    _folder=${_folder%%/*}
    is_snapshot "$_folder" && is_intact "$_all/$_folder" || continue
    NEWEST=$_folder
    return
  done
}

# Removes what was never published and is filled by nobody any more.
drop_unpublished() {
  local _in
  for _in in "$_all"/in.*; do
    [ ! -d "$_in" ] || ! is_abandoned "$_in" || remove "$_in"
  done
}
is_abandoned() { # FOLDER
  local _pid _start _boot
  # A snapshot on its way out is of the process that looks whether it may go.
  case $1 in
    */in.gone-*)
      _pid=${1##*/in.gone-}
      [ ! -d "/proc/${_pid%%-*}" ]
      return
      ;;
  esac
  _pid=0 _start=0 _boot=none
  [ ! -r "$1/owner" ] || read -r _pid _start _boot <"$1/owner"
  if is_number "$_pid"; then
    process "$_pid"
    [ "$P_START" != "$_start" ] || [ "$_boot" != "$BOOT" ]
  else
    # Filled from elsewhere: for an hour nobody has written there.
    [ -z "$(find "$1" -mmin -60 2>/dev/null | head -n 1)" ]
  fi
}

# Whether the host has the tree NAME; else a folder for it, and the snapshot that it shares unchanged files with.
verb_snapshot_begin() { # INSTANCE NAME TOKEN PID
  local _all _seed
  is_instance "$1" && is_id "$2" && is_name "$3" && is_slot "$4" || exit 64
  C=$1
  _all=$V/$C/snapshots
  drop_unpublished
  current_snapshot "$2"
  # Whoever asks is about to use it. One that went this moment, with `gc`, is made anew.
  if [ -n "$CURRENT" ] && { true >"$_all/$CURRENT/asked" || [ -d "$_all/$CURRENT/tree" ]; } 2>/dev/null; then
    printf 'have folder=%s .\n' "$CURRENT"
    return
  fi
  make_instance || exit 73
  [ -d "$_all" ] || mkdir "$_all" || [ -d "$_all" ] || exit 73
  mkdir "$_all/in.$3" || exit 73
  P_START=0
  [ "$4" = 0 ] || process "$4"
  # Where folders are taken over, what is shared must be shared with the same tree: a file that is no link to it differs.
  newest_snapshot set-up
  _seed=$NEWEST
  [ "$_seed" != none ] || newest_snapshot looks
  printf '%s %s %s\n' "$4" "$P_START" "$BOOT" >"$_all/in.$3/owner" &&
    printf '%s\n' "$_seed" >"$_all/in.$3/seed" && mkdir "$_all/in.$3/tree" || exit 73
  printf 'make folder=%s changed=%s previous=%s .\n' "$FREE" "$CHANGED" "$NEWEST"
}

# Unpacks files into the folder TOKEN. Stdin: a compressed archive, see src/host/sync/pack.rs. No owner is taken over; folders
# that are missing get the rights that are left by our umask. What it cannot do it says in the words of tar.
verb_snapshot_fill() { # INSTANCE TOKEN
  local _in
  is_instance "$1" && is_name "$2" || exit 64
  _in=$V/$1/snapshots/in.$2
  if [ ! -d "$_in/tree" ]; then
    printf 'gone .\n'
  elif ! command -v tar >/dev/null || ! command -v gzip >/dev/null; then
    printf 'lacks tools .\n'
  elif unpack "$_in/tree"; then
    fault snapshot-fill # for tests
    printf 'filled .\n'
  else
    printf 'refused .\n%.1000s\n' "$SAID"
  fi
}

# True when both programs ended well. -> SAID, what they complained of
unpack() { # FOLDER
  local _ended
  SAID=$(
    # The account's options for them are not ours.
    unset TAR_OPTIONS GZIP
    exec 4>&1
    # Not `tar -C`: GNU tar reads a backslash in that as more than itself.
    _ended=$({ { gzip -dc && printf g >&3; } | (cd "$1" && tar -xof - && printf t); } 3>&1 2>&4)
    [ "$_ended" = gt ]
  )
}

# Publishes what was sent, when it is whole. Stdin: a line "FILES FOLDERS"; the folders that are its own, a line each; a
# line "MODE SIZE" for each file; the files' paths in the same order, each ended by NUL.
verb_snapshot_publish() { # INSTANCE NAME TOKEN
  local _all _in _writing _files _folders _from _wanted _same _found _seed _folder
  is_instance "$1" && is_id "$2" && is_name "$3" || exit 64
  C=$1
  _all=$V/$C/snapshots
  _in=$_all/in.$3
  if [ ! -d "$_in/tree" ]; then
    # Asked a second time, perhaps.
    current_snapshot "$2"
    if [ -n "$CURRENT" ]; then printf 'published folder=%s .\n' "$CURRENT"; else printf 'gone .\n'; fi
    return
  fi
  # The disk writes while the files are looked at; what comes after that is little.
  sync -f "$_in/tree" >/dev/null 2>&1 &
  _writing=$!
  cat >"$_in/sent" && read -r _files _folders <"$_in/sent" && is_slot "$_files" && is_slot "$_folders" || refuse_snapshot
  _from=$((_folders + 2))
  tail -n "+$((_from + _files))" "$_in/sent" >"$_in/paths" || refuse_snapshot
  _wanted=$(tail -n "+$_from" "$_in/sent" | head -n "$_files" | sha256sum)
  (list_looks "$_in") >"$_in/found"
  _same=$(cut -d ' ' -f 1,2 "$_in/found" | sha256sum)
  _found=$(find "$_in/tree" ! -type d -print0 | tr -dc '\000' | wc -c)
  if [ "$_same" != "$_wanted" ] || [ "$((_found))" != "$_files" ]; then
    # A list that the full disk has cut short says nothing of the files.
    echo >>"$_in/found" || refuse_snapshot
    rm -rf "$_in"
    printf 'incomplete files=%s of=%s .\n' "$((_found))" "$_files"
    return
  fi
  read -r _seed <"$_in/seed" || refuse_snapshot
  head -n "$((_folders + 1))" "$_in/sent" | tail -n +2 | while IFS= read -r _folder; do
    own_folder "$_folder" || exit 1
  done || refuse_snapshot
  if [ "$_folders" = 0 ] || [ "$_seed" = none ]; then
    LOOKS=$(sha256sum <"$_in/found")
    LOOKS=${LOOKS%% *}
  else
    touch_changed || refuse_snapshot
    looks_of "$_in"
  fi
  printf '%s\n' "$LOOKS" >"$_in/looks" && rm -f "$_in/sent" "$_in/found" "$_in/owner" "$_in/seed" || refuse_snapshot
  fault snapshot-filled # for tests
  wait "$_writing"
  sync -f "$_in/tree" 2>/dev/null || sync
  exec 5>>"$_all/.lock"
  flock 5
  current_snapshot "$2"
  if [ -n "$CURRENT" ]; then
    # Another client was faster.
    rm -rf "$_in"
  else
    mv "$_in" "$_all/$FREE" && make_durable "$_all" || exit 73
    CURRENT=$FREE
  fi
  exec 5>&-
  printf 'published folder=%s .\n' "$CURRENT"
}
refuse_snapshot() {
  rm -rf "$_in"
  exit 73
}

# A folder that is the snapshot's own: what the last one that was set up has there, else empty. Never through a link.
own_folder() { # PATH
  local _path _at _old _part
  _path=$1 _at=$_in/tree _old=$_all/$_seed/tree
  while [ -n "$_path" ]; do
    _part=${_path%%/*}
    case $_path in
      */*) _path=${_path#*/} ;;
      *) _path='' ;;
    esac
    case $_part in '' | . | ..) return 1 ;; esac
    _at=$_at/$_part _old=$_old/$_part
    [ ! -h "$_at" ] || return 1
    [ ! -h "$_old" ] || _old=/dev/null
    [ -n "$_path" ] || break
    [ -d "$_at" ] || mkdir "$_at" || return 1
  done
  if [ "$_seed" = none ] || [ ! -d "$_old" ] || [ ! -e "$_all/$_seed/set-up" ]; then
    [ -d "$_at" ] || mkdir "$_at"
  else
    # A copy, which costs no room where the file system can share blocks. Never a link: builds write in place.
    cp -a --reflink=auto "$_old" "$_at" 2>/dev/null || { rm -rf "$_at" && cp -a "$_old" "$_at"; }
  fi
}

# Files that differ from the tree whose folders were taken over get the present time: what was built there is older.
touch_changed() {
  (
    cd "$_in/tree" && [ -s "$_in/paths" ] || exit 0
    # shellcheck disable=SC2016 # a text for another shell
    xargs -0 "$SP_SH" -c '
      old=$1
      shift
      for file; do [ -h "$file" ] || [ "$file" -ef "$old/$file" ] || printf "%s\000" "$file"; done
    ' sp-differ "$_all/$_seed/tree" <"$_in/paths" >"$_in/differ" || exit 1
    [ ! -s "$_in/differ" ] || xargs -0 touch -c <"$_in/differ" || exit 1
    rm -f "$_in/differ"
  )
}

# Gives up a folder that is not going to be published.
verb_snapshot_drop() { # INSTANCE TOKEN
  is_instance "$1" && is_name "$2" || exit 64
  rm -rf "$V/$1/snapshots/in.$2"
}

# Notes that a snapshot's setup ended well, so that the next one starts from its folders.
verb_snapshot_set_up() { # INSTANCE FOLDER
  local _folder
  is_instance "$1" && is_snapshot "$2" || exit 64
  _folder=$V/$1/snapshots/$2
  [ -d "$_folder/tree" ] || exit 66
  true >"$_folder/set-up" && make_durable "$_folder/set-up" "$_folder" || exit 73
  printf 'noted .\n'
}
