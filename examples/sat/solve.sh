#!/bin/sh
# solve.sh SOLVER CNF DIR: runs the solver, brings its answer into one form in DIR/answer.txt, checks a model against
# the formula. Ends with the solver's code: 10 satisfiable, 20 not, 0 unknown; with 1 when the model is wrong.
set -eu
solver=$1 cnf=$2 dir=$3

code=0
case $solver in
  minisat)
    minisat -verb=1 "$cnf" "$dir/raw.txt" || code=$?
    # Its file is `SAT` and one line of literals; this is the form of the solver competitions.
    sed -e 's/^SAT$/s SATISFIABLE/' -e 's/^UNSAT$/s UNSATISFIABLE/' -e 's/^\([-0-9]\)/v \1/' "$dir/raw.txt" > "$dir/answer.txt"
    ;;
  picosat)
    picosat "$cnf" > "$dir/answer.txt" || code=$?
    ;;
  *)
    printf 'solve.sh: no such solver: %s\n' "$solver" >&2
    exit 64
    ;;
esac

case $code in
  10)
    awk '
      FNR == NR { if ($1 == "v") for (i = 2; i <= NF; i++) holds[$i] = 1; next }
      $1 == "c" || $1 == "p" { next }
      { good = 0; for (i = 1; i < NF; i++) if ($i in holds) good = 1; if (!good) { print "clause " FNR " is not satisfied"; exit 1 } }
    ' "$dir/answer.txt" "$cnf"
    echo 'answer: satisfiable, model checked'
    ;;
  20) echo 'answer: unsatisfiable' ;;
esac
exit "$code"
