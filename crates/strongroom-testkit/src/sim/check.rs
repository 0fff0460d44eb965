//! Whether a history is one that a store could have that does one thing at a time.
//!
//! Versions of a path are given out once and ascend, and each head has a number of its own. So no
//! search for an order is needed, as it is for registers in general: each pair of events is held
//! against what may have come between them. All that is named here is impossible; a history of
//! which nothing is named need not be possible in every detail.

use std::collections::BTreeMap;

use super::history::{Expected, Fate, Found, History, Kind, Look, Moment, Read, Write};
use super::plan::{CHECKED, FRESH};

/// All that is wrong with a history.
pub(super) fn check(history: &History) -> Vec<String> {
    let mut faults = history.faults.clone();
    let fresh = history.writes.iter().map(|write| write.path).filter(|path| *path >= FRESH);
    for path in (0..CHECKED).chain(fresh) {
        Path::of(history, path).check(&mut faults);
    }
    faults
}

/// What happened on one path.
struct Path<'h> {
    path: usize,
    writes: Vec<&'h Write>,
    reads: Vec<&'h Read>,
    looks: Vec<&'h Look>,
    /// Which version was in force at some moment of a span.
    witnesses: Vec<Witness>,
}

#[derive(Debug, Clone, Copy)]
struct Witness {
    version: u64,
    begin: Moment,
    end: Moment,
    /// Whether the version could be read then.
    enabled: bool,
}

impl<'h> Path<'h> {
    fn of(history: &'h History, path: usize) -> Self {
        let writes: Vec<_> = history.writes.iter().filter(|write| write.path == path).collect();
        let reads: Vec<_> = history.reads.iter().filter(|read| read.path == path).collect();
        let looks: Vec<_> = history.looks.iter().filter(|look| look.path == path).collect();
        let mut witnesses = Vec::new();
        for write in &writes {
            let (begin, end) = (write.begin, write.end);
            if let (Kind::Put { pending: false, .. } | Kind::Promote, Fate::Took(Some(version))) =
                (write.kind, write.fate)
            {
                witnesses.push(Witness { version, begin, end, enabled: true });
            }
        }
        for read in reads.iter().filter(|read| !read.is_cached) {
            let (begin, end) = (read.begin, read.end);
            match read.found {
                Found::Value { version, .. } => {
                    witnesses.push(Witness { version, begin, end, enabled: true });
                }
                Found::Deleted(version) | Found::Destroyed(version) => {
                    witnesses.push(Witness { version, begin, end, enabled: false });
                }
                Found::Nothing | Found::NothingInForce => {}
            }
        }
        for look in &looks {
            let (begin, end) = (look.begin, look.end);
            if let Some(version) = look.current {
                witnesses.push(Witness { version, begin, end, enabled: false });
            }
        }
        Self { path, writes, reads, looks, witnesses }
    }

    fn check(&self, faults: &mut Vec<String>) {
        let mut say = |what: String| faults.push(format!("path {}: {what}", self.path));
        self.numbers(&mut say);
        for read in self.reads.iter().filter(|read| !read.is_cached) {
            self.read(read, &mut say);
        }
        for look in &self.looks {
            if let Some(version) = look.current {
                self.in_force(version, look.begin, look.end, "metadata", &mut say);
            }
        }
        self.heads(&mut say);
        self.swaps(&mut say);
    }

    /// A version has one value and a value one version, and what did not happen is nowhere.
    fn numbers(&self, say: &mut dyn FnMut(String)) {
        let mut value_of: BTreeMap<u64, u64> = BTreeMap::new();
        let mut version_of: BTreeMap<u64, u64> = BTreeMap::new();
        let mut bind = |version: u64, number: u64, say: &mut dyn FnMut(String)| {
            let value = *value_of.entry(version).or_insert(number);
            let other = *version_of.entry(number).or_insert(version);
            if value != number {
                say(format!("version {version} is value {value} and value {number}"));
            }
            if other != version {
                say(format!("value {number} is version {other} and version {version}"));
            }
        };
        for write in &self.writes {
            if let (Kind::Put { number, .. }, Fate::Took(version)) = (write.kind, write.fate) {
                match version {
                    Some(version) => bind(version, number, say),
                    None => say(format!("value {number} was put and has no version")),
                }
            }
        }
        for read in &self.reads {
            let Found::Value { version, number } = read.found else { continue };
            bind(version, number, say);
            match self.put_of(number) {
                None => say(format!("value {number} was read and never put")),
                Some(put) if put.fate == Fate::Not => {
                    say(format!("value {number} was read, and its put was reported as not done"));
                }
                Some(put) if put.begin > read.end => {
                    say(format!("value {number} was read before it was put"));
                }
                Some(_) => {}
            }
        }
        self.counts(&version_of, say);
    }

