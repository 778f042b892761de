#!/bin/sh
# corpus.sh KIND: writes a few MB of that kind of data to stdout, always the same on one machine.
set -eu
export LC_ALL=C
case $1 in
  # Prose and lists: licences and the list of installed packages.
  text) cat /usr/share/common-licenses/* /var/lib/dpkg/status ;;
  # Program text: the modules of the base system's Perl.
  perl)
    find /usr/lib/*/perl-base -name '*.p[lm]' -type f | sort | tr '\n' '\0' | xargs -0 cat
    ;;
  # Machine code.
  elf) cat /bin/bash /usr/bin/perl /usr/bin/dpkg ;;
  *)
    printf 'corpus.sh: no such corpus: %s\n' "$1" >&2
    exit 64
    ;;
esac
