//! What witnesses tell: their keys, and their signatures on checkpoints.

use std::str::from_utf8;

use strongroom_audit::{Witness, WitnessQuorum, open_cosigned_note};

const ORIGIN: &str = "example.com/behind-the-sofa";
const KEY: [u8; 32] = [
    138, 136, 227, 221, 116, 9, 241, 149, 253, 82, 219, 45, 60, 186, 93, 114, 202, 103, 9, 191, 29,
    148, 18, 27, 243, 116, 136, 1, 180, 15, 111, 92,
];
const WITNESSES: [&str; 2] = [
    "witness.example/w1+df1c0a35+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU",
    "witness.example/w2+bfff2874+BO1JKMYo0cLG6ukDOJBZlWEpWSc6XGP5NjbBRhSshzfR",
];
/// The one size for which this key signed a checkpoint, and when the witnesses co-signed it.
const SIZE: u64 = 20_852_163;
const TIMES: [u64; 2] = [1_679_315_147, 1_679_315_148];

fn quorum(needed: usize) -> WitnessQuorum {
    let witnesses = WITNESSES.map(|key| key.parse().expect("a key"));
    WitnessQuorum::new(needed, witnesses).expect("a quorum")
}

/// A note is refused, or is the one checkpoint that was signed, and co-signed when it was.
pub fn cosigned_note(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    let Ok(cosigned) = open_cosigned_note(text, ORIGIN, &KEY, &quorum(1)) else { return };
    assert_eq!(cosigned.head.size, SIZE);
    let both = open_cosigned_note(text, ORIGIN, &KEY, &quorum(2));
    assert_eq!(both.is_ok(), cosigned.cosignatures.len() == 2);
    for by in &cosigned.cosignatures {
        let which = usize::from(by.witness.ends_with("w2"));
        assert_eq!(by.at.as_millis(), TIMES[which] * 1000);
    }
}

/// A key is refused, or has one spelling.
pub fn witness_key(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    if let Ok(witness) = text.parse::<Witness>() {
        assert_eq!(witness.to_string(), text);
        assert_eq!(Witness::new(witness.name(), *witness.key()), Ok(witness));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_co_signed_holds() {
        let corpus = crate::corpus("cosigned_note").expect("the corpus can be read");
        let holds = |needed| {
            let open = |(name, input): &(String, Vec<u8>)| {
                let text = from_utf8(input).expect("text");
                let holds = open_cosigned_note(text, ORIGIN, &KEY, &quorum(needed)).is_ok();
                holds.then(|| name.clone())
            };
            corpus.iter().filter_map(open).collect::<Vec<_>>()
        };
        assert_eq!(holds(1), ["both", "first", "second"]);
        assert_eq!(holds(2), ["both"]);
    }
}
