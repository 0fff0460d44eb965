//! Times, taken side by side: what is compared takes turns, so that a noisy machine disturbs all
//! alike.

use std::fmt;
use std::time::{Duration, Instant};

/// Times of the same thing, sorted.
#[derive(Debug, Clone)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// The spread of these times, in seconds.
    #[must_use]
    pub fn new(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// The value below which this share lies.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a short list"
        )]
        let at = (share * last as f64).round() as usize;
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }

    /// The median.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

impl fmt::Display for Spread {
    /// Median and the middle 80 %, in a unit that suits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) = match self.median() {
            t if t < 1e-6 => ("ns", 1e9),
            t if t < 1e-3 => ("µs", 1e6),
            _ => ("ms", 1e3),
        };
        write!(
            f,
            "{:.3} {unit} ({:.3} to {:.3})",
            self.median() * scale,
            self.quantile(0.1) * scale,
            self.quantile(0.9) * scale
        )
    }
}

/// Runs each of the tasks in turn, `rounds` times, and gives the time of one call of each, in
/// seconds. A task is called `calls` times a turn.
pub fn interleave<const N: usize>(
    rounds: usize,
    mut tasks: [(u32, &mut dyn FnMut()); N],
) -> [Spread; N] {
    let mut times = [const { Vec::new() }; N];
    // One turn to warm up.
    for round in 0..=rounds {
        for ((calls, task), times) in tasks.iter_mut().zip(&mut times) {
            let took = time(|| (0..*calls).for_each(|_| task())).as_secs_f64();
            if round > 0 {
                times.push(took / f64::from(*calls));
            }
        }
    }
    times.map(Spread::new)
}

/// How long this takes.
#[expect(clippy::disallowed_methods, reason = "measuring needs the machine's own clock")]
pub fn time(f: impl FnOnce()) -> Duration {
    let start = Instant::now();
    f();
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_short_list() {
        let spread = Spread::new(vec![3e-6, 1e-6, 2e-6]);
        assert!((spread.median() - 2e-6).abs() < 1e-12);
        assert!((spread.quantile(1.0) - 3e-6).abs() < 1e-12);
        assert_eq!(spread.to_string(), "2.000 µs (1.000 to 3.000)");
        assert!(Spread::new(Vec::new()).median().is_nan());
    }

    #[test]
    fn tasks_take_turns() {
        let (mut a, mut b) = (0, 0);
        let spreads = interleave(3, [(2, &mut || a += 1), (1, &mut || b += 1)]);
        assert_eq!(spreads.map(|spread| spread.0.len()), [3, 3]);
        assert_eq!((a, b), (8, 4));
    }
}
