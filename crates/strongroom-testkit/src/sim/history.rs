//! What engines were asked and what they answered, in the order in which that was seen.

/// A moment of a run. Two things that were begun and ended at moments that overlap may have
/// happened in either order.
pub(super) type Moment = u64;

/// Later than all that happens: the end of what never ended.
pub(super) const NEVER: Moment = Moment::MAX;

/// What is known of a write's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It took effect between its two moments, with or on that version.
    Took(Option<u64>),
    /// It did not, and never will.
    Not,
    /// It may have, at any moment after it began.
    Maybe,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of the value with that number.
    Put {
        number: u64,
        pending: bool,
        expected: Expected,
    },
    Label,
    Delete,
    Undelete,
    Destroy,
    Purge,
    Promote,
}

/// What a put expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Any,
    Absent,
    Version(u64),
    Head(u64),
}

/// A write on a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    pub(super) path: usize,
    pub(super) kind: Kind,
    pub(super) begin: Moment,
    /// When its fate was known, [`NEVER`] as long as it is not.
    pub(super) end: Moment,
    pub(super) fate: Fate,
}

impl Write {
    /// Whether it may have taken effect after the one moment and before the other.
    pub(super) fn may_fall_between(&self, after: Moment, before: Moment) -> bool {
        self.fate != Fate::Not && self.begin < before && self.end > after
    }
}

/// What a read of the version in force found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A version, and the number that its value carries.
    Value {
        version: u64,
        number: u64,
    },
    /// No secret, or no namespace.
    Nothing,
    /// A secret without a version in force.
    NothingInForce,
    Deleted(u64),
    Destroyed(u64),
}

/// A read of the version in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub(super) path: usize,
    pub(super) begin: Moment,
    pub(super) end: Moment,
    /// Whether it may show an earlier state.
    pub(super) is_cached: bool,
    pub(super) found: Found,
}

/// A read of metadata.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) path: usize,
    pub(super) begin: Moment,
    pub(super) end: Moment,
    pub(super) seq: u64,
    pub(super) next: u64,
    pub(super) current: Option<u64>,
    /// All of it: two with the same seq are the same.
    pub(super) content: String,
}

/// A whole run as its clients saw it.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    now: Moment,
    pub(super) writes: Vec<Write>,
    pub(super) reads: Vec<Read>,
    pub(super) looks: Vec<Look>,
    /// What no run may see, whatever came before.
    pub(super) faults: Vec<String>,
    /// A line for each thing that happened.
    pub(super) lines: Vec<String>,
}

impl History {
    pub(super) fn moment(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    /// A write begins. Until its end is told it may have any.
    pub(super) fn begin_write(&mut self, path: usize, kind: Kind) -> usize {
        let begin = self.moment();
        self.writes.push(Write { path, kind, begin, end: NEVER, fate: Fate::Maybe });
        self.writes.len() - 1
    }

    /// The fate of a write is known.
    pub(super) fn end_write(&mut self, at: usize, fate: Fate) {
        let end = self.moment();
        if let Some(write) = self.writes.get_mut(at)
            && fate != Fate::Maybe
        {
            (write.fate, write.end) = (fate, end);
        }
    }

    pub(super) fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    pub(super) fn line(&mut self, what: String) {
        let now = self.now;
        self.lines.push(format!("{now} {what}"));
    }
}