    /// As many versions were given out as puts took effect.
    fn counts(&self, version_of: &BTreeMap<u64, u64>, say: &mut dyn FnMut(String)) {
        let mut last = self.looks.iter().map(|look| look.next - 1).max().unwrap_or(0);
        let (mut surely, mut perhaps) = (0, 0);
        for write in &self.writes {
            let Kind::Put { number, .. } = write.kind else { continue };
            last = last.max(version_taken(write).unwrap_or(0));
            let was_done = matches!(write.fate, Fate::Took(_)) || version_of.contains_key(&number);
            surely += u64::from(was_done);
            perhaps += u64::from(was_done || write.fate != Fate::Not);
        }
        // A put on the path is the last thing that a run does, so that `last` is all there is.
        if surely > last || last > perhaps {
            say(format!(
                "{last} versions were given out, where {surely} puts took effect and {} more may have",
                perhaps - surely
            ));
        }
    }

    fn put_of(&self, wanted: u64) -> Option<&Write> {
        self.writes
            .iter()
            .copied()
            .find(|write| matches!(write.kind, Kind::Put { number, .. } if number == wanted))
    }

    fn read(&self, read: &Read, say: &mut dyn FnMut(String)) {
        let (begin, end) = (read.begin, read.end);
        match read.found {
            Found::Value { version, .. } => {
                self.in_force(version, begin, end, "a read", say);
                self.not_ended(version, begin, end, say);
            }
            Found::Deleted(version) => {
                self.in_force(version, begin, end, "a read of a deleted version", say);
                if !self.may_have_ended(Kind::Delete, version, begin, end) {
                    say(format!("version {version} is deleted at {begin}, and nobody did that"));
                }
            }
            Found::Destroyed(version) => {
                self.in_force(version, begin, end, "a read of a destroyed version", say);
                if !self.may_have_ended(Kind::Destroy, version, begin, end) {
                    say(format!("version {version} is destroyed at {begin}, and nobody did that"));
                }
            }
            // A new version that is only pending may have come since.
            Found::Nothing | Found::NothingInForce => {
                self.nothing(&[Kind::Purge], false, begin, end, say);
            }
        }
    }

    /// A version was in force in a span: whatever was in force before it, something brought this
    /// one into force since.
    fn in_force(
        &self,
        version: u64,
        begin: Moment,
        end: Moment,
        what: &str,
        say: &mut dyn FnMut(String),
    ) {
        for before in self.witnesses.iter().filter(|witness| witness.end < begin) {
            if before.version == version {
                continue;
            }
            let brought = self.writes.iter().any(|write| {
                write.may_fall_between(before.begin, end) && may_bring(write, version)
            });
            if !brought {
                say(format!(
                    "{what} at {begin}..{end} found version {version}, after {} was in force at {}..{}",
                    before.version, before.begin, before.end
                ));
                return;
            }
        }
    }

