//! Which names this segment of the log has told already, and the tokens of names in use.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

use strongroom_core::StoreIdentity;

use crate::line::{NameClass, NameToken};

/// Slots of the token cache. A text of the same slot takes the place of the one before.
const CACHE_SLOTS: usize = 1024;
/// From this many on the set of told names starts anew: telling a name twice costs a line, no harm.
const MAX_TOLD: usize = 114_688;
/// Texts beyond this length are not cached.
const MAX_CACHED_BYTES: usize = 256;

#[derive(Debug)]
pub(crate) struct Names {
    cache: Vec<Slot>,
    told: Told,
    /// Told since the last mark, so that it can be taken back.
    recent: Vec<NameToken>,
    /// What was told before all began anew since the last mark.
    before: Option<Told>,
}

type Told = HashSet<NameToken, BuildHasherDefault<TokenHasher>>;

#[derive(Debug, Clone, Default)]
struct Slot {
    class: u8,
    text: String,
    token: [u8; 16],
}

impl Names {
    pub(crate) fn new() -> Self {
        Self {
            cache: vec![Slot::default(); CACHE_SLOTS],
            told: HashSet::default(),
            recent: Vec::new(),
            before: None,
        }
    }

    pub(crate) fn token(
        &mut self,
        identity: &dyn StoreIdentity,
        class: NameClass,
        text: &str,
    ) -> NameToken {
        let class = class.number();
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(class);
        hasher.write(text.as_bytes());
        let slot = usize::try_from(hasher.finish() % CACHE_SLOTS as u64).unwrap_or_default();
        match self.cache.get_mut(slot) {
            // Class 0 is an empty slot.
            Some(slot) if slot.class == class && slot.text == text => NameToken(slot.token),
            Some(slot) if text.len() <= MAX_CACHED_BYTES => {
                slot.class = class;
                slot.text.clear();
                slot.text.push_str(text);
                slot.token = identity.token(class, text);
                NameToken(slot.token)
            }
            _ => NameToken(identity.token(class, text)),
        }
    }

    /// Whether this is the token's first use in this segment; from now on it is not.
    pub(crate) fn is_first_use(&mut self, token: NameToken) -> bool {
        if self.told.contains(&token) {
            return false;
        }
        if self.told.len() >= MAX_TOLD {
            self.told.clear();
        }
        self.told.insert(token);
        self.recent.push(token);
        true
    }

    /// Forgets what was told: a segment tells its names itself.
    pub(crate) fn begin_anew(&mut self) {
        self.before = Some(std::mem::take(&mut self.told));
        self.recent.clear();
    }

    pub(crate) fn mark(&mut self) {
        self.recent.clear();
        self.before = None;
    }

    pub(crate) fn rollback(&mut self) {
        if let Some(before) = self.before.take() {
            self.told = before;
            self.recent.clear();
        }
        for token in self.recent.drain(..) {
            self.told.remove(&token);
        }
    }
}

/// Takes the eight bytes that a token hashes itself to.
#[derive(Debug, Default)]
struct TokenHasher(u64);

impl Hasher for TokenHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}
