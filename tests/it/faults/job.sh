# A job of a trial, by its number; how it ends and how long it takes stands in the file `deal`. What it does it says in a
# file of its own, beside all homes, one write a line: that is what the oracle believes. A lock for each job and each slot
# tells whether two run at once.
said=$HOME/../said/$SP_JOB_ID
# shellcheck disable=SC2046 # three words
set -- $(grep "^$1 " deal)
say() {
  printf '%s %s %s\n' "$1" "$SP_ATTEMPT" "$2" >>"$said"
}
# The locks are left to what it starts, so that leftovers count as the job.
exec 4>>"$HOME/../said/slot-$SP_HOST-$SP_SLOT" 5>>"$said.lock"
flock -n 5 || say overlap $$
flock -n 4 || say crowd $$
say start $$
[ "$SP_HOST" != slow ] || sleep 0.5
sleep "$3"
case $2 in
  exit-*)
    say end "${2#exit-}"
    exit "${2#exit-}"
    ;;
  sig-*)
    say dies "${2#sig-}"
    kill -s "${2#sig-}" $$
    ;;
  # Fails until it has been run a second time.
  twice)
    case $(cat "$said") in
      *'end '*) say end 0 ;;
      *)
        say end 5
        exit 5
        ;;
    esac
    ;;
  child)
    sleep 1000 &
    say end 0
    ;;
  daemon)
    setsid sh -c 'exec sleep 1000' >/dev/null 2>&1 </dev/null &
    say end 0
    ;;
  closed)
    setsid sh -c 'exec <&- >&- 2>&- 4>&- 5>&- 7>&- 8>&-; exec sleep 1000' &
    say end 0
    ;;
  bare)
    env -i setsid sleep 1000 >/dev/null 2>&1 &
    say end 0
    ;;
  # Takes more memory than there is; were there no limit after all, its own ends it.
  eats)
    say dies memory
    ulimit -v 500000
    exec tail /dev/zero
    ;;
  # Takes all the room that the disk has, and gives it back.
  fills)
    { head -c 8000000 /dev/zero >"$SP_OUT_DIR/fill"; } 2>/dev/null
    sleep 0.3
    rm -f "$SP_OUT_DIR/fill"
    say end 0
    ;;
  # Leaves no room.
  floods)
    { head -c 8000000 /dev/zero >"$SP_OUT_DIR/fill"; } 2>/dev/null
    say end 4
    exit 4
    ;;
  # Its children do not go when they are asked to.
  stubborn)
    sh -c 'trap "" TERM HUP INT; while :; do sleep 0.1; done' &
    say end 6
    exit 6
    ;;
  forks)
    i=0
    while [ $i -lt 30 ]; do
      i=$((i + 1))
      (sleep 0.1 && sleep 1000) &
    done
    say end 0
    ;;
  loud)
    head -c 3000000 /dev/urandom
    say end 0
    ;;
esac
exit 0
