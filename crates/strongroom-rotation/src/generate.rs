//! New secrets for rotation: texts under the rules of a target, keys, and names of accounts.
//!
//! They are made here so that no host draws them with a biased `% n`, from a source that has
//! failed unnoticed, or with fewer bits than it believes.

use std::iter;

use strongroom_core::{Entropy, EntropyError, SecretText, SecretValue};
use thiserror::Error;
use zeroize::Zeroizing;

/// The longest text that is generated, in characters.
const MAX_LENGTH: usize = 1024;
/// Where fewer texts of the alphabet than this satisfy the policy, it is refused.
const MIN_ACCEPTANCE: f64 = 0.001;
/// Above the rounding errors of [`TextGenerator::acceptance`], in bits.
const ROUNDING: f64 = 1e-6;
/// Bytes that are drawn at once for a text.
const BLOCK: usize = 64;
/// Blocks per character of the text before the source is held to be broken. They are enough for
/// 100 000 candidates where each byte gives a character with 1/8; it is more than 1/2. With the
/// worst policy, one candidate in 1000, a working source fails with less than 2^-140.
const BLOCKS_PER_CHARACTER: usize = 8 * 100_000 / BLOCK;
/// Characters of the random part of a name, of 5 bits each.
const NAME_RANDOM: usize = 16;

/// Why nothing was generated.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum GenerateError {
    /// No randomness.
    #[error("a new secret needs randomness")]
    Entropy(#[from] EntropyError),
    /// The source gives what a working one does not give in practice.
    #[error("the source of randomness repeats itself: replace it, and what was made from it")]
    Stuck,
    /// A key outside 16 to 64 bytes.
    #[error("a key of {asked} bytes was asked for: choose 16 to 64")]
    KeyLength {
        /// How many.
        asked: usize,
    },
    /// A limit that leaves no room for the random part.
    #[error(
        "a name of at most {limit} bytes cannot be told from others: it needs 17, of which 16 are random"
    )]
    NameLimit {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A prefix that a target may quote, fold or refuse.
    #[error(
        "the prefix is wrong at byte {at}: begin with a-z, and go on with a-z, 0-9 and underscores"
    )]
    Prefix {
        /// Byte offset.
        at: usize,
    },
}

/// Why a policy is refused.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TextPolicyError {
    /// Outside 1 to 1024.
    #[error("a text of {asked} characters was asked for: choose 1 to 1024")]
    Length {
        /// How many.
        asked: usize,
    },
    /// Neither a letter, digit or punctuation of ASCII, nor the space.
    #[error("{character:?} is no printable ASCII character: leave it out of the alphabet")]
    Character {
        /// Which.
        character: char,
    },
    /// Twice in one alphabet, where it would be drawn twice as often.
    #[error("{character:?} is twice in an alphabet: name it once")]
    Repeated {
        /// Which.
        character: char,
    },
    /// Fewer than two characters.
    #[error("the alphabet has fewer than 2 characters, which leaves nothing to choose: name more")]
    Alphabet,
    /// No character to begin with.
    #[error("no character is left to begin with: name some, or leave out `starting_with`")]
    Start,
    /// A first character that is not in the alphabet.
    #[error("a text may begin with {character:?}, which is not in the alphabet: name it in both")]
    StartOutside {
        /// Which.
        character: char,
    },
    /// A required class without a character in the alphabet.
    #[error("{class:?} is required and the alphabet has none: add some, or do not require it")]
    Missing {
        /// Which.
        class: CharClass,
    },
    /// More characters required than there are.
    #[error(
        "{required} characters are required of classes, and the text has {length}: lengthen it"
    )]
    Required {
        /// How many.
        required: usize,
        /// How many there are.
        length: usize,
    },
    /// Fewer than one text in 1000 satisfies what is required.
    #[error("fewer than one text in 1000 has the required classes: lengthen it, or require less")]
    Unlikely,
    /// Fewer bits than required.
    #[error(
        "such texts have {bits} bits where {asked} are required: take {length} characters (at most 1024), or a larger alphabet"
    )]
    Weak {
        /// How many, rounded down.
        bits: u32,
        /// How many are required.
        asked: u32,
        /// A length that would do, where it is within the limit.
        length: usize,
    },
}

