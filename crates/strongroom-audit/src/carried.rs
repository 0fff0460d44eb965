//! What a segment carries over, held to what its first line says.

use crate::line::Line;

/// The `carried` lines that are still to come: so many, in the order of their intents, before any
/// record.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    left: u64,
    /// Their intents lie below.
    below: u64,
    last: Option<u64>,
}

impl Carried {
    /// Takes the next line of a log.
    pub(crate) fn take(&mut self, line: &Line<'_>) -> Result<(), &'static str> {
        let is_whole = self.is_whole();
        match line {
            Line::Name(_) => return Ok(()),
            Line::Carried(line) => {
                let follows = self.last.is_none_or(|last| last < line.intent);
                let fits = !is_whole && follows && line.intent < self.below;
                self.left = self.left.saturating_sub(1);
                self.last = Some(line.intent);
                return if fits { Ok(()) } else { Err("its segment does not carry it over") };
            }
            Line::Segment(line) => {
                *self = Self { left: line.carried, below: line.size, last: None };
            }
            _ => return self.end(),
        }
        if is_whole { Ok(()) } else { Err(MISSING) }
    }

    /// Takes a line that is neither a name nor of a segment's beginning.
    pub(crate) const fn end(&mut self) -> Result<(), &'static str> {
        let is_whole = self.is_whole();
        self.left = 0;
        if is_whole { Ok(()) } else { Err(MISSING) }
    }

    /// Whether all are there.
    pub(crate) const fn is_whole(&self) -> bool {
        self.left == 0
    }
}

/// What is said of a segment that ends before it has carried over what it should.
pub(crate) const MISSING: &str = "a write that was open before this segment is not carried over";
