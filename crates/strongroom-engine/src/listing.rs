//! The paths below a prefix, page by page or sorted.

use strongroom_core::SecretPath;

use crate::error::{Error, Invalid};
use crate::vault::Walk;

/// How many names a sorted listing has at most.
pub const MAX_SORTED: usize = 10_000;

/// A listing under way.
pub struct Listing(Walk);

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listing")
    }
}

impl Listing {
    pub(crate) const fn new(walk: Walk) -> Self {
        Self(walk)
    }

    /// The next paths, in no order; `None` at the end. What is written meanwhile may be in it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn next_page(&mut self) -> Result<Option<Vec<SecretPath>>, Error> {
        self.0.next_page().await
    }

    /// All that is left, sorted; at most [`MAX_SORTED`].
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are more; see [`Error`].
    pub async fn sorted(mut self) -> Result<Vec<SecretPath>, Error> {
        let mut all = Vec::new();
        while let Some(page) = self.next_page().await? {
            all.extend(page);
            if all.len() > MAX_SORTED {
                return Err(Invalid::Request("too many paths to be sorted: list by page").into());
            }
        }
        all.sort();
        Ok(all)
    }
}