/// A class of characters that a target asks for. The space is in none: some targets count it as a
/// symbol and others do not.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharClass {
    /// `a` to `z`.
    Lower,
    /// `A` to `Z`.
    Upper,
    /// `0` to `9`.
    Digit,
    /// The 32 punctuation characters of ASCII.
    Symbol,
}

impl CharClass {
    const fn of(byte: u8) -> Option<Self> {
        match byte {
            b'a'..=b'z' => Some(Self::Lower),
            b'A'..=b'Z' => Some(Self::Upper),
            b'0'..=b'9' => Some(Self::Digit),
            _ if byte.is_ascii_punctuation() => Some(Self::Symbol),
            _ => None,
        }
    }
}

/// What a target accepts as a password or token; [`build`](Self::build) makes a generator of it.
///
/// Where nothing else is said: letters and digits, no class required, any first character, and at
/// least [`DEFAULT_MIN_ENTROPY_BITS`](Self::DEFAULT_MIN_ENTROPY_BITS).
///
/// ```
/// use strongroom_rotation::{CharClass, TextPolicy};
/// use strongroom_testkit::SeededEntropy;
///
/// let generator = TextPolicy::new(24)
///     .alphabet(TextPolicy::UNRESERVED)
///     .starting_with(TextPolicy::LETTERS)
///     .at_least(1, CharClass::Digit)
///     .min_entropy_bits(128)
///     .build()?;
/// let password = generator.generate(&SeededEntropy::new(7))?;
/// assert_eq!(password.len(), 24);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TextPolicy {
    length: usize,
    alphabet: String,
    first: Option<String>,
    required: Vec<(CharClass, usize)>,
    min_bits: u32,
}

impl TextPolicy {
    /// The letters of ASCII.
    pub const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    /// The letters and digits of ASCII.
    pub const LETTERS_AND_DIGITS: &str =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    /// What is never escaped in a URL (RFC 3986, 2.3): letters, digits and `-._~`.
    pub const UNRESERVED: &str =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    /// The bits that a text must have where nothing else is said. Fewer can be searched by whoever
    /// has a fast hash of it.
    pub const DEFAULT_MIN_ENTROPY_BITS: u32 = 64;

