# What runs the texts of a job, and the stub. Both are texts for a shell of their own, so that no file is parsed for them.
# They source the attempt's spec, which the client made:
#   B_…          what all jobs of the hand-over share: B_APPLY B_HOST B_WORK B_SLOTS B_LIMIT B_KILL_AFTER B_LOG_MAX
#                B_UMASK B_LEFTOVER (kill, keep) B_CODES B_MARKERS B_STAMP B_PREPARE B_CLEANUP B_CLEANUP_LIMIT (seconds)
#                B_SECRETS B_MAX_FAIL B_INIT, functions B_ACCOUNT and B_SHELL;
#                for the record B_GIT (commit) B_DIRTY (0, 1) B_CODE (digest) B_SNAPSHOT, each of them `none` if not known
#                B_SETUP the setup that the jobs need, B_TREE what it sets up; a setup's own spec has other limits
#   ENVIRONMENT  exports [env], the host's env and the parameters;  COMMAND, PREPARE, CLEANUP, MARKERS: functions
# Arguments of both: attempt folder, id, attempt, slot, campaign, file with secrets or nothing.

# `child FUNCTION` runs one of the spec's functions in the environment of the job, as a process of its own. The shells of its
# texts are found by the job's PATH, else by the account's. Of `init` the file init-runs says that it has not come to its end.
# shellcheck disable=SC2016 # a text for another shell
ARGUMENTS='
NL="
"
ATT=$1 ID=$2 N=$3 SLOT=$4 CAMPAIGN=$5 SECRET=$6
cd "$ATT" || exit 126
'
# shellcheck disable=SC2016 # a text for another shell
CHILD='
# Ends at the first command of `init` that fails; what runs after it has no such rule.
INIT_TEXT="init() { . \"\$1/init\"; }; set -e; init \"\$1\"; set +e; : >\"\$1/init-runs\"; shift; exec \"\$@\""
. ./spec
SP_OUT_DIR=$ATT/out SP_STATE_DIR=${ATT%/*}/state SP_WORK_DIR=$B_WORK SP_PARAMS_FILE=$ATT/params.json
export SP_OUT_DIR SP_STATE_DIR SP_WORK_DIR SP_PARAMS_FILE
[ "${B_SNAPSHOT:-none}" = none ] || export SP_SNAPSHOT="$B_SNAPSHOT"
find_shell() {
  FOUND=$1
  case $1 in */*) return ;; esac
  ! command -v "$1" >/dev/null || return 0
  set -f
  IFS=:
  for D in $HOST_PATH; do
    [ ! -x "$D/$1" ] || [ -d "$D/$1" ] || { FOUND=$D/$1; break; }
  done
  set +f
  unset IFS
}
run() {
  if [ -n "$B_INIT" ]; then
    printf "%s\n" "$B_INIT" : >"$ATT/init" && echo 1 >"$ATT/init-runs" || {
      echo "sp: cannot write $ATT/init"
      exit 126
    }
    find_shell bash
    umask "${B_UMASK:-077}"
    exec "$FOUND" -c "$INIT_TEXT" sp-init "$ATT" "$@"
  fi
  umask "${B_UMASK:-077}"
  exec "$@"
}
run_shell() {
  find_shell "$1"
  shift
  run "$FOUND" "$@"
}
script() {
  printf "%s\n" "$2" >"$ATT/$1" || { echo "sp: cannot write $ATT/$1"; exit 126; }
  B_SHELL "$ATT/$1"
}
child() (
  trap - HUP TERM INT QUIT USR1 USR2
  exec 6>&- 2>&1
  # What is to outlive the job must hold neither its lock nor its slot.
  [ "${B_LEFTOVER-}" != keep ] || exec 7>&- 8>&-
  unset LC_ALL TMUX_TMPDIR
  unset SP_TEST_SH SP_FAULT SP_BOOT_ID_FILE SP_MACHINE_ID_FILE # for tests
  B_ACCOUNT
  HOST_PATH=$PATH
  ENVIRONMENT
  export SP_CAMPAIGN="${CAMPAIGN%%~*}" SP_JOB_ID="$ID" SP_ATTEMPT="$N" SP_HOST="$B_HOST" SP_SLOT="$SLOT"
  { echo 300 >/proc/self/oom_score_adj; } 2>/dev/null
  cd "$SP_WORK_DIR" || { echo "sp: cannot enter the folder $SP_WORK_DIR"; exit 126; }
  "$@"
)'

