//! Nor an opened one.

use std::sync::Arc;
use std::time::Duration;

use strongroom_core::{Monotonic, Read, Receipt, SecretRef};

use crate::permit::Redeemed;
use crate::room::Inner;

pub(crate) fn forge(inner: Arc<Inner>, target: SecretRef, receipt: Receipt) -> Redeemed<Read> {
    let at = Monotonic::from_start(Duration::ZERO);
    Redeemed { inner, target, receipt, loaded: None, asker: None, at } //~ E0451
}
