//! Padding that hides lengths for little room.

/// The length to which `length` bytes are padded before they are encrypted: 64 up to 64, then the
/// next multiple of max(16, 2^(e−s)), where e = ⌊log2 length⌋ and s = ⌊log2 e⌋ + 1.
///
/// This is Padmé (Nikitin et al., 2019) with a floor: at most 12 % is added above 1 KiB, and a
/// length of n bits is told apart from others by its O(log log n) highest bits only.
///
/// ```
/// use strongroom_crypto::padded_len;
///
/// assert_eq!([0, 64, 65, 256, 1000, 1025].map(padded_len), [64, 64, 80, 256, 1024, 1088]);
/// ```
#[must_use]
pub const fn padded_len(length: usize) -> usize {
    if length <= 64 {
        return 64;
    }
    let e = length.ilog2();
    let s = e.ilog2() + 1;
    let step = 1 << (e - s);
    match length.checked_next_multiple_of(if step < 16 { 16 } else { step }) {
        Some(padded) => padded,
        None => usize::MAX,
    }
}

/// Whether all bytes are zero, as padding is.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same in other words: clear the low bits of n that padding may set, and go up by one
    /// unit of them where any was set.
    fn independent(n: u64) -> u64 {
        if n <= 64 {
            return 64;
        }
        let bits_of = |mut n: u64| {
            let mut bits = 0;
            while n > 0 {
                (n, bits) = (n / 2, bits + 1);
            }
            bits
        };
        let e: u64 = bits_of(n) - 1;
        let free = (e - bits_of(e)).max(4);
        let mask = (1 << free) - 1;
        (n + mask) & !mask
    }

    #[test]
    fn every_length_up_to_two_mebibytes_agrees_with_an_independent_formulation() {
        for n in 0..=2 * 1024 * 1024usize {
            assert_eq!(padded_len(n) as u64, independent(n as u64), "length {n}");
        }
    }

    #[test]
    fn padding_never_shortens_is_idempotent_and_costs_an_eighth_at_most() {
        let mut last = 0;
        for n in 0..=1 << 20 {
            let padded = padded_len(n);
            assert!(padded >= n && padded >= last);
            assert_eq!(padded_len(padded), padded);
            assert!(n < 1024 || padded - n <= n / 8, "length {n}");
            last = padded;
        }
        assert_eq!(padded_len(usize::MAX), usize::MAX);
    }
}