    /// Texts of exactly this many characters, 1 to 1024.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self {
            length,
            alphabet: Self::LETTERS_AND_DIGITS.to_owned(),
            first: None,
            required: Vec::new(),
            min_bits: Self::DEFAULT_MIN_ENTROPY_BITS,
        }
    }

    /// The characters of the text: 2 to 95 different printable ones of ASCII.
    #[must_use]
    pub fn alphabet(mut self, characters: impl Into<String>) -> Self {
        self.alphabet = characters.into();
        self
    }

    /// The characters that the text may begin with: different ones of the alphabet.
    #[must_use]
    pub fn starting_with(mut self, characters: impl Into<String>) -> Self {
        self.first = Some(characters.into());
        self
    }

    /// Requires that many characters of a class. What is said twice of a class must hold twice, so
    /// that the larger count decides.
    #[must_use]
    pub fn at_least(mut self, count: usize, class: CharClass) -> Self {
        self.required.push((class, count));
        self
    }

    /// Refuses the policy where its texts have fewer bits of entropy. Fewer than 64 must be asked
    /// for, as for a PIN that is locked after some attempts.
    #[must_use]
    pub fn min_entropy_bits(mut self, bits: u32) -> Self {
        self.min_bits = bits;
        self
    }

    /// The generator of such texts. It takes up to some tens of milliseconds for long texts with
    /// required classes: keep it.
    ///
    /// # Errors
    /// The first thing that is wrong with the policy.
    pub fn build(self) -> Result<TextGenerator, TextPolicyError> {
        let length = self.length;
        if !(1..=MAX_LENGTH).contains(&length) {
            return Err(TextPolicyError::Length { asked: length });
        }
        let alphabet = Alphabet::new(&self.alphabet)?;
        if alphabet.0.len() < 2 {
            return Err(TextPolicyError::Alphabet);
        }
        let first = match &self.first {
            Some(first) => Alphabet::new(first)?,
            None => alphabet.clone(),
        };
        if first.0.is_empty() {
            return Err(TextPolicyError::Start);
        }
        if let Some(&outside) = first.0.iter().find(|byte| !alphabet.0.contains(byte)) {
            return Err(TextPolicyError::StartOutside { character: char::from(outside) });
        }
        let required = Kind::ALL.map(|kind| least(&self.required, kind));
        let required = required.into_iter().fold(0, usize::saturating_add);
        if required > length {
            return Err(TextPolicyError::Required { required, length });
        }
        let is_missing = |class| alphabet.count(Some(class)) == 0;
        if let Some(&(class, _)) = self.required.iter().find(|&&(c, n)| n > 0 && is_missing(c)) {
            return Err(TextPolicyError::Missing { class });
        }

        let mut generator =
            TextGenerator { length, alphabet, first, required: self.required, bits: 0.0 };
        let per_character = generator.alphabet.bits();
        generator.bits = generator.first.bits() + (length - 1) as f64 * per_character;
        if required > 0 {
            let acceptance = generator.acceptance();
            if acceptance < MIN_ACCEPTANCE {
                return Err(TextPolicyError::Unlikely);
            }
            generator.bits = (generator.bits + acceptance.log2() - ROUNDING).max(0.0);
        }
        if generator.entropy_bits() < self.min_bits {
            // A satisfying text stays one whatever is added to it, and so each further character
            // adds no fewer bits than it has itself.
            let further = (f64::from(self.min_bits) - generator.bits) / per_character;
            return Err(TextPolicyError::Weak {
                bits: generator.entropy_bits(),
                asked: self.min_bits,
                length: length.saturating_add(whole(further.ceil()) as usize),
            });
        }
        Ok(generator)
    }
}

/// Generates texts under a [`TextPolicy`] that was found to be sound.
#[derive(Debug, Clone)]
pub struct TextGenerator {
    length: usize,
    alphabet: Alphabet,
    first: Alphabet,
    required: Vec<(CharClass, usize)>,
    bits: f64,
}

impl TextGenerator {
    /// A text, each that satisfies the policy as likely as any other.
    ///
    /// The low bits of a byte choose a character and are dropped where there is none of that
    /// number (the simple discard method, NIST SP 800-90A Rev. 1, A.5.1), so that no character is
    /// favoured. A whole text without what is required is dropped too: putting the required
    /// characters in afterwards would favour some texts.
    ///
    /// # Errors
    /// `Entropy` where the source fails and `Stuck` where it repeats one byte, or gives nothing of
    /// use for far longer than a working one ever would.
    pub fn generate(&self, entropy: &dyn Entropy) -> Result<SecretText, GenerateError> {
        let mut block = Zeroizing::new([0; BLOCK]);
        // Of its final size: a growing `String` would leave its old buffer behind unwiped.
        let mut text = Zeroizing::new(String::with_capacity(self.length));
        for _ in 0..self.length * BLOCKS_PER_CHARACTER {
            draw(entropy, block.as_mut_slice())?;
            for &byte in block.iter() {
                let alphabet = if text.is_empty() { &self.first } else { &self.alphabet };
                let Some(character) = alphabet.pick(byte) else { continue };
                text.push(character);
                if text.len() == self.length {
                    if self.is_satisfied_by(&text) {
                        return Ok(SecretText::new(std::mem::take(&mut *text)));
                    }
                    text.clear();
                }
            }
        }
        Err(GenerateError::Stuck)
    }

    /// The entropy of a text, in whole bits: the logarithm to base 2 of the number of texts that
    /// satisfy the policy, rounded down. Required classes and first characters are accounted for.
    #[must_use]
    pub fn entropy_bits(&self) -> u32 {
        whole(self.bits)
    }

