# What a run needs of this host, as facts; the client judges them.

# A folder before the system's files.
SYSTEM=''
SYSTEM=${SP_SYSTEM_ROOT-} # for tests

# -> FS OPTIONS of the mount that PATH, without links, lies on: the one with the longest name, the last of several.
file_system() { # PATH
  local _mount
  _mount=$(SP_PATH=$1 awk '
    {
      # How the kernel writes what would end a word.
      gsub(/\\040/, " ", $2); gsub(/\\011/, "\t", $2); gsub(/\\134/, "\\", $2)
      below = $2 == "/" || $2 == ENVIRON["SP_PATH"] || index(ENVIRON["SP_PATH"], $2 "/") == 1
      if (below && length($2) >= best) { best = length($2); line = $3 " " $4 }
    }
    END { print line }' "$SYSTEM/proc/self/mounts" 2>/dev/null)
  FS=${_mount%% *}
  OPTIONS=${_mount#* }
}

# What an apply may be refused for: what the machine lacks, the file system of the root, and whether it takes a block.
root_facts() { # PREFIX
  local _room _lack
  file_system "$V"
  _room=yes
  { head -c 4096 /dev/zero >"$V/run/room.$$"; } 2>/dev/null || _room=no
  rm -f "$V/run/room.$$"
  shell_lacks
  for _lack in $LACKS; do
    printf '%s lacks=%s\n' "$1" "$_lack"
  done
  printf '%s fs=%s\n%s options=%s\n%s room=%s\n' "$1" "${FS:-unknown}" "$1" "$OPTIONS" "$1" $_room
}

# Facts of the host as `fact NAME=VALUE`.
verb_doctor() { # [PROGRAM…]
  local _program _memory
  clock_base
  to_clock "$CS"
  printf 'fact clock=%s\nfact path=%s\nfact uid=%s\n' "$T" "$V" "$(id -u)"
  for _program; do
    command -v "$_program" >/dev/null || printf 'fact missing=%s\n' "$_program"
  done
  ! command -v tmux >/dev/null || printf 'fact tmux=%s\n' "$(tmux -V 2>/dev/null | head -n 1)"
  ! command -v rsync >/dev/null || printf 'fact rsync=%s\n' "$(rsync --version 2>/dev/null | head -n 1)"
  root_facts fact
  # Blocks for people, size of a block, inodes in all (some file systems have no number) and free.
  printf 'fact free=%s\n' "$(stat -f -c '%a %S %c %d' "$V" 2>/dev/null)"
  printf 'fact locks=%s\n' "$(try_locks)"
  printf 'fact secrets=%s\n' "$SECRETS"
  # Somebody else has taken the place where they would lie, or may write to it.
  _memory=$(place_in_memory)
  { [ ! -e "$_memory" ] && [ ! -h "$_memory" ]; } || is_alone "$_memory" || printf 'fact taken=%s\n' "$_memory"
  printf 'fact logout=%s\n' "$(at_logout)"
  strays
}

# Whether one process keeps another out: `first` when it does, `first second` when not, nothing when locks fail.
try_locks() {
  command -v flock >/dev/null || return 0
  # shellcheck disable=SC2016 # a text for another shell
  timeout 5 flock -n "$V/run/lock.$$" "$SP_SH" -c '
    printf first
    flock -n "$1" true && printf " second"' sh "$V/run/lock.$$" 2>/dev/null
  rm -f "$V/run/lock.$$"
}

# What systemd does with what is left when the last login ends: `kills`, `lingers` (it would, but not with this user), or
# `keeps`. A file of a later folder wins, and drop-ins over the file.
at_logout() {
  local _s _last
  _s=$SYSTEM
  [ -d "$_s/run/systemd/system" ] || {
    echo keeps
    return
  }
  _last=$(cat "$_s"/usr/lib/systemd/logind.conf "$_s"/etc/systemd/logind.conf \
    "$_s"/usr/lib/systemd/logind.conf.d/*.conf "$_s"/run/systemd/logind.conf.d/*.conf \
    "$_s"/etc/systemd/logind.conf.d/*.conf 2>/dev/null | sed -n 's/^[ 	]*KillUserProcesses[ 	]*=[ 	]*//p' | tail -n 1)
  case $_last in
    [yY1tT]* | [oO][nN]*)
      if [ -e "$_s/var/lib/systemd/linger/$(id -un)" ]; then echo lingers; else echo kills; fi
      ;;
    *) echo keeps ;;
  esac
}

# Runners that serve nobody any more, as `fact stray=PID WHY`: their root is gone, or they are of another version of this
# script and nothing is queued.
strays() {
  local _file _pid _shell _script _verb _root _slot
  grep -ls '/v2/bin/[0-9a-f]' /proc/[0-9]*/cmdline 2>/dev/null | while read -r _file; do
    _pid=${_file#/proc/}
    _pid=${_pid%/*}
    # A runner leads its session; its helpers do not.
    [ -O "/proc/$_pid" ] && process "$_pid" && [ "$P_SID" = "$_pid" ] || continue
    tr '\0' '\n' <"$_file" 2>/dev/null | {
      read -r _shell && read -r _script && read -r _verb && read -r _root && read -r _slot &&
        [ "$_verb" = runner ] && [ -e "/proc/$_pid/fd/4" ] || exit 0
      # In the root's place may be another one; the lock that a runner holds is of its own.
      if [ ! "/proc/$_pid/fd/4" -ef "$_root/v2/run/runner.$_slot" ]; then
        printf 'fact stray=%s gone\n' "$_pid"
      elif [ "$_root" = "$ROOT" ] && [ "${_script##*/}" != "$VERSION" ] && ! is_queued; then
        printf 'fact stray=%s old\n' "$_pid"
      fi
    }
  done
}
is_queued() {
  local _chunk
  for _chunk in "$V"/*/queue/[0-9]*~*/c[0-9]*; do
    [ ! -e "$_chunk" ] || return 0
  done
  return 1
}
