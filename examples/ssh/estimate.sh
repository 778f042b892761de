#!/bin/sh
# Estimates pi by STEPS random points, seeded by SEED; the estimate and its error go to standard output.
set -eu
steps=$1 seed=$2

awk -v steps="$steps" -v seed="$seed" 'BEGIN {
  srand(seed)
  for (i = 0; i < steps; i++) { x = rand(); y = rand(); if (x * x + y * y < 1) inside++ }
  pi = 4 * inside / steps
  error = pi - atan2(0, -1)
  printf "%.6f %.6f\n", pi, (error < 0 ? -error : error)
}'
echo "estimated pi with $steps points" >&2
