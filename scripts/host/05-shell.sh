# What the host script stands on beyond POSIX, tried where it will run: in the first words with a host over ssh, and before
# each hand-over. A list of shells by name would miss the next one; what is tried here is what is used.

# -> LACKS: a word for each thing that is missing, see `Lack` in src/host/error.rs; empty where all is there.
shell_lacks() {
  LACKS=
  for F in self/stat uptime loadavg sys/kernel/random/boot_id sys/kernel/pid_max; do
    [ -r "/proc/$F" ] || LACKS=proc
  done
  # By `eval`, since a shell that does not know the word may refuse the whole text.
  (eval 'f() { local x=2 && [ "$x" = 2 ]; }; x=1; f && [ "$x" = 1 ]') 2>/dev/null || LACKS="$LACKS local"
  # Locks are held through descriptors that programs inherit.
  (exec 7</dev/null && /bin/sh -c ': <&7') 2>/dev/null || LACKS="$LACKS descriptors"
  # A file that cannot be opened must not end the shell.
  F=$( (command exec 7<//no-such-file; echo on) 2>/dev/null)
  [ "$F" = on ] || LACKS="$LACKS exec"
  # shellcheck disable=SC3013 # it is what is tried
  { [ / -ef /. ] && ! [ / -nt / ]; } 2>/dev/null || LACKS="$LACKS tests"
  F='a.b c'
  # shellcheck disable=SC2086 # words are what is tried
  F=$(set -- $F; printf '%s' "$#${F%%.*}${F##* }${#F}")
  [ "$F" = 2ac5 ] || LACKS="$LACKS expansion"
  LACKS=${LACKS# }
}
