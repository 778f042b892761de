# server.db: all jobs of the root in one SQLite table, for people and scripts, where sqlite3 is. Nothing here reads it, so it
# may be locked, damaged or gone: each pass writes it anew from the attempts' own files, off every critical path.

# Between two passes for jobs that have begun: so many seconds. The end of the work is never left out.
INDEX_PACE=5

# Starts a pass in a process of its own, detached as a runner is.
update_index() {
  command -v sqlite3 >/dev/null || return 0
  in_clean_environment setsid setsid "$SP_SH" "$SELF" index "$ROOT" \
    </dev/null >/dev/null 2>>"$V/run/errors" 3<&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}
update_index_soon() {
  local _then
  uptime_now
  { read -r _then <"$V/run/indexed"; } 2>/dev/null && is_number "$_then" && [ "${UP%.*}" -ge "$_then" ] &&
    [ $((${UP%.*} - _then)) -lt $INDEX_PACE ] && return 0
  update_index
}

# One pass. One runs, and one waits for it: who comes then has nothing that the waiting one will not see.
verb_index() {
  cd "$V/run" || exit 73
  command exec 3>>index.next 4>>index || exit 73
  flock -n 3 || exit 0
  flock 4
  exec 3>&-
  clock_base
  { printf '%s\n' "${UP%.*}" >indexed; } 2>/dev/null
  [ ! -d "$V/server.db" ] || set_index_aside || exit 0
  write_index && exit 0
  # Locked, a full disk, too slow: the next pass. Any other trouble is the file's, so it is moved away.
  printf 'server.db: %s\n' "${INDEX_SAID:-too slow}" >&2
  case $INDEX_SAID in
    '' | *'(5)'* | *locked* | *'(13)'* | *'is full'* | *readonly*) ;;
    *) set_index_aside && write_index ;;
  esac
  exit 0
}

# With its journals, which would be played into the file that comes next. One is kept.
set_index_aside() {
  local _part
  for _part in -journal -wal -shm ''; do
    [ -e "$V/server.db$_part" ] || continue
    # Neither takes the other's place: a folder a file's, a file a folder's.
    rm -f "$V/server.db.damaged$_part" || rmdir "$V/server.db.damaged$_part" || return 1
    mv "$V/server.db$_part" "$V/server.db.damaged$_part" || return 1
  done 2>/dev/null
}

# -> INDEX_SAID. A text that breaks off has no COMMIT at its end, so that the table stays as it was.
write_index() {
  INDEX_SAID=$(index_text | timeout -k 2 10 sqlite3 -batch -init /dev/null "$V/server.db" 2>&1 >/dev/null 4>&-)
}

index_text() {
  local _folder _queue
  printf '.bail on\n.timeout 2000\nBEGIN IMMEDIATE;\nDROP TABLE IF EXISTS jobs;\n%s\n' "$INDEX_SCHEMA"
  INDEX_USER=$(id -un)
  INDEX_TMUX=0
  ! command -v tmux >/dev/null || INDEX_TMUX=1
  for _folder in "$V"/*/jobs; do
    [ -d "$_folder" ] || continue
    C=${_folder%/jobs}
    C=${C##*/}
    # Claimed attempts, the queue then: what moves on meanwhile is in one of them, or in the next pass.
    INDEX_FOLDER=$_folder INDEX_INSTANCE=$C INDEX_BOOT=$BOOT INDEX_BASE=$BASE
    export INDEX_FOLDER INDEX_INSTANCE INDEX_BOOT INDEX_BASE INDEX_USER INDEX_TMUX
    (
      cd "$_folder" && set -- */[1-9]*/state && [ -e "$1" ] || exit 0
      printf '%s\n' "$@" | xargs awk "$INDEX_AWK"
    ) || return 1
    for _queue in "${_folder%/jobs}/queue"/[0-9]*~*; do
      set -- "$_queue"/c[0-9]*
      [ -e "$1" ] || continue
      { read -r _ && read -r INDEX_QUEUED; } 2>/dev/null <"$_queue/slots" || INDEX_QUEUED=none
      export INDEX_QUEUED
      # A chunk that is gone by now was served.
      cat "$@" 2>/dev/null | awk "$INDEX_AWK" || return 1
    done
  done
  printf 'COMMIT;\n'
}

# The table, as schema/server.sql has it.
# shellcheck disable=SC2016 # a text for sqlite3
INDEX_SCHEMA='-- server.db on a host: an index of all jobs of the root, for people and scripts. Nothing rests on it: a runner writes it
-- anew from the files of the attempts, so what is changed here is lost, and the file may be removed at any time.
PRAGMA application_id = 0x73705f73;
PRAGMA user_version = 1;
CREATE TABLE jobs (
    id           TEXT NOT NULL,
    campaign     TEXT NOT NULL,
    instance     TEXT NOT NULL,        -- which living copy of the campaign, see `sp help instances`
    user         TEXT NOT NULL,
    command      TEXT,                 -- without its environment, so without secrets
    status       TEXT NOT NULL,        -- queued, running, or as `sp help states` lists them
    session      TEXT,                 -- of tmux (`tmux -L sp`), while the job runs
    queued_at    TEXT,                 -- RFC 3339 in UTC by the clock of the host, like the next two
    started_at   TEXT,
    completed_at TEXT,
    exit_code    INTEGER,
    error        TEXT,                 -- why it did not succeed: a reason of `sp help states`
    log          TEXT,                 -- path of the file
    progress     TEXT,                 -- what the job last told; no job can tell it yet
    attempt      INTEGER NOT NULL,     -- the newest, which the other columns are about
    PRIMARY KEY (campaign, instance, id)
);
CREATE INDEX jobs_status ON jobs (status);
CREATE INDEX jobs_user ON jobs (user);
CREATE INDEX jobs_queued ON jobs (queued_at);'

