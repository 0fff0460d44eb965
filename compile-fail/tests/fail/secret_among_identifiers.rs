//! A secret among the identifiers is refused, since it can not be serialised.

use serde::{Deserialize, Serialize};
use strongroom_core::{KindError, KindName, SecretKind, SecretText, SecretValue};

struct StripeKey {
    account: String,
    key: SecretText,
}

#[derive(Serialize, Deserialize)] //~ E0277
struct Account {
    account: SecretText, //~ E0277
}

impl SecretKind for StripeKey {
    const KIND: KindName = KindName::new("acme.stripe-key");
    type Identifiers = Account;
    fn into_parts(self) -> (Account, SecretValue) {
        (Account { account: self.account.into() }, self.key.into())
    }
    fn from_parts(_: Account, value: SecretValue) -> Result<Self, KindError> {
        Ok(Self { account: String::new(), key: value.into_text()? })
    }
}

fn main() {
    let key = StripeKey { account: "acct_1".into(), key: SecretText::from("sk_live") };
    let _parts = key.into_parts();
}
