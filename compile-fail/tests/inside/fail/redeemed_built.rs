//! Nor an opened one.

use std::sync::Arc;

use strongroom_core::{Read, Receipt, SecretRef};

use crate::permit::Redeemed;
use crate::room::Inner;

pub(crate) fn forge(inner: Arc<Inner>, target: SecretRef, receipt: Receipt) -> Redeemed<Read> {
    Redeemed { inner, target, receipt, loaded: None, asker: None } //~ E0451
}
