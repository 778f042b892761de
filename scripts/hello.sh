#!/bin/sh
# What a host reached by ssh is told first, on the stdin of `/bin/sh -s WORD`: makes and checks the root, and says whether
# the host script is there. Before it the client puts a line that any shell can read, which tells that what is sent is read
# at all, `N=` (the word) and `VERSION=`, and scripts/host/05-shell.sh; behind it `R=` (the root), `look` and `finish`. Where
# that finds no script, the client sends it as a here-document for `cat >"$T"` and then `place`: a text that is cut off is
# never placed. Where all is there, the script goes on with this conversation.
# shellcheck disable=SC2154,SC2015 # the client sets them; `a && b || end` is meant so
# For the host script, which tells what an account's jobs get.
SP_UMASK=$(umask)
export SP_UMASK
umask 077
LC_ALL=C
export LC_ALL
NL='
'

# An answer, in its frame: start-up files may have printed before it.
say() { # WORD…
  printf '\nsp-begin %s\n%s\nsp-end %s\n' "$N" "$*" "$N"
}

end() { # WORD…
  say "$@"
  exit
}

# Without a value for a variable that the root names there is no root.
need() { # NAME VALUE
  [ -n "$2" ] || end refused unset "$1"
}

place() {
  sync "$T" 2>/dev/null || sync || end refused write
  mv "$T" "$B/$VERSION" || end refused write
  finish
}

finish() {
  if [ -s "$B/$VERSION" ]; then
    say "root $R${NL}shell ${SHELL-}"
    exec /bin/sh "$B/$VERSION" talk "$R"
  fi
  say bare
}

# Whether others may write to a folder by what `ls -ldn` says of it.
is_open() { # MODE
  case $1 in ?????w* | ????????w*) return 0 ;; esac
  return 1
}

# Says of each folder above the root whether somebody else could put another one in its place, as sshd does of ~/.ssh
# (StrictModes in sshd_config(5)): it belongs to somebody who is neither we nor root (nor has the whole machine), or others
# may write to it. With the sticky bit they may, since they can rename only what is theirs; and so may the account's own
# group, if nobody else is in it. Below a folder that nobody else can enter all is well. Links lead through two paths.
look_at_parents() { # in R, which is there
  P=$(cd "$R" && pwd -P) || end refused make
  U=$(id -u)
  O=$(owner_of_all)
  G=none
  # One look at all of them, since each costs a process; at each only where something is wrong.
  set -- /
  for D in "$R" "$P"; do
    while D=${D%/*} && [ -n "$D" ]; do
      set -- "$@" "$D"
    done
  done
  W=
  foreign_links
  [ -n "$W$(suspects "$@")" ] || return 0
  G=$(own_group)
  for D in "$R" "$P"; do
    set --
    while D=${D%/*} && [ -n "$D" ]; do
      set -- "$D" "$@"
    done
    for F in / "$@"; do
      S=$(suspects "$F")
      case $S in *closed) break ;; esac
      case "$W$NL" in *"$NL$S $F$NL"*) continue ;; esac
      [ -z "$S" ] || W="$W$NL$S $F"
    done
  done
  [ -z "$W" ] || end "refused parents$W"
}
# Adds links on the way to the root that belong to somebody else, who can put others in their place.
foreign_links() { # in W
  D=$R
  while [ -n "$D" ]; do
    if [ -h "$D" ]; then
      # shellcheck disable=SC2012
      S=$(ls -ldn "$D" | while read -r _ _ S _; do printf '%s' "$S"; done)
      case $S in 0 | "$U" | "$O") ;; *) W="$W${NL}foreign $D" ;; esac
    fi
    D=${D%/*}
  done
}
owner_of_all() {
  # shellcheck disable=SC2012
  ls -ldn /. | while read -r _ _ D _; do printf '%s' "$D"; done
}
# The number of the account's own group, where it has its name and no other member.
own_group() {
  D=$(id -g)
  S=$(id -un)
  [ "$(id -gn)" = "$S" ] || return 0
  W=$(getent group "$D" 2>/dev/null || grep "^[^:]*:[^:]*:$D:" /etc/group)
  case $W in *:*:"$D":"$S" | *:*:"$D":) ;; *) return ;; esac
  # It may be another account's own group as well.
  grep -v "^$S:" /etc/passwd | grep -q "^[^:]*:[^:]*:[^:]*:$D:" || printf '%s' "$D"
}
suspects() { # FOLDER… ; uses U O G
  for D; do
    shift
    set -- "$@" "$D/."
  done
  # shellcheck disable=SC2012
  ls -ldn "$@" 2>/dev/null | while read -r M _ D S _; do
    case $D in
      0 | "$U" | "$O") ;;
      *)
        printf foreign
        continue
        ;;
    esac
    case $M in
      ??????[!xs]??[!xt]*) [ "$G" = none ] || printf closed ;;
      ?????????[tT]*) ;;
      ????????w*) printf open ;;
      ?????w*) [ "$S" = "$G" ] || printf open ;;
    esac
  done
}

look() {
  case $R in
    *"$NL"*) end refused text ;;
    /*) ;;
    *) end refused relative ;;
  esac
  B=$R/v2/bin
  T=$B/$VERSION.$$
  shell_lacks
  [ -z "$LACKS" ] || end lacks "$LACKS"
  [ -d "$B" ] || mkdir -p "$B" || end refused make
  # What another user owns or may write to could be made to lie, or to run anything as us.
  for D in "$R" "$R/v2" "$B"; do
    [ -O "$D" ] || end refused owner
    # No find of busybox is sure to know -perm; the folder's name comes last.
    # shellcheck disable=SC2012
    ! is_open "$(ls -ld "$D/.")" || end refused mode
  done
  look_at_parents
}

# A start-up file may have put another program in the place of the shell that was asked for.
[ "${1-}" = "$N" ] || end refused reader "$0"
