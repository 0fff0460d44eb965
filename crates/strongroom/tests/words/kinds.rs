//! Every kind of secret, with a canary in each of its secret parts.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strongroom::{
    ApiKey, Certificate, Credential, EncryptionKey, EnvironmentVariable, KindError, KindName,
    Opaque, Password, SecretFields, SecretKind, SecretText, SecretValue, Token,
};

use crate::canary::CANARY;
use crate::heard::Heard;
use crate::provoke::provoke;

/// A kind that can be made of canaries, so many in a row.
pub(crate) trait Canaried: SecretKind + Debug {
    fn with_canary(times: usize) -> Self;
}

/// The provocation of each kind.
pub(crate) const EVERY_KIND: [fn(&mut Heard, usize); 10] = [
    provoke::<Password>,
    provoke::<Token>,
    provoke::<ApiKey>,
    provoke::<Credential>,
    provoke::<EncryptionKey>,
    provoke::<Certificate>,
    provoke::<EnvironmentVariable>,
    provoke::<Opaque>,
    provoke::<Wallet>,
    provoke::<Raw>,
];

fn text(times: usize) -> String {
    CANARY.repeat(times)
}

macro_rules! canaried {
    ($($kind:ty: |$text:ident| $make:expr;)*) => {
        $(impl Canaried for $kind {
            fn with_canary(times: usize) -> Self {
                let $text = text(times);
                $make
            }
        })*
    };
}

canaried! {
    Password: |text| Self::new(text);
    Token: |text| Self::new(text);
    ApiKey: |text| Self::new(text).with_key_id("AKIA1");
    Credential: |text| Self::new("billing_rw", text);
    EncryptionKey: |text| Self::new("aes-256-gcm", text.into_bytes());
    Certificate: |text| Self::new("-----BEGIN CERTIFICATE-----", text.into_bytes());
    EnvironmentVariable: |text| Self::new("DATABASE_URL", text + "\n");
    Opaque: |text| Self::new(text.into_bytes());
    Wallet: |text| Self { seed: text.clone().into(), pin: text.into() };
}

/// A host's own kind, of several secrets.
#[derive(Debug)]
pub(crate) struct Wallet {
    seed: SecretText,
    pin: SecretText,
}

impl SecretKind for Wallet {
    const KIND: KindName = KindName::new("acme.wallet");
    type Identifiers = BTreeMap<String, String>;
    fn into_parts(self) -> (Self::Identifiers, SecretValue) {
        let fields = SecretFields::new().with("seed", &self.seed).with("pin", &self.pin);
        (BTreeMap::new(), fields.into_value())
    }
    fn from_parts(_: Self::Identifiers, value: SecretValue) -> Result<Self, KindError> {
        let field = |name| SecretFields::field(&value, name).ok_or(KindError::Part(name));
        Ok(Self { seed: field("seed")?, pin: field("pin")? })
    }
}

/// Bytes under the name of the wallet's kind, which are no wallet, and no text.
#[derive(Debug)]
pub(crate) struct Raw(SecretValue);

impl Canaried for Raw {
    fn with_canary(times: usize) -> Self {
        Self([b"\xff", text(times).as_bytes()].concat().into())
    }
}

impl SecretKind for Raw {
    const KIND: KindName = Wallet::KIND;
    type Identifiers = BTreeMap<String, String>;
    fn into_parts(self) -> (Self::Identifiers, SecretValue) {
        (BTreeMap::from([("note".to_owned(), "no secret".to_owned())]), self.0)
    }
    fn from_parts(_: Self::Identifiers, value: SecretValue) -> Result<Self, KindError> {
        Ok(Self(value))
    }
}

/// Reads the same as text.
#[derive(Debug)]
pub(crate) struct Note(SecretText);

impl SecretKind for Note {
    const KIND: KindName = Wallet::KIND;
    type Identifiers = BTreeMap<String, String>;
    fn into_parts(self) -> (Self::Identifiers, SecretValue) {
        (BTreeMap::new(), self.0.into())
    }
    fn from_parts(_: Self::Identifiers, value: SecretValue) -> Result<Self, KindError> {
        value.into_text().map(Self)
    }
}

/// A kind whose identifiers say too much where they fail.
#[derive(Debug)]
pub(crate) struct Chatty;

pub(crate) struct ChattyIdentifiers;

impl Serialize for ChattyIdentifiers {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom(CANARY))
    }
}

impl<'de> Deserialize<'de> for ChattyIdentifiers {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(CANARY))
    }
}

impl SecretKind for Chatty {
    const KIND: KindName = Wallet::KIND;
    type Identifiers = ChattyIdentifiers;
    fn into_parts(self) -> (Self::Identifiers, SecretValue) {
        (ChattyIdentifiers, text(1).into_bytes().into())
    }
    fn from_parts(_: Self::Identifiers, _: SecretValue) -> Result<Self, KindError> {
        Ok(Self)
    }
}
