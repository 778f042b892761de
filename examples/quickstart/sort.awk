# Sorts `size` pseudo-random numbers by `algorithm`, checks the order, prints them.
# The generator is a plain linear congruence, so that every awk makes the same numbers.

BEGIN {
    x = 42
    for (i = 1; i <= size; i++) {
        x = (x * 16807) % 2147483647
        a[i] = x
    }
    if (algorithm == "insertion") insertion()
    else if (algorithm == "shell") shell()
    else if (algorithm == "merge") merge(1, size)
    else fail("unknown algorithm: " algorithm)

    for (i = 2; i <= size; i++)
        if (a[i - 1] > a[i]) fail("not sorted at " i)
    for (i = 1; i <= size; i++) print a[i]
    print "sorted " size " numbers by " algorithm > "/dev/stderr"
}

function fail(why) {
    print why > "/dev/stderr"
    exit 1
}

function insertion(    i, j, v) {
    for (i = 2; i <= size; i++) {
        v = a[i]
        for (j = i - 1; j > 0 && a[j] > v; j--) a[j + 1] = a[j]
        a[j + 1] = v
    }
}

function shell(    gap, i, j, v) {
    for (gap = int(size / 2); gap > 0; gap = int(gap / 2))
        for (i = gap + 1; i <= size; i++) {
            v = a[i]
            for (j = i - gap; j > 0 && a[j] > v; j -= gap) a[j + gap] = a[j]
            a[j + gap] = v
        }
}

function merge(from, to,    mid, i, j, k) {
    if (from >= to) return
    mid = int((from + to) / 2)
    merge(from, mid)
    merge(mid + 1, to)
    i = from; j = mid + 1
    for (k = from; k <= to; k++)
        if (j > to || (i <= mid && a[i] <= a[j])) b[k] = a[i++]
        else b[k] = a[j++]
    for (k = from; k <= to; k++) a[k] = b[k]
}
