//! What a process has in its memory, read by another one while it waits.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::{Hit, Needles, Outcome};

/// What was searched, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    /// Bytes read.
    pub bytes: usize,
    /// Where something was found: the name of the mapping, and the find.
    pub hits: Vec<(String, Hit)>,
}

/// Searches all that a process can read of its own memory. Linux only.
///
/// # Errors
/// Where this process may not read that one's memory.
pub(crate) fn search_process(process: u32, needles: &Needles) -> Outcome<Searched> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps"))?;
    let memory = File::open(format!("/proc/{process}/mem"))?;
    let mut searched = Searched::default();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let name = words.nth(3).unwrap_or("anonymous");
        // What the kernel lends cannot be read from outside.
        if !rights.starts_with('r') || matches!(name, "[vvar]" | "[vvar_vclock]" | "[vsyscall]") {
            continue;
        }
        let Some((from, to)) = range.split_once('-') else { continue };
        let (from, to) = (u64::from_str_radix(from, 16)?, u64::from_str_radix(to, 16)?);
        let mut content = vec![0; usize::try_from(to - from)?];
        if let Err(error) = memory.read_exact_at(&mut content, from) {
            // The index of the write-ahead log, where its file is shorter than its mapping.
            if name.starts_with('/') {
                continue;
            }
            return Err(format!("reading {line}: {error}").into());
        }
        searched.bytes += content.len();
        let hits = needles.find(&content).into_iter();
        searched.hits.extend(hits.map(|hit| (name.to_owned(), hit)));
    }
    Ok(searched)
}
