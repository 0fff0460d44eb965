//! What a store must hold: what the process that wrote to it said, line by line, and how the next
//! one finds that it is so.

mod ledger;
mod look;
mod records;

pub(crate) use ledger::{Ledger, Seen, is_of_ledger};
pub(crate) use look::{Manner, chain, look, look_and_tell, looked_by_child};

use strongroom::Opaque;

use crate::Dice;

/// The value that a tag stands for: the tag, and as many bytes as it says. One in eight is stored
/// outside of its head.
pub(crate) fn value(tag: u64) -> Opaque {
    let mut dice = Dice::new(tag);
    let length = match tag % 8 {
        0 => 65_000 + dice.below(140_000),
        _ => dice.below(3_000),
    };
    let mut bytes = tag.to_le_bytes().to_vec();
    bytes.extend(dice.bytes(usize::try_from(length).unwrap_or_default()));
    Opaque::new(bytes)
}

/// The tag of a value that is whole.
pub(crate) fn tag(value: &Opaque) -> Option<u64> {
    let tag = value.value().expose(|bytes| bytes.first_chunk::<8>().copied())?;
    let tag = u64::from_le_bytes(tag);
    self::value(tag).value().ct_eq(value.value()).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_tells_its_tag_only_while_it_is_whole() {
        for wanted in [0, 1, 7, 8] {
            assert_eq!(tag(&value(wanted)), Some(wanted));
            let mut bytes = value(wanted).value().expose(<[u8]>::to_vec);
            *bytes.last_mut().unwrap() ^= 1;
            assert_ne!(tag(&Opaque::new(bytes)), Some(wanted));
        }
        assert_eq!(tag(&Opaque::new(b"short")), None);
    }
}
