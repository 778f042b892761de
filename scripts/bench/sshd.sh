# shellcheck shell=bash disable=SC2154,SC2119,SC2120
# Sourced by the benchmarks that need a host: an sshd of our own on loopback, and `ssh -F $ssh_dir/config bench` over a
# ControlMaster that is up. Ended with the script.

export PATH=$PATH:/usr/sbin:/sbin
ssh_dir=$scratch/ssh

write_sshd_config() { # PORT
  cat >"$ssh_dir/sshd_config" <<CONF
Port $1
ListenAddress 127.0.0.1
HostKey $ssh_dir/host_key
PidFile $ssh_dir/sshd.pid
AuthorizedKeysFile $ssh_dir/authorized_keys
PermitUserEnvironment yes
PermitRootLogin yes
StrictModes no
UsePAM no
PasswordAuthentication no
LogLevel VERBOSE
CONF
}
# True when our own sshd listens there.
start_sshd() { # PORT
  write_sshd_config "$1"
  "$(command -v sshd)" -f "$ssh_dir/sshd_config" -E "$ssh_dir/sshd.log" && wait_until 5 test -s "$ssh_dir/sshd.pid"
}
stop_sshd() { stop_recorded "$ssh_dir/sshd.pid"; }
stop_master() { ssh -F "$ssh_dir/config" -O exit bench 2>/dev/null; }

# add_host NAME: a host that is a home of its own, $ssh_dir/home-NAME.
add_host() {
  local home=$ssh_dir/home-$1
  mkdir -p "$home/tmux"
  ssh-keygen -q -t ed25519 -N '' -f "$ssh_dir/key-$1"
  printf 'environment="HOME=%s",environment="TMUX_TMPDIR=%s/tmux" %s\n' "$home" "$home" "$(<"$ssh_dir/key-$1.pub")" \
    >>"$ssh_dir/authorized_keys"
  cat >>"$ssh_dir/hosts" <<CONF
Host $1
  IdentityFile $ssh_dir/key-$1
CONF
}

start_bench_sshd() { # [HOST…]: beside `bench`
  local port name
  mkdir -m 700 "$ssh_dir"
  [ -d /run/sshd ] || as_root mkdir -p /run/sshd
  ssh-keygen -q -t ed25519 -N '' -f "$ssh_dir/host_key"
  # Empty homes, so that no start-up file of whoever runs this counts.
  for name in bench "$@"; do add_host "$name"; done
  at_exit+=(stop_sshd)
  port=
  for _ in 1 2 3 4 5 6 7 8; do # a random high port may be taken
    port=$((20000 + RANDOM % 30000))
    start_sshd "$port" && break
    port=
  done
  [ -n "$port" ] || die "sshd does not start: $(tail -n 1 "$ssh_dir/sshd.log")"
  # For sp, which makes its own connections.
  {
    cat "$ssh_dir/hosts"
    cat <<CONF
Host *
  HostName 127.0.0.1
  Port $port
  User $(id -un)
  IdentitiesOnly yes
  StrictHostKeyChecking accept-new
  UserKnownHostsFile $ssh_dir/known_hosts
  GlobalKnownHostsFile /dev/null
  BatchMode yes
CONF
  } >"$ssh_dir/config-sp"
  # For the peers, over one connection.
  {
    cat "$ssh_dir/config-sp"
    printf '  ControlMaster auto\n  ControlPath %s/control-%%n\n  ControlPersist yes\n' "$ssh_dir"
  } >"$ssh_dir/config"
  at_exit+=(stop_master)
  ssh -F "$ssh_dir/config" bench true 2>"$scratch/err" || die "no login on loopback: $(tail -n 1 "$scratch/err")"
}
