# proxy.sh FOLDER NAME: the network to a host, as two relays that a trial can stop, and a server that it can kill. There is
# none while FOLDER has a file `down`.
[ ! -e "$1/down" ] || exit 1
cat -u - | /usr/sbin/sshd -i -f "$1/sshd_config" -E "$1/log-$2" | cat -u -
