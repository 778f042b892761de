# Records, times and processes, without starting a process where the shell can do it alone.
# A function says what it takes behind its name, and what it sets as `-> NAME`.

# Seconds with two decimals -> H, the same in hundredths. No leading zero: that would be octal.
hundredths() { # SECONDS
  H=${1%.*}${1#*.}
  while :; do
    case $H in
      0?*) H=${H#0} ;;
      *) return ;;
    esac
  done
}

# -> UP as the kernel writes it, CS the same in hundredths of a second.
uptime_now() {
  read -r UP _ </proc/uptime || UP=0.00
  hundredths "$UP"
  CS=$H
}

# Learns once how the host's clock stands to its uptime: BASE hundredths of a second. For display only.
clock_base() {
  local _date _fraction
  _date=$(date +%s.%N)
  uptime_now
  case $_date in
    *[!0-9.]* | '') _date=$(date +%s).00 ;;
  esac
  _fraction=${_date#*.}00
  BASE=$((${_date%.*}${_fraction%"${_fraction#??}"} - CS))
}

# Hundredths since boot -> T as unix seconds with two decimals.
to_clock() { # CS
  T=$((BASE + $1))
  T=${T%??}.${T#"${T%??}"}
}

# Hundredths -> X as seconds with two decimals.
to_seconds() { # HUNDREDTHS
  X=$(($1 / 100)).$(($1 / 10 % 10))$(($1 % 10))
}

# PID -> P_START (ticks since boot, 0: no such process), P_SID, P_STATE.
process() { # PID
  local _stat
  P_START=0 P_PARENT=0 P_SID=-1 P_STATE=X
  { read -r _stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  _stat=${_stat##*) }
  set -f
  # shellcheck disable=SC2086 # the fields of the file
  set -- $_stat
  set +f
  P_STATE=$1 P_PARENT=$2 P_SID=$4 P_START=${20:-0}
}

# -> BOOT: the kernel's boot and the life of pid 1, so that the restart of a container is told from a reboot.
boot_now() {
  local _file
  _file=/proc/sys/kernel/random/boot_id
  _file=${SP_BOOT_ID_FILE:-$_file} # for tests
  read -r BOOT <"$_file" || BOOT=unknown
  process 1
  BOOT=$BOOT.$P_START
}

# -> MACHINE: the system's own id, else the host name.
machine_now() {
  local _file _first
  _first=/etc/machine-id
  _first=${SP_MACHINE_ID_FILE:-$_first} # for tests
  MACHINE=
  for _file in "$_first" /var/lib/dbus/machine-id; do
    [ -r "$_file" ] && read -r MACHINE <"$_file" && break
  done
  [ -n "$MACHINE" ] || MACHINE=$(uname -n)
  case $MACHINE in
    *[!A-Za-z0-9._-]*) MACHINE=unknown ;;
  esac
}

# -> F, the value of the field NAME; empty, and a failure, where it is missing.
field() { # NAME RECORD
  F=${2#*" $1="}
  [ "$F" = "$2" ] && {
    F=
    return 1
  }
  F=${F%% *}
}

# The same for awk.
# shellcheck disable=SC2016 # a text for awk
FIELD_AWK='
function field(name, record, at) {
  at = index(record, " " name "=")
  if (!at) return ""
  record = substr(record, at + length(name) + 2)
  sub(/ .*/, "", record)
  return record
}
'

# What an attempt ran from, as fields of its records -> RAN_FROM. A value that may not stand in a record is `none`.
ran_from() { # SNAPSHOT CODE GIT DIRTY
  local _key
  RAN_FROM=
  for _key in snapshot code git dirty; do
    is_name "$1" || set -- none "$2" "$3" "$4"
    RAN_FROM="$RAN_FROM${RAN_FROM:+ }$_key=$1"
    set -- "$2" "$3" "$4" ''
  done
}

# Reads a state file: R_CLAIM R_START R_INIT R_PREPARE R_FOUND R_EXIT R_END hold the first whole record of the kind;
# R_STOP the first stop that stands before the exit.
read_state() { # FILE
  local _line
  R_CLAIM='' R_START='' R_STOP='' R_INIT='' R_PREPARE='' R_FOUND='' R_EXIT='' R_END=''
  [ -r "$1" ] || return 1
  while IFS= read -r _line || [ -n "$_line" ]; do
    case $_line in
      'claim '*' .') R_CLAIM=${R_CLAIM:-$_line} ;;
      'start '*' .') R_START=${R_START:-$_line} ;;
      'stop '*' .') [ -n "$R_EXIT" ] || R_STOP=${R_STOP:-$_line} ;;
      'init '*' .') R_INIT=${R_INIT:-$_line} ;;
      'prepare '*' .') R_PREPARE=${R_PREPARE:-$_line} ;;
      'found '*' .') R_FOUND=${R_FOUND:-$_line} ;;
      'exit '*' .') R_EXIT=${R_EXIT:-$_line} ;;
      'end '*' .') R_END=${R_END:-$_line} ;;
    esac
  done <"$1"
  [ -n "$R_CLAIM" ]
}

# Reads a list from stdin whose last line is `.` -> LIST, without it. One that was cut off is none.
read_list() {
  LIST=$(cat)
  case $NL$LIST in *"$NL.") ;; *) exit 64 ;; esac
  LIST=${LIST%.}
}

# Ids, attempts, slots and names as they may stand in a path.
is_id() { # WORD
  case $1 in
    '' | *[!0-9a-f]*) return 1 ;;
  esac
  [ ${#1} -eq 32 ]
}
is_number() { # WORD, from 1
  case $1 in
    '' | 0* | *[!0-9]*) return 1 ;;
  esac
  [ ${#1} -le 9 ]
}
is_slot() { # WORD
  [ "$1" = 0 ] || is_number "$1"
}
# The folder of one living copy of a campaign: its name and its id.
is_instance() { # NAME~ID
  case $1 in
    *~*~*) return 1 ;;
    *~*) is_name "${1%~*}" && is_name "${1#*~}" ;;
    *) return 1 ;;
  esac
}
is_name() { # WORD
  case $1 in
    '' | -* | *[!A-Za-z0-9_-]*) return 1 ;;
  esac
  [ ${#1} -le 100 ]
}
