//! Cosignatures on checkpoints: what of them is believed, and how many are enough.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use strongroom_audit::{
    NoteError, Witness, WitnessError, WitnessQuorum, open_cosigned_note, open_note,
};

const ORIGIN: &str = "example.com/behind-the-sofa";
const TEXT: &str = "example.com/behind-the-sofa\n\
                    20852163\n\
                    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
// Known answers, made by another implementation (Python's `cryptography`) with the private keys 01…,
// 02… and 03…; the witnesses co-signed at 1679315147 and 1679315148.
const BY_LOG: &str = "\u{2014} example.com/behind-the-sofa be1zqQx8hYrJJIfiWfY39ShElJ74dPrOjXSgJJ2qG3vny2U7JyHN2kKCWb5H5e2MfxP7My2OyDRrDvCH/RbVubiZ8AE=\n";
const BY_W1: &str = "\u{2014} witness.example/w1 3xwKNQAAAABkGFDLUwBLV8e4tjvb6qEHiNTQjDZIX+7tvd038taw9A7W/cQ7ZhSah0uJMOI6CTPez5qwHtE49MrkWhU349mtYmi3Dw==\n";
const BY_W2: &str = "\u{2014} witness.example/w2 v/8odAAAAABkGFDMWItLJSMycE3tSlKBs2qPl4Uj9+GSugaLN+jmz0IS1aZgEvgsjEwjUfdsJtceCnJVlfzfP5o98QpqMYiZWAkqAQ==\n";
const W1: &str = "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";
const W2: &str = "witness.example/w2+bfff2874+BO1JKMYo0cLG6ukDOJBZlWEpWSc6XGP5NjbBRhSshzfR";

fn log_key() -> [u8; 32] {
    SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes()
}

fn quorum(needed: usize) -> WitnessQuorum {
    WitnessQuorum::new(needed, [W1, W2].map(|key| key.parse().unwrap())).unwrap()
}

fn note(signatures: &[&str]) -> String {
    format!("{TEXT}\n{}", signatures.concat())
}

/// Names and times in seconds of those who have co-signed.
fn opened(signatures: &[&str], needed: usize) -> Result<Vec<(String, u64)>, NoteError> {
    let cosigned = open_cosigned_note(&note(signatures), ORIGIN, &log_key(), &quorum(needed))?;
    assert_eq!(cosigned.head.size, 20_852_163);
    let all = cosigned.cosignatures.iter();
    Ok(all.map(|by| (by.witness.to_string(), by.at.as_millis() / 1000)).collect())
}

/// A line of the first witness, signed by the private key `seed` at that second.
fn cosign(seed: u8, name: &str, key_id: &str, seconds: u64, text: &str) -> String {
    let message = format!("cosignature/v1\ntime {seconds}\n{text}");
    let signature = SigningKey::from_bytes(&[seed; 32]).sign(message.as_bytes());
    let key_id = u32::from_str_radix(key_id, 16).unwrap().to_be_bytes();
    let bytes = [&key_id[..], &seconds.to_be_bytes(), &signature.to_bytes()].concat();
    format!("\u{2014} {name} {}\n", Base64::encode_string(&bytes))
}

fn by_w1(seconds: u64, text: &str) -> String {
    cosign(2, "witness.example/w1", "df1c0a35", seconds, text)
}

#[test]
fn known_answers_hold() {
    let (w1, w2) = (
        ("witness.example/w1".into(), 1_679_315_147),
        ("witness.example/w2".into(), 1_679_315_148),
    );
    assert_eq!(opened(&[BY_LOG, BY_W1, BY_W2], 2), Ok(vec![w1.clone(), w2.clone()]));
    assert_eq!(opened(&[BY_W2, BY_W1, BY_LOG], 1), Ok(vec![w1.clone(), w2.clone()]));
    assert_eq!(opened(&[BY_LOG, BY_W1], 1), Ok(vec![w1]));
    assert_eq!(opened(&[BY_LOG, BY_W2], 1), Ok(vec![w2]));
    assert_eq!(by_w1(1_679_315_147, TEXT), BY_W1);
}

#[test]
fn too_few_are_not_enough_and_the_log_s_own_signature_is_needed() {
    let too_few = |found, needed| Err(NoteError::TooFewWitnesses { needed, found });
    assert_eq!(opened(&[BY_LOG, BY_W1], 2), too_few(1, 2));
    assert_eq!(opened(&[BY_LOG], 1), too_few(0, 1));
    assert_eq!(opened(&[BY_W1, BY_W2], 2), Err(NoteError::NotSigned));
    let other = open_cosigned_note(&note(&[BY_LOG, BY_W1]), "other", &log_key(), &quorum(1));
    assert_eq!(other, Err(NoteError::OtherLog));
}

