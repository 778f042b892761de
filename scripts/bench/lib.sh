# shellcheck shell=bash
# Sourced by the benchmarks. Every figure is a median; peers are measured in the same run, in turns; nothing is asserted.

bench_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
. "$bench_dir/../lib/packages.sh"
repo=$(cd -- "$bench_dir/../.." && pwd)

# Prints the comment at the top of the script that sourced this.
usage() {
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
  exit "${1:-0}"
}

# A scratch folder, and what to stop and remove when the script ends, however it ends.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sp-bench.XXXXXX")
at_exit=()
finish() {
  local i
  for ((i = ${#at_exit[@]} - 1; i >= 0; i--)); do
    ${at_exit[i]} || true
  done
  rm -rf -- "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# wait_until SECONDS COMMAND…: until it succeeds; fails after the deadline.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.05
  done
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# stop_recorded FILE: ends the process whose pid the file holds.
stop_recorded() {
  local pid
  [ -s "$1" ] || return 0
  pid=$(<"$1")
  kill "$pid" 2>/dev/null || return 0
  wait_until 5 gone "$pid" || kill -KILL "$pid" 2>/dev/null
}

build_sp() {
  if [ -n "${SP:-}" ]; then
    sp=$(realpath -- "$SP")
  else
    need_c
    need_cargo
    (cd -- "$repo" && cargo build --release --locked --quiet) || die "sp does not build"
    sp=${CARGO_TARGET_DIR:-$repo/target}/release/sp
  fi
  [ -x "$sp" ] || die "no program at $sp"
}

# in_home HOME COMMAND…: with that home and a tmux of its own, nothing of the caller's.
in_home() {
  local home=$1
  shift
  mkdir -p -- "$home" "$home/tmux"
  env -u XDG_DATA_HOME -u XDG_STATE_HOME -u XDG_CACHE_HOME -u XDG_CONFIG_HOME -u XDG_RUNTIME_DIR -u TMUX \
    HOME="$home" TMUX_TMPDIR="$home/tmux" "$@"
}

# Stops tmux servers whose sockets lie in a home made by in_home.
stop_tmux_of() {
  local socket
  for socket in "$1"/tmux/*/*; do
    [ -S "$socket" ] && tmux -S "$socket" kill-server 2>/dev/null
  done
  return 0
}

# timed VAR COMMAND…: seconds of wall time into VAR; output to $scratch/out. The script ends when the command fails.
timed() {
  local -n seconds=$1
  local start end
  shift
  start=$EPOCHREALTIME
  "$@" >"$scratch/out" 2>"$scratch/err" || {
    local code=$?
    tail -n 5 "$scratch/err" >&2
    die "\`$*\` ended with $code"
  }
  end=$EPOCHREALTIME
  # shellcheck disable=SC2034 # a reference to the caller's variable
  seconds=$(awk -v a="$start" -v b="$end" 'BEGIN { printf "%.6f", b - a }')
}

# timed_rss VAR RSSVAR HOME COMMAND…: in that home; also the peak resident memory in MiB, by GNU time.
timed_rss() {
  local -n rss=$2
  local var=$1 home=$3
  shift 3
  timed "$var" in_home "$home" /usr/bin/time -o "$scratch/rss" -f %M "$@"
  # shellcheck disable=SC2034 # a reference to the caller's variable
  rss=$(awk 'END { printf "%.1f", $1 / 1024 }' "$scratch/rss")
}

median() { printf '%s\n' "$@" | LC_ALL=C sort -g | awk '{ v[NR] = $1 } END { if (NR) print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2 }'; }
times() { awk -v a="$1" -v b="$2" -v f="${3:-%.3g}" 'BEGIN { printf f, a * b }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a == "" || b == "" || a == "-" || b == "-" || b == 0) print "-"; else printf "%.2f", a / b }'; }

# row WHAT FIGURE [PEER [RATIO]]
head_line() { printf '%-44s %14s %14s %8s\n' "$@"; }
row() { printf '%-44s %14s %14s %8s\n' "$1" "$2" "${3:--}" "${4:--}"; }

machine() {
  printf '%s, %s cores, kernel %s, load %s\n' "$(sp_version)" "$(nproc)" "$(uname -r)" "$(cut -d' ' -f1-3 /proc/loadavg)"
}
sp_version() { if [ -n "${sp:-}" ]; then "$sp" --version 2>/dev/null || echo 'sp ?'; else echo 'no sp'; fi; }
