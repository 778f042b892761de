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
}

# A start-up file may have put another program in the place of the shell that was asked for.
[ "${1-}" = "$N" ] || end refused reader "$0"