    /// A version was read: it was not deleted, destroyed or purged before for good.
    fn not_ended(&self, version: u64, begin: Moment, end: Moment, say: &mut dyn FnMut(String)) {
        for write in self.writes.iter().filter(|write| write.end < begin) {
            let (Fate::Took(of), ended) = (write.fate, write.begin) else { continue };
            let returns = |kinds: &[Kind]| {
                self.writes
                    .iter()
                    .any(|other| kinds.contains(&other.kind) && other.may_fall_between(ended, end))
            };
            match write.kind {
                Kind::Destroy if of == Some(version) => {
                    say(format!("version {version} is read at {begin}, destroyed before"));
                }
                Kind::Delete if of == Some(version) && !returns(&[Kind::Undelete]) => {
                    say(format!("version {version} is read at {begin}, deleted before"));
                }
                Kind::Purge => {
                    let put = self.writes.iter().any(|put| {
                        put.may_fall_between(ended, end)
                            && matches!(put.kind, Kind::Put { .. })
                            && may_be(put, version)
                    });
                    if !put {
                        say(format!("version {version} is read at {begin}, purged before"));
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether something may have made a version unreadable since it last was seen readable.
    fn may_have_ended(&self, kind: Kind, version: u64, begin: Moment, end: Moment) -> bool {
        let seen = self
            .witnesses
            .iter()
            .filter(|witness| witness.enabled && witness.version == version && witness.end < begin);
        // A put or a promotion is a sign, too: only a version that can be read is promoted.
        let since = seen.map(|witness| witness.begin).max().unwrap_or(0);
        self.writes.iter().any(|write| {
            write.kind == kind && may_be(write, version) && write.may_fall_between(since, end)
        })
    }

    /// Nothing was in force in a span, or nothing that could be read: whatever was there before, one
    /// of those writes took it.
    fn nothing(
        &self,
        takes: &[Kind],
        only_enabled: bool,
        begin: Moment,
        end: Moment,
        say: &mut dyn FnMut(String),
    ) {
        let before = self.witnesses.iter().filter(|witness| witness.end < begin);
        let before = before.filter(|witness| witness.enabled || !only_enabled);
        let Some(last) = before.max_by_key(|witness| witness.begin) else { return };
        let taken = self
            .writes
            .iter()
            .any(|write| takes.contains(&write.kind) && write.may_fall_between(last.begin, end));
        if !taken {
            say(format!(
                "nothing is there at {begin}..{end}, after version {} was in force at {}..{}",
                last.version, last.begin, last.end
            ));
        }
    }

    /// Numbers of heads: one content each, none comes back, and each write has one.
    fn heads(&self, say: &mut dyn FnMut(String)) {
        let mut content_of: BTreeMap<u64, &str> = BTreeMap::new();
        for look in &self.looks {
            let known = *content_of.entry(look.seq).or_insert(&look.content);
            if known != look.content {
                say(format!("head {} was {known} and {}", look.seq, look.content));
            }
        }
        for later in &self.looks {
            let Some(before) = (self.looks.iter().filter(|look| look.end < later.begin))
                .max_by_key(|look| look.seq)
            else {
                continue;
            };
            let between = self
                .writes
                .iter()
                .any(|write| changes(write) && write.begin > before.end && write.end < later.begin);
            if later.seq < before.seq || between && later.seq == before.seq {
                say(format!(
                    "head {} is there at {}, after {} at {}",
                    later.seq, later.begin, before.seq, before.end
                ));
            }
            if later.next < before.next {
                say(format!("version {} comes back at {}", later.next, later.begin));
            }
        }
        for look in &self.looks {
            let put = self.writes.iter().filter(|write| write.end < look.begin);
            if let Some(last) = put.filter_map(|write| version_taken(write)).max()
                && look.next <= last
            {
                say(format!("version {last} was put, and {} comes next", look.next));
            }
        }
    }

    /// A compare-and-swap that succeeded found what it expected, and no other did with it.
    fn swaps(&self, say: &mut dyn FnMut(String)) {
        let swaps: Vec<(&Write, Expected)> = self
            .writes
            .iter()
            .filter(|write| matches!(write.fate, Fate::Took(_)))
            .filter_map(|write| match write.kind {
                Kind::Put { expected: Expected::Any, .. } => None,
                Kind::Put { expected, .. } => Some((*write, expected)),
                _ => None,
            })
            .collect();
        for (write, expected) in &swaps {
            match expected {
                Expected::Version(version) => {
                    self.in_force(*version, write.begin, write.end, "a swap", say);
                }
                Expected::Head(seq) => {
                    if self.looks.iter().any(|look| look.end < write.begin && look.seq > *seq) {
                        say(format!("a swap of head {seq} at {} came after it", write.begin));
                    }
                }
                Expected::Absent => {
                    let takes = [Kind::Purge, Kind::Destroy];
                    self.nothing(&takes, true, write.begin, write.end, say);
                }
                Expected::Any => {}
            }
        }
        for (at, (one, expected)) in swaps.iter().enumerate() {
            for (other, _) in swaps.iter().take(at).filter(|(_, other)| other == expected) {
                let (begin, end) = (one.begin.min(other.begin), one.end.max(other.end));
                let is_found_again = self.writes.iter().any(|write| {
                    write.may_fall_between(begin, end)
                        && match expected {
                            Expected::Version(version) => {
                                write.kind == Kind::Promote && may_be(write, *version)
                                    // A pending put leaves in force what is.
                                    || matches!(write.kind, Kind::Put { pending: true, .. })
                            }
                            Expected::Absent => matches!(write.kind, Kind::Purge | Kind::Destroy),
                            _ => false,
                        }
                });
                if !is_found_again {
                    say(format!(
                        "two swaps found {expected:?}, at {} and {}",
                        one.begin, other.begin
                    ));
                }
            }
        }
    }
}

/// Whether it may be on or with that version.
fn may_be(write: &Write, version: u64) -> bool {
    match write.fate {
        Fate::Took(Some(of)) => of == version,
        Fate::Took(None) | Fate::Maybe => true,
        Fate::Not => false,
    }
}

/// Whether it may have brought that version into force.
fn may_bring(write: &Write, version: u64) -> bool {
    matches!(write.kind, Kind::Put { pending: false, .. } | Kind::Promote) && may_be(write, version)
}

/// Whether it is known to have replaced the head.
fn changes(write: &Write) -> bool {
    matches!((write.kind, write.fate), (Kind::Put { .. } | Kind::Label, Fate::Took(_)))
}

fn version_taken(write: &Write) -> Option<u64> {
    match (write.kind, write.fate) {
        (Kind::Put { .. }, Fate::Took(version)) => version,
        _ => None,
    }
}
