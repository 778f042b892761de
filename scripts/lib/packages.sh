# shellcheck shell=bash
# Sourced by the scripts beside it: what they need of the machine.

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "must install packages: run it as root, or install sudo"
  fi
}

install() {
  command -v apt-get >/dev/null || die "missing: $* (apt-get is not here: install them by hand)"
  printf '%s: installing %s\n' "${0##*/}" "$*" >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# need COMMAND:PACKAGE…  Installs the packages of the commands that are missing. When none is, it touches neither
# network nor package lists. sbin folders are looked into because sshd lives there.
need() {
  local pair missing=()
  for pair in "$@"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ "${#missing[@]}" -eq 0 ] || install "${missing[@]}"
}

# The folder that sshd wants when root starts it; the package's service makes it at boot, and a container has none.
need_sshd_folder() {
  [ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
}

# A C compiler and the C library's headers, for the SQLite that is compiled in.
need_c() {
  command -v cc >/dev/null && [ -e /usr/include/stdio.h ] && return 0
  install gcc libc6-dev
}

# Rust is looked for where rustup puts it too, because sudo and CI shells often have a short PATH.
need_cargo() {
  local home
  command -v cargo >/dev/null && return 0
  for home in "${CARGO_HOME:-}" "${HOME:-}/.cargo" "$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)/.cargo"; do
    if [ -x "$home/bin/cargo" ]; then
      PATH=$home/bin:$PATH
      return 0
    fi
  done
  die "no cargo found: install Rust 1.95 or newer, see https://rustup.rs"
}

# Has cargo start what it has built as an ordinary user. One is made where root runs this; the build stays root's.
need_user() {
  local user=sp-tester home
  [ "$(id -u)" -eq 0 ] || return 0
  id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
  home=$(getent passwd "$user" | cut -d: -f6)
  export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="setpriv --reuid=$user --regid=$user --init-groups env HOME=$home USER=$user LOGNAME=$user"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=$CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER
}
