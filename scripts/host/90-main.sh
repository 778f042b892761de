# sp-host VERB ROOT NONCE ARGUMENTS…; `runner`, `view` and `index` are for this script itself and answer nobody,
# nor does `shell`, which is for a person.
ROOT=${2-}
case $ROOT in
  # A list of processes is searched for the root's path, line by line.
  *"$NL"*) exit 64 ;;
  /*) ;;
  *) exit 64 ;;
esac

# Enters the root, and sees to what every verb stands on.
enter() {
  local _folder _program _missing
  _missing=
  # What only jobs need is told in the answer to a probe.
  for _program in awk cat grep head id ls mkdir mv rm sed sort tail tr wc xargs; do
    command -v $_program >/dev/null || _missing=$_missing,$_program
  done
  [ -z "$_missing" ] || cannot find "${_missing#,}"
  cd "$ROOT/v2" || exit 66
  V=$(pwd -P)
  # Locks of the slots are per user and machine, in one place whatever the root.
  machine_now
  boot_now
  SLOTS=$HOME/.local/share/sp/v2/slots/$MACHINE
  for _folder in "$V/run" "$SLOTS"; do
    [ -d "$_folder" ] || mkdir -p "$_folder" || cannot make "$_folder"
    [ -w "$_folder" ] || cannot "write to" "$_folder"
  done
  [ -s "$V/root-id" ] || {
    random_word >"$V/root-id.$$" && make_durable "$V/root-id.$$" &&
      { ln "$V/root-id.$$" "$V/root-id" 2>/dev/null || [ -s "$V/root-id" ]; } &&
      rm -f "$V/root-id.$$" && make_durable "$V"
  } || exit 73
  # The one of the folder that was entered, wherever that is by now.
  { read -r ROOTID <root-id; } 2>/dev/null && is_name "$ROOTID" || exit 73
  find_secrets
}

# Tells in place of an answer what no verb can do without: it stays so until somebody puts it right.
cannot() { # VERB PATH|PROGRAM,… ; uses NONCE
  [ -z "${NONCE-}" ] || printf '\nsp-cannot %s %s %s\n' "$NONCE" "$1" "$2"
  exit 73
}

# -> SECRETS: the place of this boot. One that was found unfit meanwhile, and one of an earlier boot, gives way.
find_secrets() {
  local _boot
  { read -r _boot SECRETS <"$V/run/secrets"; } 2>/dev/null && [ "$_boot" = "$BOOT" ] &&
    [ -d "$SECRETS" ] && [ -O "$SECRETS" ] && [ ! -h "$SECRETS" ] || SECRETS=$(place_secrets)
}

# Before something is put there or taken from there: a folder that others may enter is left for the next candidate, and what
# is ours in it is removed, for somebody may have read it.
close_secrets() {
  is_alone "$SECRETS" || {
    [ ! -O "$SECRETS" ] || remove "$SECRETS/$ROOTID".*
    SECRETS=$(place_secrets)
  }
}

# Whether a folder is ours, no link, and closed to everybody else.
is_alone() { # FOLDER
  [ -d "$1" ] && [ -O "$1" ] && [ ! -h "$1" ] || return 1
  # No find of busybox is sure to know -perm.
  # shellcheck disable=SC2012
  case $(ls -ld "$1/." 2>/dev/null) in d???------*) return 0 ;; esac
  return 1
}

# Chooses where secrets lie until the next boot, and prints it: in memory where that is possible, at the place of all roots of
# this user; where somebody else has taken that, at one of a name that nobody could know; else in the root. One at a time, so
# that whoever puts them there and whoever takes them agree. Looked for once a boot: the list of mounts may be long.
place_secrets() {
  local _boot _place _memory
  _memory=$(place_in_memory)
  { command exec 5>>"$V/run/secrets.lock" && flock 5; } 2>/dev/null
  { read -r _boot _place <"$V/run/secrets"; } 2>/dev/null && [ "$_boot" = "$BOOT" ] && is_alone "$_place" || {
    _place=
    if [ -w /dev/shm ] && grep -q ' /dev/shm tmpfs ' /proc/mounts 2>/dev/null; then
      mkdir "$_memory" 2>/dev/null
      _place=$_memory
      is_alone "$_place" || _place=$(mktemp -d "$_memory.XXXXXXXX" 2>/dev/null)
    fi
    [ -n "$_place" ] || {
      _place=$V/secrets
      mkdir "$_place" 2>/dev/null
      is_alone "$_place" || chmod 700 "$_place"
    }
    { printf '%s %s\n' "$BOOT" "$_place" >"$V/run/secrets.$$" && mv "$V/run/secrets.$$" "$V/run/secrets"; } 2>/dev/null || {
      rm -f "$V/run/secrets.$$"
      # Nobody else would find a name that nobody could know.
      case $_place in "$_memory".*) rmdir "$_place" && _place=$V/secrets ;; esac
    }
  }
  printf '%s\n' "$_place"
}

# Where secrets of all roots of this user lie, if nobody else has taken it.
place_in_memory() {
  printf '/dev/shm/sp-%s\n' "$(id -u)"
}

# Whether the root is still the one that was entered: a folder may come in its place at any time. Whoever writes looks after
# it has gone into the folder it writes to.
is_same_root() {
  local _root
  { read -r _root <"$V/root-id"; } 2>/dev/null && [ "$_root" = "$ROOTID" ]
}

# Answers one question, between two lines that carry its word.
answer() { # VERB NONCE ARGUMENTS…
  local _verb
  case $1 in
    probe | wait | account | hand_over | kick | cancel | move | withdraw | accept | ends | adopt | evidence | window | log | logs | \
      snapshot_begin | snapshot_fill | snapshot_publish | snapshot_drop | snapshot_set_up | doctor | shell_secrets | gc) ;;
    *) exit 64 ;;
  esac
  _verb=$1
  NONCE=$2
  is_name "$NONCE" || exit 64
  shift 2
  printf 'sp-begin %s\n' "$NONCE"
  "verb_$_verb" "$@"
  printf 'sp-end %s\n' "$NONCE"
}

# Answers question after question, until there are no more. Each is a line, the number of bytes of its input and its words
# as the shell reads them, and then the input. Each is answered in a process of its own, as if it were the only one; the
# first that is not answered to its end is the last.
talk() {
  local _bytes _words
  while read -r _bytes _words; do
    case $_bytes in '' | *[!0-9]*) exit 64 ;; esac
    if [ "$_bytes" = 0 ]; then
      (answer_line "$_words") </dev/null || exit
    else
      head -c "$_bytes" | {
        (answer_line "$_words") || exit
        # What the verb had no use for is not the next question.
        cat >/dev/null
      } || exit
    fi
  done
}

answer_line() { # WORDS
  # Who is to die at a step: this process, not the one that reads the questions. # for tests
  read -r SELF_PID _ </proc/self/stat # for tests
  eval "set -- $1"
  NONCE=${2-}
  is_name "$NONCE" || exit 64
  enter
  answer "$@"
}

# Whether a start-up file of the account, or the server, has left a file open above 9. The shell's own are closed at an exec:
# the flag 02000000 in octal, see open(2) and /proc/PID/fdinfo in proc(5).
is_left_open() {
  local _file _name _flags
  for _file in "/proc/$$/fdinfo"/[1-9][0-9]*; do
    while read -r _name _flags; do
      case $_name$_flags in
        flags:*[2367]??????) ;;
        flags:*) return 0 ;;
      esac
    done <"$_file"
  done 2>/dev/null
  return 1
}

# Begins this conversation again without such files: runners and jobs would hold them as long as they live. No other shell than
# bash is sure to have words for a descriptor above 9. (The others are closed where a runner is started.)
talk_without_open_files() {
  SP_UMASK=$ACCOUNT_UMASK
  export SP_UMASK
  # Without --norc it would read ~/.bashrc once more, since it runs below sshd.
  # shellcheck disable=SC2016 # a text for another shell
  exec bash --norc -c '
    for fd in /proc/$$/fd/*; do
      fd=${fd##*/}
      [ "$fd" -lt 3 ] || eval "exec $fd>&-"
    done
    exec "$@"' sp-talk /bin/sh "$SELF" talk "$ROOT" closed
}

case ${1-} in
  runner | view | index | shell)
    enter
    _verb=$1
    shift 2
    "verb_$_verb" "$@"
    ;;
  talk)
    [ "${3-}" = closed ] || ! is_left_open || ! command -v bash >/dev/null || talk_without_open_files
    talk
    ;;
  *)
    _verb=${1-} NONCE=${3-}
    is_name "$NONCE" || exit 64
    enter
    shift 3
    answer "$_verb" "$NONCE" "$@"
    ;;
esac
