//! Identifiers are what is not secret.

use serde::{Deserialize, Serialize};
use strongroom_core::{KindError, KindName, SecretKind, SecretText, SecretValue};

struct StripeKey {
    account: String,
    key: SecretText,
}

#[derive(Serialize, Deserialize)]
struct Account {
    account: String,
}

impl SecretKind for StripeKey {
    const KIND: KindName = KindName::new("acme.stripe-key");
    type Identifiers = Account;
    fn into_parts(self) -> (Account, SecretValue) {
        (Account { account: self.account }, self.key.into())
    }
    fn from_parts(_: Account, value: SecretValue) -> Result<Self, KindError> {
        Ok(Self { account: String::new(), key: value.into_text()? })
    }
}

fn main() {
    let key = StripeKey { account: "acct_1".into(), key: SecretText::from("sk_live") };
    let _parts = key.into_parts();
}
