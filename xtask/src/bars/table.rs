//! What must be reached. Later parts add rows.

/// One promised figure.
pub(super) struct Bar {
    /// The part of the work that it belongs to.
    pub(super) part: &'static str,
    /// Its short name, unique.
    pub(super) id: &'static str,
    /// What is measured.
    pub(super) what: &'static str,
    /// What must be reached, in words.
    pub(super) reach: &'static str,
    /// What measures it.
    pub(super) measure: Measure,
}

pub(super) enum Measure {
    /// The program `bars` of the package in `benches/`, called with the id.
    Binary,
    /// A test target that prints `CASES n`.
    Tests { package: &'static str, test: &'static str, at_least: usize },
    /// What a clone of this repository does on an empty machine.
    FreshClone,
}

const FOUNDATION: &str = "foundation";

const TRUTH: &str = "truth";

const fn truth(id: &'static str, what: &'static str, reach: &'static str) -> Bar {
    Bar { part: TRUTH, id, what, reach, measure: Measure::Binary }
}

const ROTATION: &str = "rotation";

const fn rotation(id: &'static str, what: &'static str, reach: &'static str) -> Bar {
    Bar { part: ROTATION, id, what, reach, measure: Measure::Binary }
}

const fn foundation(id: &'static str, what: &'static str, reach: &'static str) -> Bar {
    Bar { part: FOUNDATION, id, what, reach, measure: Measure::Binary }
}

pub(super) const BARS: [Bar; 23] = [
    Bar {
        part: FOUNDATION,
        id: "misuse",
        what: "misuse that does not compile, each beside a twin that does",
        reach: "at least 20 cases",
        measure: Measure::Tests { package: "strongroom-compile-fail", test: "cases", at_least: 20 },
    },
    Bar {
        part: FOUNDATION,
        id: "record-format",
        what: "every flip, truncation and swap of records, namespace records, values and blobs",
        reach: "100 % refused as named",
        measure: Measure::Tests {
            package: "strongroom-crypto",
            test: "record_format",
            at_least: 50_000,
        },
    },
    Bar {
        part: FOUNDATION,
        id: "second-reader",
        what: "the vectors, 1,000 random records and a whole store, read by the Python reader",
        reach: "100 % read as written",
        measure: Measure::Tests {
            package: "strongroom",
            test: "second_implementation",
            at_least: 2_000,
        },
    },
    foundation(
        "get-current",
        "get of 256 B, authorised, audited, current, flushed",
        "at most 20 x raw AES-256-GCM, 200,000/s, 12 allocations",
    ),
    foundation("get-at-most", "get with AtMost(1 s) and a held log", "at most 8 x raw"),
    foundation(
        "put",
        "durable put of 256 B",
        "median at most 1.5 x bare insert, 64 tasks at least 8 x one, at most 2 syncs",
    ),
    foundation("decision", "decision at 1,000 rules", "at most 300 ns, no allocation"),
    foundation("file-size", "database file at 100,000 secrets of 256 B", "at most 950 B a secret"),
    foundation("start", "clean open beside Argon2id", "at most 5 ms of CPU, 3 syncs"),
    foundation(
        "memory",
        "resident memory after 100,000 reads over 100,000 secrets",
        "at most 25 MB",
    ),
    foundation(
        "plaintext",
        "plaintext left in memory after put, get, rewrap, drop",
        "0 hits beside a planted control",
    ),
    Bar {
        part: FOUNDATION,
        id: "words",
        what: "a canary through every error, Debug, log and audit line",
        reach: "0 hits; deny and absent alike",
        measure: Measure::Tests { package: "strongroom", test: "words", at_least: 10_000 },
    },
    foundation("directory", "names in the files of a store of 10,000 secrets", "0 hits"),
    foundation(
        "kill",
        "kill -9 of a writing process",
        "500 kills, no acknowledged write lost, nobody accused",
    ),
    Bar {
        part: FOUNDATION,
        id: "cancel",
        what: "every operation dropped at every await point",
        reach: "what was reported happened, the rest is settled: at least 5,000 drops",
        measure: Measure::Tests { package: "strongroom-engine", test: "cancel", at_least: 5_000 },
    },
    foundation(
        "processes",
        "4 processes, 1,000 increments each on one path",
        "exact, no wait over 1 s",
    ),
    Bar {
        part: FOUNDATION,
        id: "bad-input",
        what: "malformed paths, policies, passphrases, files, modes",
        reach: "at least 80 typed errors, no panic, nothing changed",
        measure: Measure::Tests { package: "strongroom", test: "bad_input", at_least: 80 },
    },
    Bar {
        part: FOUNDATION,
        id: "fresh-clone",
        what: "both README commands with an empty registry; crates of the facade; .ci/run",
        reach: "both work; at most 115 crates; within 25 minutes",
        measure: Measure::FreshClone,
    },
    truth(
        "append",
        "the record of a get: held; flushed by 8 callers; synced by 64",
        "1,000,000/s; 400,000/s; at least 30 x one sync a record",
    ),
    truth(
        "verify",
        "verifying 10,000,000 records of 100,000 secrets",
        "at most 1.6 x parsing and hashing alone, in at most 64 MiB",
    ),
    truth(
        "open",
        "opening after kill -9 beside a log of 10,000,000 records, without Argon2id",
        "at most 25 ms",
    ),
    Bar {
        part: TRUTH,
        id: "witness",
        what: "a witness in Python, from the text of C2SP, beside a log that grows, forks, shrinks",
        reach: "co-signs what goes on from what it saw, refuses all else with the right status",
        measure: Measure::Tests { package: "strongroom", test: "witness", at_least: 60 },
    },
    rotation(
        "exchange",
        "8 processes, 500 tokens that can be used once, an issuer that revokes all on reuse",
        "0 reuses, every process ends with the newest",
    ),
];
