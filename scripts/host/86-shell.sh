# A shell for a person to look around in, in an attempt's out folder, with the environment that its job gets.
#
# It is no process of the job: it is of another session, holds no lock of the attempt, and its SP_OUT_DIR names the folder
# by try-N.RID instead of by the claim N. So neither a cancel nor the end of the job ends it, and no witness waits for it.

# shellcheck disable=SC2016 # a text for another shell
SHELL_TEXT=$ARGUMENTS$CHILD'
run() {
  umask "${B_UMASK:-077}"
  [ -n "$B_INIT" ] || exec "$@"
  find_shell bash
  exec "$FOUND" -c "$B_INIT${NL}exec \"\$@\"" sp-init "$@"
}
look() {
  cd "$SP_OUT_DIR" 2>/dev/null || cd "$ATT" || exit
  run "${SHELL:-/bin/sh}"
}
if [ -n "$SECRET" ]; then
  # Only ours: what somebody else has put there would be run.
  if [ -O "$SECRET" ] && [ ! -h "$SECRET" ]; then . "$SECRET"; else echo "sp: cannot read the secrets" >&2; fi
  rm -f "$SECRET"
fi
# gc may have removed them.
[ -d "$SP_WORK_DIR" ] || SP_WORK_DIR=$ATT
child look
exit 0'

# In place of an answer it has the terminal. Its end says whether a shell was started, not how that ended.
verb_shell() { # INSTANCE ID N WORD|none
  local _try
  is_instance "$1" && is_id "$2" && is_number "$3" && is_name "$4" || exit 64
  C=$1
  load_attempt "$2" "$3" && _try=$(readlink "$ATT") && [ -s "$ATT/spec" ] || exit 66
  field slot "$R_CLAIM" || F=0
  shell_secret "$4"
  [ "$4" != none ] || SECRET=''
  env -i PATH="$PATH" HOME="$HOME" TERM="${TERM:-dumb}" ${COLORTERM+COLORTERM="$COLORTERM"} "$SP_SH" -c "$SHELL_TEXT" \
    sp-shell "${ATT%/*}/$_try" "$ID" "$N" "$F" "$C" "$SECRET"
}

# -> SECRET: a name that `forget_secrets` takes for one of a runner that is gone, so that nothing stays behind.
shell_secret() { # WORD ; uses C ID N
  SECRET=$SECRETS/$ROOTID.$C.shell.$ID.$N.$1
}

# Secrets for a shell that is about to be started, from stdin up to a line `secrets-end`; it takes them away itself.
verb_shell_secrets() { # INSTANCE ID N WORD
  is_instance "$1" && is_id "$2" && is_number "$3" && is_name "$4" || exit 64
  C=$1 ID=$2 N=$3
  close_secrets
  shell_secret "$4"
  SP_SECRET="$SECRET" awk '
    $0 == "secrets-end" { whole = 1; next }
    { print >ENVIRON["SP_SECRET"] }
    END { exit !whole }' || {
    rm -f "$SECRET"
    exit 73
  }
  printf 'kept .\n'
}
