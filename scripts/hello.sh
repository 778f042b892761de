#!/bin/sh
# What a host reached by ssh is told first, on the stdin of its /bin/sh: makes and checks the root, and says whether the
# host script is there. The client puts `N=` (a word for the frame), `VERSION=` and `R=` (the root) before it, and behind
# it `finish`; where that finds no script, the script as a here-document for `cat >"$T"` and then `place`: a text that is
# cut off is never placed. Where all is there, the script goes on with this conversation.
# shellcheck disable=SC2154,SC2015 # the client sets them; `a && b || end` is meant so
# For the host script, which tells what an account's jobs get.
SP_UMASK=$(umask)
export SP_UMASK
umask 077
LC_ALL=C
export LC_ALL

# An answer, in its frame: start-up files may have printed before it.
say() { # WORD…
  printf '\nsp-begin %s\n%s\nsp-end %s\n' "$N" "$*" "$N"
}

end() { # WORD…
  say "$@"
  exit
}

place() {
  sync "$T" 2>/dev/null || sync || end refused write
  mv "$T" "$B/$VERSION" || end refused write
  finish
}

finish() {
  if [ -s "$B/$VERSION" ]; then
    say root "$R"
    exec /bin/sh "$B/$VERSION" talk "$R"
  fi
  say bare
}

B=$R/v2/bin
T=$B/$VERSION.$$
case $R in
  /*) ;;
  *) end refused relative ;;
esac
[ -d "$B" ] || mkdir -p "$B" || end refused make
# What another user owns or may write to could be made to lie, or to run anything as us.
for D in "$R" "$R/v2"; do
  [ -O "$D" ] || end refused owner
  # shellcheck disable=SC2012 # no find of busybox is sure to know -perm; the folder's name comes last
  case $(ls -ld "$D/.") in
    ?????w* | ????????w*) end refused mode ;;
  esac
done