# State files and chunks of the queue as rows. Numbers and fixed words stand as they are once they look so; text is quoted
# by doubling quotes. (\047 is a quote.)
# shellcheck disable=SC2016 # a text for awk
INDEX_AWK=$FIELD_AWK'
function text(s) { gsub(/\047/, "\047\047", s); return "\047" s "\047" }
function word(s) { return s ~ /^[a-z-]+$/ && s != "none" ? text(s) : "NULL" }
function number(s) { return s ~ /^[0-9]+$/ ? s : "NULL" }
function moment(s) {
  return s ~ /^[0-9]+(\.[0-9]+)?$/ ? "strftime(\047%Y-%m-%dT%H:%M:%fZ\047," s ",\047unixepoch\047)" : "NULL"
}
# What COMMAND of a spec runs: the text for the shell, or the words. Between quotes everything is data.
function command(line, part, count, i, inside, on, out, at) {
  count = split(line, part, "\047")
  for (i = 1; i <= count; i++) {
    if (inside) {
      if (on) out = out part[i]
      inside = 0
      continue
    }
    if (!on && (at = index(part[i], "COMMAND() { "))) {
      on = 1
      part[i] = substr(part[i], at + 12)
      sub(/^(script command|run) /, "", part[i])
    }
    at = on ? index(part[i], "; }") : 0
    if (at) return text(out substr(part[i], 1, at - 1))
    inside = part[i] !~ /\\$/
    if (!on) continue
    if (!inside) part[i] = substr(part[i], 1, length(part[i]) - 1) "\047"
    if (part[i] == "\"$NL\"") part[i] = "\n"
    out = out part[i]
  }
  return "NULL"
}
function row(id, n, least, status, session, queued, started, ended, rc, error, log_file, spec) {
  printf "INSERT OR REPLACE INTO jobs SELECT \047%s\047,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,NULL,%d", id, campaign, instance, user,
    command(spec), word(status), session, moment(queued), moment(started), moment(ended), number(rc), error, log_file, n
  printf " WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE campaign=%s AND instance=%s AND id=\047%s\047 AND attempt>%d);\n", campaign,
    instance, id, least
}
function attempt(id, n, at, status, session, started, error, spec) {
  id = folder
  sub(/\/.*/, "", id)
  n = substr(folder, length(id) + 2)
  # A setup is no job.
  if (claim == "" || claim ~ / kind=setup / || id !~ /^[0-9a-f]+$/ || n !~ /^[0-9]+$/) return
  session = error = "NULL"
  if (end != "") {
    status = field("state", end)
    started = field("started", end)
    if (status != "succeeded") error = word(field("reason", end))
  } else {
    status = "running"
    if (ENVIRON["INDEX_TMUX"] == 1) session = text("sp-" ENVIRON["INDEX_INSTANCE"] "-" substr(id, 1, 8))
    if (start != "" && field("boot", claim) == ENVIRON["INDEX_BOOT"])
      started = sprintf("%.2f", ENVIRON["INDEX_BASE"] / 100 + field("up", start))
  }
  at = folder "/spec"
  getline spec <at
  spec = ""
  getline spec <at
  close(at)
  row(id, n, n, status, session, field("queued", claim), started, field("ended", end), field("rc", end), error,
    text(ENVIRON["INDEX_FOLDER"] "/" folder "/log"), spec)
}
BEGIN {
  user = text(ENVIRON["INDEX_USER"])
  instance = ENVIRON["INDEX_INSTANCE"]
  campaign = text(substr(instance, 1, index(instance, "~") - 1))
  instance = text(substr(instance, index(instance, "~") + 1))
}
FILENAME != "" && FILENAME != "-" && FNR == 1 {
  attempt()
  folder = FILENAME
  sub(/\/state$/, "", folder)
  claim = start = end = ""
}
/^claim .* \.$/ { if (claim == "") claim = $0 }
/^start .* \.$/ { if (start == "") start = $0 }
/^end .* \.$/ { if (end == "") end = $0 }
$1 == "job" && $2 ~ /^[0-9a-f]+$/ && $3 ~ /^[1-9][0-9]*$/ {
  row($2, $3, $3 - 1, "queued", "NULL", ENVIRON["INDEX_QUEUED"], "", "", "", "NULL", "NULL", $0)
}
END { attempt() }'