# How often the kernel has killed for memory in the group of this process (cgroups(7); memory.events of version 2,
# memory.oom_control of version 1) -> OOM, empty where it does not say. In a container the files of its own group are at the
# top, whatever its path. No process is started for it.
# shellcheck disable=SC2016 # a text for another shell
KILLS_FOR_MEMORY='
kills_for_memory() {
  OOM= F=
  while IFS=: read -r _ L GROUP; do
    case ",$L," in
      ,,) set -- "$GROUP/memory.events" /memory.events ;;
      *,memory,*) set -- "/memory$GROUP/memory.oom_control" /memory/memory.oom_control ;;
      *) continue ;;
    esac
    for L; do
      [ -r "/sys/fs/cgroup$L" ] || continue
      [ -n "$F" ] || F=/sys/fs/cgroup$L
    done
  done </proc/self/cgroup
  [ -n "$F" ] || return 0
  while read -r L U; do
    [ "$L" != oom_kill ] || OOM=$U
  done <"$F"
}'

# The stub: parent of the job's processes and leader of their session, the second witness of the exit code. Its stderr is
# the file `signal`: there the shell says that its child was killed.
# shellcheck disable=SC2016 # a text for another shell
STUB=$KILLS_FOR_MEMORY'
# bash as sh says nothing of the death of a child.
[ -z "${BASH_VERSION-}" ] || set +o posix
trap : HUP TERM INT QUIT USR1 USR2
fault() { [ "${SP_FAULT-}" != "$1" ] || ! mkdir "$HOME/sp-fault.$1" 2>/dev/null || kill -9 $$; } # for tests
fault stub-before-start # for tests
'"$ARGUMENTS"'
read -r L </proc/$$/stat; L=${L##*) }; set -f; set -- $L; set +f
read -r U L </proc/uptime
printf "start pid=%s pstart=%s up=%s .\n" $$ "${20}" "$U" >&6 || exit 125
fault stub-started # for tests
'"$CHILD"'
rc=0
printf "%s\n" "$PARAMS" >params.json || { echo "sp: cannot write $ATT/params.json"; rc=126; }
# A dot without its file would be the end of this shell.
if [ -n "$SECRET" ] && ! { [ -O "$SECRET" ] && [ ! -h "$SECRET" ] && [ -r "$SECRET" ] && . "$SECRET" && rm -f "$SECRET"; }; then
  echo "sp: cannot read the secrets: they went with a reboot or a logout; the next apply brings them again"
  rc=126
fi
if [ -n "$B_LIMIT" ]; then
  export SP_TIME_LIMIT="${B_LIMIT%.*}" SP_DEADLINE="$(($(date +%s) + ${B_LIMIT%.*}))"
fi
true >signal
kills_for_memory 2>/dev/null
KILLS=$OOM
init_failed() {
  [ -s init-runs ] || return 1
  [ $rc -ne 0 ] || { echo "sp: init ended the shell before the command could start"; rc=126; }
  printf "init rc=%s .\n" $rc >&6
}
if [ $rc -eq 0 ] && [ "$B_PREPARE" = 1 ]; then
  child PREPARE
  rc=$?
  init_failed || [ $rc -eq 0 ] || printf "prepare rc=%s .\n" $rc >&6
fi
if [ $rc -eq 0 ]; then
  child COMMAND
  rc=$?
  init_failed
fi
fault stub-ended # for tests
sig=no
[ $rc -gt 128 ] && [ -s signal ] && sig=yes
oom=
if [ $rc -ne 0 ] && [ -n "$KILLS" ]; then
  kills_for_memory 2>/dev/null
  [ "${OOM:-$KILLS}" = "$KILLS" ] || oom=" oom=yes"
fi
read -r U L </proc/uptime
left=
[ "${B_LEFTOVER-}" != keep ] || left=" left=keep"
END="exit rc=$rc sig=$sig$oom$left up=$U ."
printf "%s\n" "$END" >&6 || until printf "\n%s\n" "$END" >&6; do sleep 1; done
exit $rc'

# The text of `cleanup`, with the same environment.
# shellcheck disable=SC2016 # a text for another shell
CLEANUP_TEXT=$ARGUMENTS$CHILD'
child CLEANUP'
