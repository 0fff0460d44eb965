//! Our two engines keep the contract of `PolicyEngine`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use strongroom_core::{AccessRequest, ActionName, Principal, Timestamp, path};
use strongroom_policy::{LivePolicy, Policy};

fn rules() -> Policy {
    Policy::from_toml(
        r#"
        [[rule]]
        id = "tenants"
        effect = "allow"
        principals = ["user:*"]
        actions = ["read", "list"]
        paths = ["prod/${tenant}/**"]

        [[rule]]
        id = "operations"
        effect = "allow"
        roles = ["operator"]
        actions = ["*"]
        paths = ["**", "/"]

        [[rule]]
        id = "no-interns"
        effect = "deny"
        principals = ["user:intern"]
        actions = ["*"]
        paths = ["prod/${tenant}/*"]
        "#,
    )
    .unwrap()
}

fn request(principal: Principal, action: ActionName) -> AccessRequest {
    AccessRequest::new(principal, action, path!("prod/acme/db"), Timestamp::default())
}

fn of_acme(name: &str) -> Principal {
    Principal::user(name).with_claim("tenant", "acme")
}

fn allowed() -> [AccessRequest; 2] {
    [
        request(of_acme("alice"), ActionName::Read),
        request(Principal::service("ops").with_role("operator"), ActionName::Purge),
    ]
}

fn denied() -> [AccessRequest; 4] {
    [
        request(of_acme("alice"), ActionName::Write),
        request(Principal::user("alice").with_claim("tenant", "other"), ActionName::Read),
        request(of_acme("intern").with_role("operator"), ActionName::Read),
        request(Principal::service("ops"), ActionName::Read),
    ]
}

mod fixed {
    strongroom_testkit::policy_suite!(super::rules, super::allowed(), super::denied());
}

mod live {
    use super::LivePolicy;

    strongroom_testkit::policy_suite!(
        || LivePolicy::new(super::rules()),
        super::allowed(),
        super::denied(),
    );
}
