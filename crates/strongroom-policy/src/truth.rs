//! Three-valued logic: what cannot be told stays untold until a rule's effect settles it.

/// Whether something holds, where that can be told.
///
/// The connectives are Kleene's: `Unknown` stays unknown through `not`, `and` and `or` unless the
/// other side settles the result. Only [`RuleEffect::applies`](crate::RuleEffect::applies) turns
/// it into yes or no, so that a missing value narrows access under a negation as well.
///
/// ```
/// use strongroom_policy::{RuleEffect, Truth};
///
/// assert_eq!(Truth::Unknown.and(Truth::False), Truth::False);
/// assert_eq!(Truth::Unknown.not(), Truth::Unknown);
/// assert!(RuleEffect::Deny.applies(Truth::Unknown));
/// assert!(!RuleEffect::Allow.applies(Truth::Unknown));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    /// It does not hold.
    False,
    /// It cannot be told: a value that it needs is missing or of another form.
    Unknown,
    /// It holds.
    True,
}

impl Truth {
    /// Whether it does not hold.
    #[must_use]
    pub const fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }

    /// Whether both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// Whether one of them holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.max(other)
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{self, False, True, Unknown};

    const ALL: [Truth; 3] = [False, Unknown, True];

    #[test]
    fn fc_098_the_truth_table_of_the_connectives() {
        // Rows: left False, Unknown, True; columns: right in the same order.
        let and = [[False, False, False], [False, Unknown, Unknown], [False, Unknown, True]];
        let or = [[False, Unknown, True], [Unknown, Unknown, True], [True, True, True]];
        for (row, left) in ALL.into_iter().enumerate() {
            for (column, right) in ALL.into_iter().enumerate() {
                assert_eq!(left.and(right), and[row][column], "{left:?} and {right:?}");
                assert_eq!(left.or(right), or[row][column], "{left:?} or {right:?}");
                // De Morgan.
                assert_eq!(left.and(right).not(), left.not().or(right.not()));
            }
        }
        assert_eq!(ALL.map(Truth::not), [True, Unknown, False]);
        assert_eq!(ALL.map(|truth| truth.not().not()), ALL);
    }

    /// The conditions of the field case, as the connectives will evaluate them:
    /// `region` is `None` where it is missing or null.
    #[test]
    fn fc_098_an_unknown_narrows_access_under_negation_too() {
        use crate::RuleEffect::{Allow, Deny};

        let is_eu = |region: Option<&str>| region.map_or(Unknown, |is| (is == "eu").into());
        // region, admin, `!= eu`, `not not == eu`, `!= eu or admin`
        let table = [
            (None, false, Unknown, Unknown, Unknown),
            (None, true, Unknown, Unknown, True),
            (Some("eu"), false, False, True, False),
            (Some("eu"), true, False, True, True),
            (Some("us"), false, True, False, True),
            (Some("us"), true, True, False, True),
        ];
        for (region, admin, differs, twice, either) in table {
            let equal = is_eu(region);
            assert_eq!(equal.not(), differs, "{region:?}");
            assert_eq!(equal.not().not(), twice, "{region:?}");
            assert_eq!(equal.not().or(admin.into()), either, "{region:?} {admin}");
            for truth in [differs, twice, either] {
                assert_eq!(Deny.applies(truth), truth != False);
                assert_eq!(Allow.applies(truth), truth == True);
            }
        }
    }
}