#[test]
fn one_witness_counts_once_and_by_its_newest() {
    let newer = by_w1(1_800_000_000, TEXT);
    let newest = vec![("witness.example/w1".to_owned(), 1_800_000_000)];
    assert_eq!(opened(&[BY_LOG, &newer, BY_W1, BY_W1], 1), Ok(newest));
    let once = Err(NoteError::TooFewWitnesses { needed: 2, found: 1 });
    assert_eq!(opened(&[BY_LOG, &newer, BY_W1, BY_W1], 2), once);
}

#[test]
fn strangers_are_passed_over() {
    // Another key under a witness's name, its key under another name, and its key as that of a log.
    let strangers = [
        cosign(9, "witness.example/w1", "01020304", 1, TEXT),
        cosign(2, "witness.example/w3", "df1c0a35", 1, TEXT),
        cosign(2, "witness.example/w1", "6ded73a9", 1, TEXT),
    ];
    for stranger in &strangers {
        let none = Err(NoteError::TooFewWitnesses { needed: 1, found: 0 });
        assert_eq!(opened(&[BY_LOG, stranger], 1), none);
        assert_eq!(opened(&[BY_LOG, stranger, BY_W1], 1).unwrap().len(), 1);
    }
}

#[test]
fn a_cosignature_that_does_not_hold_spoils_the_note() {
    let wrong = [
        // By another key, over another text, without the time in front, and at no time there is.
        cosign(9, "witness.example/w1", "df1c0a35", 1_679_315_147, TEXT),
        by_w1(1_679_315_147, &TEXT.replace("20852163", "20852164")),
        format!("{}AAAA\n", BY_W1.trim_end().trim_end_matches('=')),
        by_w1(253_402_300_800, TEXT),
        by_w1(u64::MAX, TEXT),
        "\u{2014} witness.example/w1 3xwKNQAAAAA=\n".to_owned(),
    ];
    for wrong in &wrong {
        let spoiled = opened(&[BY_LOG, wrong, BY_W2], 1);
        let malformed = matches!(spoiled, Err(NoteError::Malformed { .. }));
        assert!(malformed || spoiled == Err(NoteError::WrongSignature), "{wrong}: {spoiled:?}");
        assert!(!malformed || wrong.ends_with("AAAA\n"));
    }
    assert!(opened(&[BY_LOG, &by_w1(253_402_300_799, TEXT)], 1).is_ok());
}

/// Of the cosignature every byte counts: no other spelling holds, and no other time.
#[test]
fn each_changed_bit_of_a_cosignature_is_noticed() {
    let whole = note(&[BY_LOG, BY_W1]);
    let start = whole.len() - BY_W1.len();
    for at in start..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone().into_bytes();
            changed[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            let opened = open_cosigned_note(&changed, ORIGIN, &log_key(), &quorum(1));
            assert!(opened.is_err(), "bit {bit} of byte {at}");
        }
    }
    // Without an eye for cosignatures the note is what it was.
    assert!(open_note(&whole, ORIGIN, &log_key()).is_ok());
}

#[test]
fn a_verifier_key_has_one_spelling() {
    let witness: Witness = W1.parse().unwrap();
    assert_eq!(witness.name(), "witness.example/w1");
    assert_eq!(*witness.key(), SigningKey::from_bytes(&[2; 32]).verifying_key().to_bytes());
    assert_eq!(witness.to_string(), W1);
    let bad = [
        "",
        "witness.example/w1",
        "witness.example/w1+df1c0a35",
        &W1.replace("df1c0a35", "df1c0a36"),
        &W1.replace("df1c0a35", "DF1C0A35"),
        &W1.replace("witness", " witness"),
        &W1.replace("/w1", "/w2"),
        &format!("+{W1}"),
        &format!("{W1}="),
        &W1.replace("+BIE5", "+BIE"),
        // The key of a log.
        "example.com/behind-the-sofa+6ded73a9+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c",
    ];
    for bad in bad {
        let refused = bad.parse::<Witness>();
        let is_told = matches!(refused, Err(WitnessError::Malformed { .. } | WitnessError::Name));
        assert!(is_told, "{bad}: {refused:?}");
    }
}

#[test]
fn a_quorum_has_each_witness_once_and_can_be_reached() {
    let [w1, w2]: [Witness; 2] = [W1, W2].map(|key| key.parse().unwrap());
    for name in ["", "another name", "w+1", "w\n"] {
        assert_eq!(Witness::new(name, *w1.key()), Err(WitnessError::Name));
    }
    let same_key = Witness::new("another/name", *w1.key()).unwrap();
    let same_name = Witness::new(w1.name(), *w2.key()).unwrap();
    for twice in [same_key, same_name, w1.clone()] {
        let refused = WitnessQuorum::new(1, [w1.clone(), twice.clone()]);
        assert_eq!(refused, Err(WitnessError::Repeated { name: twice.name().into() }));
    }
    for needed in [0, 3] {
        let refused = WitnessQuorum::new(needed, [w1.clone(), w2.clone()]);
        assert_eq!(refused, Err(WitnessError::OutOfReach { needed, given: 2 }));
    }
}
