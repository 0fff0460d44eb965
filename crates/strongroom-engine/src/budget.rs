//! How often a principal may ask, so that one in a loop stops nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strongroom_core::Monotonic;

/// So many principals have an account of their own at a time. All others share one.
const MAX_ACCOUNTS: usize = 4096;
const SECOND: u64 = 1_000_000_000;

/// How many decisions of a principal are recorded: so many a second, and so many at once by one that
/// has not asked for a while. A `put` that makes its namespace takes three at once, and never gets
/// through a smaller burst.
///
/// ```
/// use strongroom_engine::Budget;
/// let budget = Budget::per_second(50).with_burst(500);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    per_second: u32,
    burst: u32,
}

impl Budget {
    /// What each principal has where nothing else is said and the audit log has little room left.
    pub(crate) const SCARCE: Self = Self::per_second(10);

    /// So many a second, and as many at once. Zero is taken for one.
    #[must_use]
    pub const fn per_second(decisions: u32) -> Self {
        let decisions = if decisions == 0 { 1 } else { decisions };
        Self { per_second: decisions, burst: decisions }
    }

    /// The same with so many at once. Zero is taken for one.
    #[must_use]
    pub const fn with_burst(mut self, decisions: u32) -> Self {
        self.burst = if decisions == 0 { 1 } else { decisions };
        self
    }

    /// The time in which one more is earned, in nanoseconds.
    fn cost(self) -> u64 {
        (SECOND / u64::from(self.per_second)).max(1)
    }
}

/// What principals have spent.
#[derive(Debug, Default)]
pub(crate) struct Budgets(Mutex<Accounts>);

#[derive(Debug, Default)]
struct Accounts {
    /// When each has earned back what it spent, in nanoseconds of the monotonic clock.
    earned: HashMap<Arc<str>, u64>,
    /// The same for all that have no account of their own.
    others: u64,
}

impl Budgets {
    /// Spends so many decisions. Where more are asked for at once than the budget ever has, the whole
    /// burst must be there, and the rest is owed.
    ///
    /// # Errors
    /// The time after which there is enough. Nothing is spent then.
    pub(crate) fn spend(
        &self,
        budget: Budget,
        principal: &Arc<str>,
        decisions: u32,
        now: Monotonic,
    ) -> Result<(), Duration> {
        // INVARIANT: no code that can panic runs while this lock is held.
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now.saturating_since(Monotonic::default()).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let earned = accounts.of(principal, now);
        let from = (*earned).max(now);
        let spare = u64::from(budget.burst.saturating_sub(decisions)).saturating_mul(budget.cost());
        let owed = from - now;
        if owed > spare {
            return Err(Duration::from_nanos(owed - spare));
        }
        *earned = from.saturating_add(u64::from(decisions).saturating_mul(budget.cost()));
        Ok(())
    }
}

impl Accounts {
    fn of(&mut self, principal: &Arc<str>, now: u64) -> &mut u64 {
        if !self.earned.contains_key(principal) {
            if self.earned.len() >= MAX_ACCOUNTS {
                // Who has earned all back is as good as one who never asked.
                self.earned.retain(|_, earned| *earned > now);
            }
            if self.earned.len() >= MAX_ACCOUNTS {
                return &mut self.others;
            }
        }
        self.earned.entry(Arc::clone(principal)).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_burst_is_spent_at_once_and_earned_back_one_by_one() {
        let (budgets, budget) = (Budgets::default(), Budget::per_second(10).with_burst(3));
        let alice: Arc<str> = "user:alice".into();
        for _ in 0..3 {
            budgets.spend(budget, &alice, 1, at(5_000)).unwrap();
        }
        let wait = budgets.spend(budget, &alice, 1, at(5_000)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(budgets.spend(budget, &alice, 1, at(5_099)).is_err());
        budgets.spend(budget, &alice, 1, at(5_100)).unwrap();
        assert!(budgets.spend(budget, &alice, 1, at(5_100)).is_err());
        // It never has more than the burst.
        for _ in 0..3 {
            budgets.spend(budget, &alice, 1, at(60_000)).unwrap();
        }
        assert!(budgets.spend(budget, &alice, 1, at(60_000)).is_err());
        // Others have their own.
        budgets.spend(budget, &"user:bob".into(), 1, at(60_000)).unwrap();
    }

    #[test]
    fn more_than_the_burst_at_once_is_owed() {
        let (budgets, budget) = (Budgets::default(), Budget::per_second(10));
        let alice: Arc<str> = "user:alice".into();
        budgets.spend(budget, &alice, 1, at(0)).unwrap();
        assert!(budgets.spend(budget, &alice, 25, at(0)).is_err(), "the burst is not whole");
        budgets.spend(budget, &alice, 25, at(100)).unwrap();
        let wait = budgets.spend(budget, &alice, 1, at(100)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(1_600));
    }

    #[test]
    fn accounts_are_bounded_and_those_that_earned_all_back_make_room() {
        let (budgets, budget) = (Budgets::default(), Budget::per_second(1));
        for n in 0..MAX_ACCOUNTS {
            budgets.spend(budget, &format!("user:{n}").into(), 1, at(0)).unwrap();
        }
        budgets.spend(budget, &"user:one more".into(), 1, at(0)).unwrap();
        assert!(budgets.spend(budget, &"user:another".into(), 1, at(0)).is_err(), "it is shared");
        budgets.spend(budget, &"user:another".into(), 1, at(1_000)).unwrap();
        budgets.spend(budget, &"user:one more".into(), 1, at(1_000)).unwrap();
        assert!(budgets.0.lock().unwrap().earned.len() <= 2);
    }
}
