//! Pins outside of the store: whether the storage has all that was pinned.

use strongroom_audit::RegistryRecord;
use strongroom_core::{Anchor, Key, LogId, Pin, StoreId};

use super::registry::Registered;
use super::untold::untold;
use super::{Freshness, Vault};
use crate::error::{Error, Tampered, Unavailable};

/// How often pins and storage are looked at where the pins move on in between.
pub(super) const LOOKS: usize = 8;

/// The pins of a store, verified.
#[derive(Default)]
pub(super) struct Pins(Vec<RegistryRecord>);

impl Pins {
    /// All there are. They are loaded before the storage is read: what is pinned was stored before.
    pub(super) async fn load(anchor: &dyn Anchor, store: StoreId) -> Result<Self, Error> {
        let pins = anchor.load(store).await.map_err(Unavailable::Anchor)?;
        let verified = pins.iter().map(|pin| {
            let key = strongroom_crypto::log_registry_key(pin.log);
            RegistryRecord::verify(store, &key, &pin.record).map_err(|_| Tampered::Pin(pin.log))
        });
        Ok(Self(verified.collect::<Result<_, _>>()?))
    }

    fn keys(&self) -> Vec<Key> {
        self.0.iter().map(RegistryRecord::key).collect()
    }

    pub(super) fn logs(&self) -> Vec<LogId> {
        self.0.iter().map(|pin| pin.log).collect()
    }

    /// Holds what is stored against them: all that was set back.
    pub(super) fn misfits(
        &self,
        stored: impl Fn(LogId) -> Option<RegistryRecord>,
    ) -> Vec<Tampered> {
        let mut misfits = Vec::new();
        for pin in &self.0 {
            let found = stored(pin.log);
            let is_there = found.is_some_and(|found| {
                found.stage >= pin.stage
                    && found.directory == pin.directory
                    && (found.head.size > pin.head.size || found.head == pin.head)
            });
            if !is_there {
                misfits.push(Tampered::StorageRolledBack {
                    log: pin.log,
                    registered: pin.head.size,
                    stored: found.map_or(0, |found| found.head.size),
                });
            }
        }
        misfits
    }

    /// The pins as they are now, where one that asked for what is missing has moved on. Between a look
    /// at the pins and one at the storage a log may end, lose its pin to another's, and be pruned with
    /// its record.
    pub(super) async fn moved_since(
        &self,
        anchor: Option<&dyn Anchor>,
        store: StoreId,
        misfits: &[Tampered],
    ) -> Result<Option<Self>, Error> {
        let Some(anchor) = anchor.filter(|_| !misfits.is_empty()) else { return Ok(None) };
        let now = Self::load(anchor, store).await?;
        let has_moved = |misfit: &Tampered| {
            let pin =
                |pins: &Self| pins.0.iter().find(|pin| Some(pin.log) == misfit.log()).copied();
            pin(self) != pin(&now)
        };
        Ok(misfits.iter().any(has_moved).then_some(now))
    }
}

impl Vault {
    /// Finds that the storage has all that is pinned, and says how fresh an answer is then to be.
    pub(super) async fn as_pinned(&self) -> Result<Freshness, Error> {
        let anchor = self.anchor.as_ref().ok_or(Unavailable::Unsupported(
            "this store has no anchor: give its builder one, or ask for another freshness",
        ))?;
        let mut pins = Pins::load(&**anchor, self.store).await?;
        let mut misfits = Vec::new();
        for _ in 0..LOOKS {
            let registered = Registered::of(&*self.storage, &pins.keys()).await?;
            misfits = pins.misfits(|log| registered.get(self.store, log));
            match pins.moved_since(Some(&**anchor), self.store, &misfits).await? {
                Some(now) => pins = now,
                None => break,
            }
        }
        // A pin that was on its way when its log ended may land when that is pruned.
        let misfit = untold(&*self.storage, &*self.sink, self.store, misfits).await?.pop();
        misfit.map_or(Ok(Freshness::Current), |misfit| Err(misfit.into()))
    }

    /// Pins the own log by its registry record, which is stored now.
    ///
    /// Of several that pin at a time, whoever is last pins what says most: no slow one sets the pin
    /// back behind a checkpoint.
    pub(super) async fn pin(&self, record: Vec<u8>, covers: &[LogId]) -> Result<(), Error> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        let key = strongroom_crypto::log_registry_key(self.log);
        let mut pin = Pin { log: self.log, record: self.registry.newest(&key, &record) };
        loop {
            anchor.advance(self.store, &pin, covers).await.map_err(Unavailable::Anchor)?;
            let newest = self.registry.newest(&key, &pin.record);
            if newest == pin.record {
                return Ok(());
            }
            pin.record = newest;
        }
    }
}
