//! Patterns of paths. A pattern is another type than a path: no text is both.

use std::sync::Arc;

use strongroom_core::{MAX_PATH_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS};
use thiserror::Error;

/// The most `**` that one pattern has. More would let one pattern fit a path in thousands of ways.
const MAX_RESTS: usize = 2;

/// What a rule's path entry matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathPattern {
    /// `/`: the store as a whole.
    Store,
    /// Segments, one or more.
    Path(Vec<SegmentPattern>),
}

/// What one place of a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SegmentPattern {
    /// That segment.
    Literal(Box<str>),
    /// `*`: any one segment.
    Any,
    /// `db-*`: one segment with that beginning and that end, which do not overlap.
    Affix { prefix: Box<str>, suffix: Box<str> },
    /// `**`: any number of segments, none included.
    Rest,
    /// `${tenant}`: the one segment that the principal's claim is.
    Claim(Arc<str>),
}

/// What is wrong with a path pattern. `at` is a byte offset into the pattern.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PatternProblem {
    /// No text.
    #[error("it is empty: write a pattern such as `prod/billing/**`")]
    Empty,
    /// Nothing between two slashes, or before the first or after the last.
    #[error("there is an empty segment at byte {at}: write no leading, trailing or doubled `/`")]
    EmptySegment {
        /// Where.
        at: usize,
    },
    /// A character that no segment has.
    #[error(
        "U+{:04X} at byte {at} is not allowed: use A-Z a-z 0-9 . _ - with `*`, `**` or `${{claim}}`",
        u32::from(*.character)
    )]
    Character {
        /// Where.
        at: usize,
        /// Which.
        character: char,
    },
    /// A segment that begins with a dot.
    #[error("the segment at byte {at} begins with `.`, and no segment of a path does")]
    LeadingDot {
        /// Where.
        at: usize,
    },
    /// `prod/**x`.
    #[error(
        "`**` at byte {at} is not a segment of its own: write it between slashes, as in `prod/**`"
    )]
    RestInSegment {
        /// Where.
        at: usize,
    },
    /// `d*b*`.
    #[error("there is a second `*` in one segment at byte {at}: use one, as in `db-*`")]
    SecondStar {
        /// Where.
        at: usize,
    },
    /// `a/**/**`.
    #[error("`**` at byte {at} follows another one: write it once")]
    DoubledRest {
        /// Where.
        at: usize,
    },
    /// More than two `**`.
    #[error("there is a third `**` at byte {at}: use at most two")]
    ManyRests {
        /// Where.
        at: usize,
    },
    /// `a-${tenant}`, `${}`, or a name with other characters.
    #[error(
        "`$` at byte {at} does not begin a segment of the form `${{claim}}`: \
         the placeholder is a whole segment, its name 1 to 128 of A-Z a-z 0-9 . _ - :"
    )]
    Placeholder {
        /// Where.
        at: usize,
    },
    /// A segment that is too long to match.
    #[error("the segment at byte {at} is longer than 128 bytes")]
    LongSegment {
        /// Where.
        at: usize,
    },
    /// A pattern that is too long to match.
    #[error("it is longer than 512 bytes")]
    Long,
    /// More segments than a path has.
    #[error("it has more than 16 segments beside `**`")]
    ManySegments,
}

impl PathPattern {
    /// Parses the documented forms, and no other.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternProblem> {
        match text {
            "" => return Err(PatternProblem::Empty),
            "/" => return Ok(Self::Store),
            _ if text.len() > MAX_PATH_BYTES => return Err(PatternProblem::Long),
            _ => {}
        }
        let mut segments = Vec::new();
        let (mut at, mut rests) = (0, 0);
        for part in text.split('/') {
            let segment = segment(part, at)?;
            if segment == SegmentPattern::Rest {
                if segments.last() == Some(&SegmentPattern::Rest) {
                    return Err(PatternProblem::DoubledRest { at });
                }
                rests += 1;
                if rests > MAX_RESTS {
                    return Err(PatternProblem::ManyRests { at });
                }
            }
            segments.push(segment);
            at += part.len() + 1;
        }
        if segments.len() - rests > MAX_SEGMENTS {
            return Err(PatternProblem::ManySegments);
        }
        Ok(Self::Path(segments))
    }
}

