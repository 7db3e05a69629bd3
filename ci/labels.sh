#!/usr/bin/env bash
# Proves what can be read off the source of the shipped crates (their src folders; tests modules
# and comments excepted):
#
# - Every atomic operation says why its memory order suffices: a line with `Ordering::…` has an
#   `// ORDERING:` comment on it or above it, at most six lines of code up, and not beyond another
#   statement with an order of its own.
# - Every `// RACE:` comment names in backticks a loom model that exists. After `Model:` all names
#   have to; a name that ends in `…` stands for those that begin so.
# - No `unsafe`, and `forbid(unsafe_code)` in every lib.rs; and, in all tests and in the lab as well, nothing left
#   to do and nothing ignored.
#
# Prints how many there are of each of the three labels.
#
# Time: 1 second.
set -euo pipefail
cd "$(dirname "$0")/.."

# The tests of every tests/loom.rs.
models=$(find crates -path '*/tests/loom.rs' -exec awk '
    /^ *#\[test\]/ { test = 1; next }
    test && match($0, /fn [a-z0-9_]+/) { print substr($0, RSTART + 3, RLENGTH - 3); test = 0 }
' {} +)

find crates $(ls -d examples lab tests 2>/dev/null || true) -name '*.rs' -print0 |
    sort -z |
    MODELS=$models xargs -0 awk '
    BEGIN {
        models = split(ENVIRON["MODELS"], list, "\n")
        for (i in list) model[list[i]] = 1
        order = "Ordering::(Relaxed|Acquire|Release|AcqRel|SeqCst)"
    }

    function wrong(place, what) {
        print place ": " what
        violations++
    }

    # Does a model of this name exist?
    function exists(name,    i, prefix) {
        if (name in model) return 1
        prefix = name
        if (!sub(/(…|\.\.\.)$/, "", prefix) || prefix == "") return 0
        for (i in model) if (index(i, prefix) == 1) return 1
        return 0
    }

    # The RACE comment that ended: its text is `race`, its beginning `race_at`.
    function end_race(    after, rest, name, known) {
        if (!race_at) return
        after = match(race, /Models?:/) ? RSTART : length(race) + 1
        known = 0
        rest = race
        while (match(rest, /`[^`]*`/)) {
            name = substr(rest, RSTART + 1, RLENGTH - 2)
            if (exists(name)) known++
            else if (length(race) - length(rest) + RSTART > after)
                wrong(race_at, "RACE names `" name "`, which is no test of a tests/loom.rs")
            rest = substr(rest, RSTART + RLENGTH)
        }
        if (!known) wrong(race_at, "RACE names no loom model")
        race_at = ""
    }

    FNR == 1 {
        end_race()
        # Ended files leave nothing behind.
        in_tests = pending = budget = used = 0
        shipped = FILENAME ~ /^crates\/[^\/]*\/src\// && FILENAME !~ /\/tests(\/|\.rs$)/
        example = FILENAME ~ /^(crates\/[^\/]*\/)?examples\//
    }

    {
        code = $0
        gsub(/\047"\047/, "", code)
        gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
        comment = match(code, /\/\//) ? substr(code, RSTART) : ""
        if (comment != "") code = substr(code, 1, RSTART - 1)
        has_code = code ~ /[^ \t]/

        if (code ~ /(^|[^a-z_])(todo|unimplemented)!/) wrong(FILENAME ":" FNR, "something is left to do")
        if (code ~ /#!?\[(cfg_attr\(.*)?ignore/) wrong(FILENAME ":" FNR, "an ignored test")
    }

    (shipped || example) && code ~ /(^|[^A-Za-z0-9_])unsafe([^A-Za-z0-9_]|$)/ { wrong(FILENAME ":" FNR, "unsafe") }
    !shipped { next }

    # A tests module ends at the brace that is indented as it is: everything is formatted.
    in_tests { if ($0 == tests_end) in_tests = 0; next }
    code ~ /^ *#\[cfg\((all\()?test[,)]/ { pending = 1 }
    pending && code ~ /^ *(pub(\([a-z]+\))? )?mod [a-z_]+ *\{/ && code !~ /\}/ {
        in_tests = 1
        pending = 0
        tests_end = $0
        sub(/[^ ].*/, "}", tests_end)
        next
    }
    has_code && code !~ /^ *#\[/ { pending = 0 }

    # Labels stand in ordinary comments, not in documentation.
    comment ~ /^\/\/[^\/!]/ {
        if (comment ~ /^\/\/ (ORDERING|OK): /) end_race()
        if (comment ~ /(^\/\/|[.;:)]) ORDERING: /) { orderings++; budget = 7; used = 0 }
        if (comment ~ /(^\/\/|[.;:)]) OK: /) oks++
        if (comment ~ /(^\/\/|[.;:)]) RACE: /) {
            end_race()
            races++
            race_at = FILENAME ":" FNR
            race = ""
        }
        if (race_at) race = race " " substr(comment, 3)
    }
    has_code && race_at != FILENAME ":" FNR { end_race() }

    code ~ /^ *(pub(\([a-z]+\))? )?use .*Ordering::/ && code !~ /cmp::Ordering/ {
        wrong(FILENAME ":" FNR, "an imported order: write `Ordering::…` where it is used")
        next
    }
    has_code && budget { budget-- }
    code ~ order {
        operations++
        used = 1
        if (!budget) wrong(FILENAME ":" FNR, "an order without `// ORDERING:`")
    }
    # A label serves one statement.
    used && code ~ /[;{}] *$/ { budget = used = 0 }

    END {
        end_race()
        if (FILENAME == "") { print "no source found"; exit 1 }
        printf "ORDERING %d (lines with an order: %d), OK %d, RACE %d (loom models: %d)\n", \
            orderings, operations, oks, races, models
        if (!orderings) { print "FAILED: no ORDERING label found"; violations++ }
        if (violations) exit 1
    }
' || { echo "FAILED: see above" >&2; exit 1; }

for crate in crates/*/; do
    if ! grep -q '^#!\[forbid(unsafe_code)\]' "${crate}src/lib.rs"; then
        echo "FAILED: ${crate}src/lib.rs has no forbid(unsafe_code)" >&2
        exit 1
    fi
done
