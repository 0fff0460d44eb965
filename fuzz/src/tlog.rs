//! Checkpoints of the audit log as signed notes, and proofs in text form.

use std::str::from_utf8;

use strongroom_audit::{TlogProof, open_note};

const ORIGIN: &str = "strongroom/1bc2b16ae5051a2eefd460a3cd363431/694bdcf9d1219576";
const KEY: [u8; 32] = [
    117, 121, 80, 169, 66, 150, 45, 203, 40, 62, 122, 231, 167, 184, 123, 2, 164, 6, 17, 135, 207,
    41, 49, 67, 25, 237, 102, 240, 235, 60, 78, 133,
];
/// The one size for which this key signed a checkpoint that is in the corpora.
const SIZE: u64 = 1025;
/// The record that the proof in the corpus is about.
const INDEX: u64 = 5;
const LINE: &[u8] = include_bytes!("tlog_line.json");

/// A note is refused, or is the one checkpoint that was signed, whoever else signed it.
pub fn note(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    if let Ok(head) = open_note(text, ORIGIN, &KEY) {
        assert_eq!(head.size, SIZE);
        assert!(text.starts_with(&format!("{ORIGIN}\n{SIZE}\n")));
    }
}

/// A proof is refused, or has one spelling; and none holds but that of the record at its index.
pub fn tlog_proof(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    let Ok(proof) = text.parse::<TlogProof>() else { return };
    assert_eq!(proof.to_string(), text);
    if let Ok(head) = proof.verify(LINE, ORIGIN, &KEY) {
        assert_eq!((proof.index, head.size), (INDEX, SIZE));
    }
    assert!(proof.verify(b"another line", ORIGIN, &KEY).is_err());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_holds() {
        let signed = |target| {
            let corpus = crate::corpus(target).expect("the corpus can be read");
            let (_, input) = corpus.into_iter().find(|(name, _)| name == "signed").expect("signed");
            String::from_utf8(input).expect("text")
        };
        assert!(open_note(&signed("note"), ORIGIN, &KEY).is_ok());
        let proof: TlogProof = signed("tlog_proof").parse().expect("a proof");
        assert!(proof.verify(LINE, ORIGIN, &KEY).is_ok());
    }
}
