# sp-host VERB ROOT NONCE ARGUMENTS…; `runner`, `view` and `index` are for this script itself and answer nobody,
# nor does `shell`, which is for a person.
ROOT=${2-}
case $ROOT in
  # A list of processes is searched for the root's path, line by line.
  *"$NL"*) exit 64 ;;
  /*) ;;
  *) exit 64 ;;
esac
cd "$ROOT/v1" || exit 66
V=$(pwd -P)
# Locks of the slots are per user and machine, in one place whatever the root.
machine_now
boot_now
SLOTS=$HOME/.local/share/sp/v1/slots/$MACHINE
SECRETS=$V/secrets
if [ -w /dev/shm ] && grep -q ' /dev/shm tmpfs ' /proc/mounts 2>/dev/null; then
  SECRETS=/dev/shm/sp-$(id -u)
fi
for _folder in "$V/run" "$SLOTS" "$SECRETS"; do
  [ -d "$_folder" ] || mkdir -p "$_folder" || exit 73
done
[ -O "$SECRETS" ] && [ ! -h "$SECRETS" ] || exit 73
[ -s "$V/root-id" ] || {
  random_word >"$V/root-id.$$" && make_durable "$V/root-id.$$" &&
    { ln "$V/root-id.$$" "$V/root-id" 2>/dev/null || [ -s "$V/root-id" ]; } &&
    rm -f "$V/root-id.$$" && make_durable "$V"
} || exit 73
read -r ROOTID <"$V/root-id" && is_name "$ROOTID" || exit 73

verb=${1-}
case $verb in
  runner | view | index | shell)
    shift 2
    "verb_$verb" "$@"
    ;;
  probe | wait | account | hand_over | kick | cancel | move | withdraw | accept | evidence | window | log | logs | \
    snapshot_begin | snapshot_publish | snapshot_drop | snapshot_set_up | doctor | shell_secrets | gc)
    NONCE=${3-}
    is_name "$NONCE" || exit 64
    shift 3
    printf 'sp-begin %s\n' "$NONCE"
    "verb_$verb" "$@"
    printf 'sp-end %s\n' "$NONCE"
    ;;
  *) exit 64 ;;
esac
