use std::collections::HashMap;

use proptest::prelude::*;
use proptest::sample::subsequence;
use strongroom_testkit::SeededEntropy;

use super::*;

/// The same block again and again.
#[derive(Debug)]
struct Repeating(&'static [u8]);

impl Entropy for Repeating {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for (to, from) in buffer.iter_mut().zip(self.0.iter().cycle()) {
            *to = *from;
        }
        Ok(())
    }
}

fn printable() -> String {
    (' '..='~').collect()
}

/// Whether counts are as even as chance makes them: chi-square at most four standard
/// deviations above its mean.
fn is_even(counts: impl IntoIterator<Item = u32>, cells: usize) -> bool {
    let counts: Vec<f64> = counts.into_iter().map(f64::from).collect();
    let (cells, expected) = (cells as f64, counts.iter().sum::<f64>() / cells as f64);
    let seen: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
    let chi_square = seen + (cells - counts.len() as f64) * expected;
    chi_square < (cells - 1.0) + 4.0 * (2.0 * (cells - 1.0)).sqrt()
}

fn tally<T: std::hash::Hash + Eq>(items: impl IntoIterator<Item = T>) -> HashMap<T, u32> {
    let mut counts = HashMap::new();
    items.into_iter().for_each(|item| *counts.entry(item).or_default() += 1);
    counts
}

/// All texts over the alphabet.
fn all_texts(alphabet: &str, length: usize) -> Vec<String> {
    (0..length).fold(vec![String::new()], |texts, _| {
        texts.iter().flat_map(|t| alphabet.chars().map(move |c| format!("{t}{c}"))).collect()
    })
}

fn satisfies(text: &str, first: &str, required: &[(CharClass, usize)]) -> bool {
    first.contains(&text[..1])
        && required.iter().all(|&(class, count)| {
            let is_of: fn(&char) -> bool = match class {
                CharClass::Lower => char::is_ascii_lowercase,
                CharClass::Upper => char::is_ascii_uppercase,
                CharClass::Digit => char::is_ascii_digit,
                CharClass::Symbol => char::is_ascii_punctuation,
            };
            text.chars().filter(is_of).count() >= count
        })
}

fn with(mut policy: TextPolicy, required: &[(CharClass, usize)]) -> TextPolicy {
    for &(class, count) in required {
        policy = policy.at_least(count, class);
    }
    policy.min_entropy_bits(0)
}

fn any_required(most: usize) -> impl Strategy<Value = Vec<(CharClass, usize)>> {
    let class = prop_oneof![
        Just(CharClass::Lower),
        Just(CharClass::Upper),
        Just(CharClass::Digit),
        Just(CharClass::Symbol)
    ];
    prop::collection::vec((class, 0..=most), 0..4)
}

/// A few different characters, and some of them to begin with.
fn any_alphabet(of: &str, most: usize) -> impl Strategy<Value = (String, String)> + use<> {
    subsequence(of.chars().collect::<Vec<_>>(), 2..=most).prop_flat_map(|all| {
        let first = subsequence(all.clone(), 1..=all.len());
        first.prop_map(move |first| (all.iter().collect(), first.iter().collect()))
    })
}