fn segment(part: &str, at: usize) -> Result<SegmentPattern, PatternProblem> {
    match part {
        "" => return Err(PatternProblem::EmptySegment { at }),
        "*" => return Ok(SegmentPattern::Any),
        "**" => return Ok(SegmentPattern::Rest),
        _ => {}
    }
    if let Some(offset) = part.find('$') {
        let name = part.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        return match name {
            Some(name) if is_claim_name(name) => Ok(SegmentPattern::Claim(name.into())),
            _ => Err(PatternProblem::Placeholder { at: at + offset }),
        };
    }
    if let Some(offset) = part.find("**") {
        return Err(PatternProblem::RestInSegment { at: at + offset });
    }
    if part.len() > MAX_SEGMENT_BYTES {
        return Err(PatternProblem::LongSegment { at });
    }
    if part.starts_with('.') {
        return Err(PatternProblem::LeadingDot { at });
    }
    let mut star = None;
    for (offset, character) in part.char_indices() {
        match character {
            '*' if star.is_some() => return Err(PatternProblem::SecondStar { at: at + offset }),
            '*' => star = Some(offset),
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => {}
            _ => return Err(PatternProblem::Character { at: at + offset, character }),
        }
    }
    Ok(match part.split_once('*') {
        Some((prefix, suffix)) => {
            SegmentPattern::Affix { prefix: prefix.into(), suffix: suffix.into() }
        }
        None => SegmentPattern::Literal(part.into()),
    })
}

fn is_claim_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fc_094_only_the_documented_forms_parse_and_the_place_is_named() {
        use PatternProblem::*;

        for good in [
            "/",
            "prod",
            "*",
            "**",
            "prod/*",
            "prod/**",
            "prod/*/db",
            "prod/**/db",
            "prod/db-*",
            "prod/*-db",
            "prod/a*z",
            "**/db",
            "prod/${tenant}/**",
            "${urn:org}/db",
            "**/a/**",
        ] {
            assert!(PathPattern::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(129);
        let long_path = "a/".repeat(300);
        let deep = ["a"; 17].join("/");
        for (bad, problem) in [
            ("", Empty),
            ("/prod", EmptySegment { at: 0 }),
            ("prod/", EmptySegment { at: 5 }),
            ("prod//db", EmptySegment { at: 5 }),
            ("//", EmptySegment { at: 0 }),
            ("prod/**x", RestInSegment { at: 5 }),
            ("prod/x**", RestInSegment { at: 6 }),
            ("prod/***", RestInSegment { at: 5 }),
            ("prod/d*b*", SecondStar { at: 8 }),
            ("prod/*b*", SecondStar { at: 7 }),
            ("prod/**/**", DoubledRest { at: 8 }),
            ("**/a/**/b/**", ManyRests { at: 10 }),
            ("prod/?", Character { at: 5, character: '?' }),
            ("prod/[ab]", Character { at: 5, character: '[' }),
            ("prod/a b", Character { at: 6, character: ' ' }),
            ("prod/{a}", Character { at: 5, character: '{' }),
            ("!prod", Character { at: 0, character: '!' }),
            ("prod\\db", Character { at: 4, character: '\\' }),
            ("prod/é", Character { at: 5, character: 'é' }),
            ("prod/..", LeadingDot { at: 5 }),
            ("prod/.*", LeadingDot { at: 5 }),
            ("prod/a-${tenant}", Placeholder { at: 7 }),
            ("prod/${tenant}x", Placeholder { at: 5 }),
            ("prod/${}", Placeholder { at: 5 }),
            ("prod/${a}${b}", Placeholder { at: 5 }),
            ("prod/${a*}", Placeholder { at: 5 }),
            ("prod/$tenant", Placeholder { at: 5 }),
            (&long, LongSegment { at: 0 }),
            (&long_path, Long),
            (&deep, ManySegments),
        ] {
            assert_eq!(PathPattern::parse(bad), Err(problem), "{bad}");
        }
    }
}