    fn is_satisfied_by(&self, text: &str) -> bool {
        self.required.iter().all(|&(class, count)| {
            text.bytes().filter(|&byte| CharClass::of(byte) == Some(class)).count() >= count
        })
    }

    /// The chance that a candidate satisfies what is required: by the kind of its first character,
    /// the chance that the others have the rest.
    fn acceptance(&self) -> f64 {
        let kinds = Kind::ALL.map(|class| Kind {
            first: self.first.count(class) as f64 / self.first.0.len() as f64,
            other: self.alphabet.count(class) as f64 / self.alphabet.0.len() as f64,
            least: least(&self.required, class),
        });
        let chance_after = |drawn: usize| {
            let rest = kinds.iter().enumerate().map(|(at, kind)| {
                (kind.other, kind.least.saturating_sub(usize::from(at == drawn)))
            });
            chance(self.length - 1, rest)
        };
        kinds.iter().enumerate().map(|(at, kind)| kind.first * chance_after(at)).sum()
    }
}

/// A class, or the characters in none, as a part of the alphabets.
struct Kind {
    first: f64,
    other: f64,
    least: usize,
}

impl Kind {
    const ALL: [Option<CharClass>; 5] = [
        Some(CharClass::Lower),
        Some(CharClass::Upper),
        Some(CharClass::Digit),
        Some(CharClass::Symbol),
        None,
    ];
}

fn least(required: &[(CharClass, usize)], kind: Option<CharClass>) -> usize {
    required.iter().filter(|(class, _)| Some(*class) == kind).map(|r| r.1).max().unwrap_or(0)
}

/// The chance that `draws` characters have at least so many of each kind; of each, its share of the
/// alphabet and the count.
///
/// The counts of kinds are multinomial, which is how independent Poisson counts are distributed
/// once their sum is known. So the sums are convolved kind by kind, in about `draws`² steps, and
/// no term that matters gets too small for a float, as `share^draws` would.
fn chance(draws: usize, kinds: impl Iterator<Item = (f64, usize)>) -> f64 {
    let poisson = |mean: f64| -> Vec<f64> {
        let rest = (1..=draws).scan(-mean, |ln, count| {
            *ln += (mean / count as f64).ln();
            Some(ln.exp())
        });
        iter::once((-mean).exp()).chain(rest).collect()
    };
    let mut sums = vec![0.0; draws + 1];
    if let Some(zero) = sums.first_mut() {
        *zero = 1.0;
    }
    for (share, least) in kinds {
        let mut counts = poisson(share * draws as f64);
        counts.iter_mut().take(least).for_each(|chance| *chance = 0.0);
        let up_to = |sum| counts.iter().take(sum + 1).rev();
        sums =
            (0..=draws).map(|sum| iter::zip(&sums, up_to(sum)).map(|(a, b)| a * b).sum()).collect();
    }
    match (sums.last(), poisson(draws as f64).last()) {
        (Some(satisfying), Some(all)) => satisfying / all,
        // INVARIANT: not reached, since both have `draws + 1` terms.
        _ => 0.0,
    }
}

/// Different printable characters of ASCII.
#[derive(Debug, Clone)]
struct Alphabet(Vec<u8>);

impl Alphabet {
    fn new(characters: &str) -> Result<Self, TextPolicyError> {
        let mut bytes = Vec::new();
        for character in characters.chars() {
            match u8::try_from(character) {
                Ok(byte @ b' '..=b'~') if bytes.contains(&byte) => {
                    return Err(TextPolicyError::Repeated { character });
                }
                Ok(byte @ b' '..=b'~') => bytes.push(byte),
                _ => return Err(TextPolicyError::Character { character }),
            }
        }
        Ok(Self(bytes))
    }

    fn pick(&self, byte: u8) -> Option<char> {
        let low_bits = self.0.len().next_power_of_two() - 1;
        self.0.get(usize::from(byte) & low_bits).map(|&byte| char::from(byte))
    }