proptest! {
    #[test]
    fn every_text_satisfies_its_policy(
        (alphabet, first) in any_alphabet(&printable(), 95),
        length in 1_usize..80,
        required in any_required(3),
        seed: u64,
    ) {
        let policy = TextPolicy::new(length).alphabet(&alphabet).starting_with(&first);
        if let Ok(generator) = with(policy, &required).build() {
            let text = generator.generate(&SeededEntropy::new(seed)).unwrap();
            text.expose(|text| {
                assert_eq!(text.len(), length);
                assert!(text.chars().all(|c| alphabet.contains(c)), "{text:?}");
                assert!(satisfies(text, &first, &required), "{text:?}");
            });
        }
    }

    #[test]
    fn the_bits_are_those_of_the_number_of_texts(
        (alphabet, first) in any_alphabet("abAB12# ", 5),
        length in 1_usize..=5,
        required in any_required(2),
    ) {
        let texts = all_texts(&alphabet, length);
        let mut starting = texts.clone();
        starting.retain(|text| satisfies(text, &first, &[]));
        let count = texts.iter().filter(|text| satisfies(text, &first, &required)).count();
        let policy = TextPolicy::new(length).alphabet(&alphabet).starting_with(&first);
        match with(policy, &required).build() {
            Ok(generator) => {
                let bits = (count as f64).log2();
                prop_assert!(generator.bits <= bits && bits - generator.bits <= 2.0 * ROUNDING,
                    "{} of {count} texts", generator.bits);
            }
            Err(error) => prop_assert!(count * 1000 < starting.len(), "{error}, {count} texts"),
        }
    }

    #[test]
    fn the_length_of_the_refusal_would_do(
        (alphabet, first) in any_alphabet(&printable(), 95),
        length in 1_usize..40,
        required in any_required(2),
        asked in 1_u32..300,
    ) {
        let policy = |length| {
            let policy = TextPolicy::new(length).alphabet(&alphabet).starting_with(&first);
            with(policy, &required).min_entropy_bits(asked)
        };
        let refused = policy(length).build();
        if let Err(TextPolicyError::Weak { bits, asked: told, length: better }) = refused {
            prop_assert!(bits < asked && told == asked && better > length);
            let better_bits = policy(better).build().map(|generator| generator.entropy_bits());
            prop_assert!(better_bits.is_ok_and(|bits| bits >= asked), "{better}");
            if required.is_empty() {
                prop_assert!(policy(better - 1).build().is_err());
            }
        }
    }

    #[test]
    fn a_name_is_its_prefix_and_16_random_characters(
        prefix in "[a-z][a-z0-9_]{0,90}",
        limit in 17_usize..100,
        seed: u64,
    ) {
        let name = generate_name(&prefix, limit, &SeededEntropy::new(seed)).unwrap();
        let (start, random) = name.split_at(name.len() - 16);
        prop_assert_eq!(start, &prefix[..prefix.len().min(limit - 16)]);
        prop_assert!(random.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')));
    }
}

#[test]
fn no_character_is_favoured() {
    let alphabets = ["abc", TextPolicy::LETTERS_AND_DIGITS, TextPolicy::UNRESERVED];
    for alphabet in alphabets.into_iter().map(str::to_owned).chain([printable()]) {
        let entropy = SeededEntropy::new(1);
        let generator = TextPolicy::new(1000).alphabet(&alphabet).build().unwrap();
        let texts: Vec<_> = (0..20).map(|_| generator.generate(&entropy).unwrap()).collect();
        let text: String = texts.iter().map(|text| text.expose(str::to_owned)).collect();
        assert!(is_even(tally(text.chars()).into_values(), alphabet.len()), "{alphabet}");
    }
}

#[test]
fn a_biased_choice_would_be_found() {
    let mut bytes = [0; 20_000];
    SeededEntropy::new(1).fill(&mut bytes).unwrap();
    for size in [62, 95] {
        let counts = tally(bytes.iter().map(|byte| byte % size));
        assert!(!is_even(counts.into_values(), usize::from(size)));
    }
}

#[test]
fn each_satisfying_text_is_as_likely_as_any_other() {
    let required = [(CharClass::Digit, 1), (CharClass::Lower, 1), (CharClass::Upper, 1)];
    for (length, first) in [(3, "abA1"), (4, "abA1"), (4, "bA")] {
        let policy = TextPolicy::new(length).alphabet("abA1").starting_with(first);
        let generator = with(policy, &required).build().unwrap();
        let mut texts = all_texts("abA1", length);
        texts.retain(|text| satisfies(text, first, &required));
        let entropy = SeededEntropy::new(2);
        let drawn = (0..texts.len() * 200).map(|_| generator.generate(&entropy).unwrap());
        let counts = tally(drawn.map(|text| text.expose(str::to_owned)));
        assert_eq!(counts.len(), texts.len());
        assert!(texts.iter().all(|text| counts.contains_key(text)));
        assert!(is_even(counts.into_values(), texts.len()), "{length} {first}");
    }
}

#[test]
fn the_bits_of_long_texts_are_known() {
    let bits = |policy: TextPolicy| policy.build().unwrap().entropy_bits();
    assert_eq!(bits(TextPolicy::new(16).alphabet("0123456789abcdef")), 64);
    assert_eq!(bits(TextPolicy::new(22)), 130);
    // By inclusion and exclusion: all, but those without a digit and those without a capital.
    let count = 62_f64.powi(11) - 52_f64.powi(11) - 36_f64.powi(11) + 26_f64.powi(11);
    let policy = TextPolicy::new(11).at_least(1, CharClass::Digit).at_least(1, CharClass::Upper);
    let generator = policy.min_entropy_bits(0).build().unwrap();
    assert!((generator.bits - count.log2()).abs() < 2.0 * ROUNDING);
    // Hardly any text of that length misses a class.
    let required: Vec<_> = Kind::ALL.into_iter().flatten().map(|class| (class, 4)).collect();
    let policy = with(TextPolicy::new(1024).alphabet(printable()), &required);
    let generator = policy.build().unwrap();
    assert!((generator.bits - 1024.0 * 95_f64.log2()).abs() < 2.0 * ROUNDING);
}

#[test]
fn unsound_policies_are_refused() {
    use CharClass::{Digit, Lower, Symbol, Upper};
    let refused = |policy: TextPolicy| policy.build().unwrap_err();
    let new = |alphabet: &str| TextPolicy::new(20).alphabet(alphabet);
    assert_eq!(refused(TextPolicy::new(0)), TextPolicyError::Length { asked: 0 });
    assert_eq!(refused(TextPolicy::new(1025)), TextPolicyError::Length { asked: 1025 });
    assert!(TextPolicy::new(1024).build().is_ok());
    for character in ['é', '\n', '\u{7f}', '\0', '\u{a0}'] {
        let alphabet = format!("abc{character}");
        assert_eq!(refused(new(&alphabet)), TextPolicyError::Character { character });
        let policy = TextPolicy::new(20).starting_with(alphabet);
        assert_eq!(refused(policy), TextPolicyError::Character { character });
    }
    assert_eq!(refused(new("abca")), TextPolicyError::Repeated { character: 'a' });
    assert_eq!(refused(new("")), TextPolicyError::Alphabet);
    assert_eq!(refused(new("a")), TextPolicyError::Alphabet);
    assert_eq!(refused(new("ab").starting_with("")), TextPolicyError::Start);
    let outside = TextPolicyError::StartOutside { character: 'c' };
    assert_eq!(refused(new("ab").starting_with("ac")), outside);
    let missing = TextPolicyError::Missing { class: Symbol };
    assert_eq!(refused(TextPolicy::new(20).at_least(1, Symbol)), missing);
    assert_eq!(refused(new("ab ").at_least(1, Symbol)), missing);
    let policy = TextPolicy::new(20).at_least(11, Digit).at_least(10, Lower);
    assert_eq!(refused(policy), TextPolicyError::Required { required: 21, length: 20 });
    let policy = TextPolicy::new(20).at_least(usize::MAX, Digit).at_least(1, Lower);
    assert!(matches!(refused(policy), TextPolicyError::Required { .. }));
    // What is said twice of a class is not added up.
    assert!(TextPolicy::new(20).at_least(2, Lower).at_least(19, Lower).build().is_err());
    assert!(TextPolicy::new(20).at_least(2, Lower).at_least(3, Lower).build().is_ok());
    assert_eq!(refused(TextPolicy::new(20).at_least(12, Digit)), TextPolicyError::Unlikely);
    let policy = TextPolicy::new(1).starting_with("a").at_least(1, Upper);
    assert_eq!(refused(policy), TextPolicyError::Unlikely);
    let weak = TextPolicyError::Weak { bits: 59, asked: 64, length: 11 };
    assert_eq!(refused(TextPolicy::new(10)), weak);
    assert!(TextPolicy::new(11).build().is_ok());
    let policy = new("ab").min_entropy_bits(u32::MAX);
    assert!(matches!(refused(policy), TextPolicyError::Weak { bits: 20, .. }));
}

#[test]
fn a_source_that_is_broken_gives_nothing() {
    let stuck = |result: Result<SecretText, _>| matches!(result, Err(GenerateError::Stuck));
    let plain = TextPolicy::new(2).min_entropy_bits(0).build().unwrap();
    let digit = with(TextPolicy::new(2), &[(CharClass::Digit, 1)]).build().unwrap();
    for byte in [b"\0", b"a", b"\xff"] {
        assert!(stuck(plain.generate(&Repeating(byte))), "{byte:?}");
        assert!(matches!(generate_key(16, &Repeating(byte)), Err(GenerateError::Stuck)));
        assert!(matches!(generate_name("a", 63, &Repeating(byte)), Err(GenerateError::Stuck)));
    }
    // Not one byte, and still never a character or never a digit.
    assert!(stuck(plain.generate(&Repeating(&[0xff, 0xfe]))));
    assert!(stuck(digit.generate(&Repeating(&[0, 1]))));

    let entropy = SeededEntropy::new(1);
    entropy.set_failing(true);
    assert!(matches!(plain.generate(&entropy), Err(GenerateError::Entropy(_))));
    assert!(matches!(generate_key(16, &entropy), Err(GenerateError::Entropy(_))));
    assert!(matches!(generate_name("a", 63, &entropy), Err(GenerateError::Entropy(_))));
}

#[test]
fn keys_have_16_to_64_bytes() {
    let entropy = SeededEntropy::new(1);
    for bytes in [16, 32, 64] {
        let (a, b) = (generate_key(bytes, &entropy), generate_key(bytes, &entropy));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(a.len() == bytes && b.len() == bytes && !a.ct_eq(&b));
    }
    for asked in [0, 15, 65] {
        let refused = generate_key(asked, &entropy).unwrap_err();
        assert!(matches!(refused, GenerateError::KeyLength { asked: told } if told == asked));
    }
}

#[test]
fn names_keep_to_the_limit_and_differ() {
    let entropy = SeededEntropy::new(1);
    let long = "p".repeat(100);
    for limit in [17, 32, 63, 64] {
        assert_eq!(generate_name(&long, limit, &entropy).unwrap().len(), limit);
        assert_eq!(generate_name("p", limit, &entropy).unwrap().len(), 17);
    }
    for limit in [0, 15, 16] {
        let refused = generate_name("p", limit, &entropy).unwrap_err();
        assert!(matches!(refused, GenerateError::NameLimit { limit: told } if told == limit));
    }
    let wrong = [("", 0), ("1a", 0), ("_a", 0), ("aB", 1), ("a-b", 1), ("ab ", 2), ("aé", 1)];
    for (prefix, expected) in wrong {
        let refused = generate_name(prefix, 63, &entropy).unwrap_err();
        assert!(matches!(refused, GenerateError::Prefix { at } if at == expected), "{prefix}");
    }
    let names: Vec<_> = (0..1000).map(|_| generate_name("a", 17, &entropy).unwrap()).collect();
    assert_eq!(tally(&names).len(), names.len());
    let random = names.iter().flat_map(|name| name.chars().skip(1));
    assert!(is_even(tally(random).into_values(), 32));
}
