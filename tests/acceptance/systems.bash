# The two systems, for the scripts beside this file, which source it: tools, Java programs, one node at a time.
#
# A script sets `name`, what it calls itself, and `port`; the controller listens on the port after it. It gets `work`,
# a folder of its own that is removed at its end together with every process whose id is in `processes`.
# Kafka's tools come from KAFKA_HOME, the folder of a Kafka release, or from KAFKA_PEER, a program that runs a tool by
# its name (`$KAFKA_PEER kafka-topics ...`) and prints a class path (`$KAFKA_PEER classpath`).

die() { echo "$name: $*" >&2; exit 2; }
# A word for what was not tried, and why; the caller's run is neither good nor bad then.
skip() { echo "SKIPPED   $name: $*"; exit 0; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v kcat >/dev/null || die "kcat is needed (apt install kcat)"
command -v javac >/dev/null || die "Java 17 is needed (apt install openjdk-17-jdk-headless)"
if [ -n "${KAFKA_PEER:-}" ]; then classpath=$("$KAFKA_PEER" classpath)
elif [ -n "${KAFKA_HOME:-}" ]; then classpath="$KAFKA_HOME/libs/*"
else die "set KAFKA_HOME or KAFKA_PEER"; fi

work=$(mktemp -d "${TMPDIR:-/tmp}/ottla-$name.XXXXXX")
bootstrap=127.0.0.1:$port
processes=()
node=

# Ends what was started, by its id, and removes what was written. A script redefines `let_go` where it
# holds more than that.
let_go() { :; }
clean_up() {
  local status=$? process deadline=$((SECONDS + 10))
  [ $status -eq 0 ] || echo "FAILED    $name"
  # SIGTERM, which `timeout` hands on to what it runs and follows with SIGKILL.
  for process in ${processes[@]+"${processes[@]}"}; do kill -TERM "$process" 2>/dev/null || true; done
  [ -z "$node" ] || { kill -KILL "$node"; wait "$node"; } 2>/dev/null || true
  for process in ${processes[@]+"${processes[@]}"}; do
    while kill -0 "$process" 2>/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
  done
  let_go
  # Whoever wants to know why it failed keeps the folder.
  if [ -n "${KEEP:-}" ]; then echo "kept: $work"; else rm -rf "$work"; fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# One of Apache Kafka's tools, by its name.
tool() {
  if [ -n "${KAFKA_PEER:-}" ]; then timeout 300 "$KAFKA_PEER" "$@"; else
    local program=$1; shift
    timeout 300 "$KAFKA_HOME/bin/$program.sh" "$@"
  fi
}

compile_java() { mkdir -p "$work/classes"; javac -cp "$classpath" -d "$work/classes" "$here"/*.java; }
# In the shell's place, so that the process id is Java's: for a subshell or the background.
exec_java() { exec timeout -k 5 1800 java -Xmx384m -cp "$work/classes:$classpath" "$@"; }
java_program() { (exec_java "$@"); }

# The configuration of a node in $work/node.properties; more lines from standard input. Its log directory is $folder,
# or else $work/data.
properties() {
  {
    cat <<PROPS
node.id=1
process.roles=broker,controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$((port + 1))
log.dirs=${folder:-$work/data}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
PROPS
    cat
  } >"$work/node.properties"
}

# The array `line`: what starts one of the two on the folder.
command_line() {
  case $1 in
    ottla) line=("$ottla" server --config "$work/node.properties") ;;
    kafka)
      if [ -n "${KAFKA_PEER:-}" ]; then
        line=(java -Xms1g -Xmx1g -XX:+UseG1GC -Dorg.slf4j.simpleLogger.defaultLogLevel=info
          -cp "${classpath/\/silent\///logging/}" kafka.Kafka "$work/node.properties")
      # The release's own script, a shell that becomes the JVM.
      else
        line=(env KAFKA_HEAP_OPTS="-Xms1g -Xmx1g" "$KAFKA_HOME/bin/kafka-server-start.sh" "$work/node.properties")
      fi ;;
  esac
}

# Starts it without waiting; what it prints is appended to $work/SYSTEM.log.
launch() {
  local line
  command_line "$1"
  "${line[@]}" >>"$work/$1.log" 2>&1 &
  node=$!
}

# Waits until the node that was launched serves.
await() {
  local system=$1 deadline=$((SECONDS + 120))
  until kcat -b "$bootstrap" -L -m 2 >/dev/null 2>&1; do
    kill -0 "$node" 2>/dev/null || { tail -20 "$work/$system.log"; echo "$system has ended"; return 1; }
    [ $SECONDS -lt $deadline ] || { tail -20 "$work/$system.log"; echo "$system does not serve"; return 1; }
    sleep 0.1
  done
}

start() { launch "$@"; await "$1"; }

# Ends the node with a signal and waits for it. The shell's own word about a killed job is not for the reader.
end() {
  local deadline=$((SECONDS + 120)) ended=
  {
    kill -"$1" "$node"
    while kill -0 "$node" && [ $SECONDS -lt $deadline ]; do sleep 0.02; done
    kill -0 "$node" || ended=yes
    [ -z "$ended" ] || wait "$node" || true
  } 2>/dev/null
  [ -n "$ended" ] || { echo "the node does not end after SIG$1"; return 1; }
  node=
}

# What a script that asks one thing after another has seen: a line each, with the seconds since the one before.
seconds=0
step() {
  printf 'ok        %-72s %4d s\n' "$1" $((SECONDS - seconds))
  echo "- $1" >>"$work/steps"
  seconds=$SECONDS
}

# Makes those a section of the page that the script was given, if any, below the words on the standard input.
write_page() { # TITLE
  [ -z "${page:-}" ] ||
    { cat; echo; echo "Seen:"; echo; cat "$work/steps"; } |
      env PYTHONDONTWRITEBYTECODE=1 "PYTHONPATH=$here" python3 -m judge.page "$page" "$1"
}