    fn count(&self, kind: Option<CharClass>) -> usize {
        self.0.iter().filter(|&&byte| CharClass::of(byte) == kind).count()
    }

    fn bits(&self) -> f64 {
        (self.0.len() as f64).log2()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounds down, and stops at the limits of u32")]
const fn whole(number: f64) -> u32 {
    number as u32
}

/// A symmetric key of 16 to 64 bytes.
///
/// ```
/// use strongroom_core::EncryptionKey;
/// use strongroom_testkit::SeededEntropy;
///
/// let key = strongroom_rotation::generate_key(32, &SeededEntropy::new(7))?;
/// let key = EncryptionKey::new("aes-256-gcm", key);
/// # Ok::<(), strongroom_rotation::GenerateError>(())
/// ```
///
/// # Errors
/// `KeyLength`; `Entropy` where the source fails and `Stuck` where it repeats one byte.
pub fn generate_key(bytes: usize, entropy: &dyn Entropy) -> Result<SecretValue, GenerateError> {
    if !(16..=64).contains(&bytes) {
        return Err(GenerateError::KeyLength { asked: bytes });
    }
    let mut key = Zeroizing::new(vec![0; bytes]);
    draw(entropy, &mut key)?;
    Ok(SecretValue::new(std::mem::take(&mut *key)))
}

/// A new name for an account at a target whose names have at most `limit_bytes` bytes: the prefix,
/// and 16 random characters of `a-z2-7` (80 bits).
///
/// A prefix that is too long is cut; the random part never is, so that no two names meet even
/// where old accounts are never removed. Nothing stands between the two: end the prefix with an
/// underscore to see where it ends. The name needs no quotes in SQL, and is the same where a
/// target folds its case.
///
/// ```
/// use strongroom_testkit::SeededEntropy;
///
/// let name = strongroom_rotation::generate_name("billing_", 32, &SeededEntropy::new(7))?;
/// assert!(name.starts_with("billing_") && name.len() == 24);
/// # Ok::<(), strongroom_rotation::GenerateError>(())
/// ```
///
/// # Errors
/// `NameLimit` below 17 bytes, `Prefix` where it is not `[a-z][a-z0-9_]*`; `Entropy` where the
/// source fails and `Stuck` where it repeats one byte.
pub fn generate_name(
    prefix: &str,
    limit_bytes: usize,
    entropy: &dyn Entropy,
) -> Result<String, GenerateError> {
    let room = match limit_bytes.checked_sub(NAME_RANDOM) {
        Some(room @ 1..) => room,
        _ => return Err(GenerateError::NameLimit { limit: limit_bytes }),
    };
    let is_wrong = |(at, byte): (usize, u8)| match byte {
        b'a'..=b'z' => false,
        b'0'..=b'9' | b'_' => at == 0,
        _ => true,
    };
    if prefix.is_empty() {
        return Err(GenerateError::Prefix { at: 0 });
    }
    if let Some(at) = prefix.bytes().enumerate().position(is_wrong) {
        return Err(GenerateError::Prefix { at });
    }
    let mut random = [0; NAME_RANDOM];
    draw(entropy, &mut random)?;
    let random = random.iter().map(|byte| match byte & 31 {
        letter @ 0..26 => char::from(b'a' + letter),
        digit => char::from(b'2' + (digit - 26)),
    });
    Ok(prefix.chars().take(room).chain(random).collect())
}

/// Fills the buffer, of 16 bytes or more. A source that is stuck at one byte is found (after the
/// repetition count test, NIST SP 800-90B, 4.4.1); a working one gives such a buffer with at most
/// 2^-120.
fn draw(entropy: &dyn Entropy, buffer: &mut [u8]) -> Result<(), GenerateError> {
    entropy.fill(buffer)?;
    let first = buffer.first().copied().unwrap_or_default();
    // All bytes are looked at, so that the time taken tells nothing of them.
    if buffer.iter().fold(0, |differences, byte| differences | (byte ^ first)) == 0 {
        return Err(GenerateError::Stuck);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
