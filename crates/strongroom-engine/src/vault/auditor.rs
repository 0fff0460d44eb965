//! The key that an auditor is given.

use strongroom_core::ReadAudit;
use strongroom_crypto::AuditorKey;

use super::Vault;
use crate::error::Error;
use crate::permit::Redeemed;

impl Vault {
    /// Hands out the key that reads all names in the logs.
    pub(crate) fn auditor_key(&self, _grant: &Redeemed<ReadAudit>) -> Result<AuditorKey, Error> {
        let keys = self.keys.get()?;
        Ok(AuditorKey::new(self.store, &keys.keyring.audit))
    }
}
