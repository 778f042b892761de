#!/bin/sh
# compress.sh TOOL LEVEL DIR: compresses DIR/original to DIR/compressed, checks the way back, writes DIR/sizes.tsv.
set -eu
tool=$1 level=$2 dir=$3
[ -s "$dir/original" ] || { echo 'compress.sh: nothing to compress' >&2; exit 66; }
bytes() { wc -c < "$1" | tr -d ' '; }

case $tool in
  zstd) set -- zstd --single-thread -q ;;
  *) set -- "$tool" ;;
esac
"$@" "-$level" -c < "$dir/original" > "$dir/compressed"
"$@" -d -c < "$dir/compressed" | cmp - "$dir/original"

before=$(bytes "$dir/original") after=$(bytes "$dir/compressed")
printf 'tool\tlevel\tbytes\tcompressed\n%s\t%s\t%s\t%s\n' "$tool" "$level" "$before" "$after" > "$dir/sizes.tsv"
printf '%s -%s: %s -> %s bytes\n' "$tool" "$level" "$before" "$after"
