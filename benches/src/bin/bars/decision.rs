//! A decision at 1,000 rules, for a subject that was worked out before: the worst of all cases.

use std::hint::black_box;

use strongroom::PolicyEngine;
use strongroom_benches::{Outcome, allocations, bar, decision_cases, interleave, say};

const RULES: usize = 1_000;

pub(crate) fn at_many_rules(quick: bool) -> Outcome {
    let rounds = if quick { 10 } else { 201 };
    let mut worst = ("", 0.0_f64);
    for case in decision_cases(RULES)? {
        let subject = case.policy.subject(&case.request.principal);
        let mut right = true;
        let mut decide = || {
            let decision = case.policy.evaluate_for(black_box(&subject), black_box(&case.request));
            right &= black_box(decision).effect() == case.effect;
        };
        let [took] = interleave(rounds, [(5_000, &mut decide)]);
        if !right {
            return Err(format!("{} was decided wrongly", case.what).into());
        }
        say(format!("{}: {took}", case.what));
        if took.median() > worst.1 {
            worst = (case.what, took.median());
        }
    }
    let figure = format!("{:.0} ns at {RULES} rules ({})", worst.1 * 1e9, worst.0);
    bar("decision", figure, worst.1 <= 300e-9);
    allocations("decision", "decision", 0)
}
