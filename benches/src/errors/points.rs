//! Which calls of a process are on the files of a store, by a trace of it.

use std::collections::BTreeMap;

/// What writes, syncs, cuts, names and removes.
pub(super) const CALLS: [&str; 16] = [
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "mkdir",
];

/// Names and numbers of calls of which each is on the store in every thread that comes so far: a
/// thread has its own count.
pub(super) fn points(trace: &str, store: &str) -> Vec<(&'static str, usize)> {
    // Of each call: by thread, whether it was on the store.
    let mut calls: BTreeMap<&'static str, BTreeMap<&str, Vec<bool>>> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, words)) = rest.trim_start().split_once('(') else { continue };
        if let Some(call) = CALLS.into_iter().find(|call| *call == name) {
            let threads = calls.entry(call).or_default();
            threads.entry(thread).or_default().push(words.contains(store));
        }
    }
    let mut points = Vec::new();
    for (call, threads) in calls {
        let most = threads.values().map(Vec::len).max().unwrap_or(0);
        for at in 0..most {
            if threads.values().all(|calls| calls.get(at).copied().unwrap_or(true)) {
                points.push((call, at + 1));
            }
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_no_call_on_the_store() {
        let trace = "1 write(1<pipe:[7]>, \"x\", 1) = 1\n\
            1 write(3</dir/a>, \"x\", 1) = 1\n\
            2 write(3</dir/a>, \"x\", 1 <unfinished ...>\n\
            2 <... write resumed>) = 1\n\
            2 fsync(3</dir/a>) = 0\n\
            1 rename(\"/dir/a\", \"/dir/b\") = 0\n\
            2 write(3</dir/a>, \"x\", 1) = 1\n";
        assert_eq!(points(trace, "/dir"), [("fsync", 1), ("rename", 1), ("write", 2)]);
    }
}
