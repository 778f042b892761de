# garbage.sh FOLDER: what a host answers while FOLDER has a file `garbage` whose first word says how, the second how much or
# to which question; else it does as it is told.
read -r how count 2>/dev/null <"$1/garbage" || how=
told() { sh -c "$SSH_ORIGINAL_COMMAND"; }
case $how in
  '') told ;;
  noise) head -c 5000 /dev/urandom ;;
  nothing) ;;
  failure)
    echo 'Segmentation fault' >&2
    exit 139
    ;;
  cut) told | head -c "$count" ;;
  huge) yes 'sp-begin all of this is one long answer' | head -c 30000000 ;;
  escapes) printf '\033]0;owned\007\033[2Jsp-begin \033[31m\n' ;;
  chatter)
    printf 'Welcome!\033[2J\n'
    told
    ;;
  endless)
    case $SSH_ORIGINAL_COMMAND in
      *" $count "*) yes noise ;;
      *) told ;;
    esac
    ;;
  late)
    sleep 2
    told
    ;;
esac
