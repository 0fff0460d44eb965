//! The log as a directory of files: the sink that a host uses unless it has one of its own.

use std::collections::HashMap;
use std::fs::File;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use strongroom_core::{
    Attached, AuditError, AuditReader, AuditRecord, AuditSink, Durability, Importance, LogCut,
    LogId, PruneRules, Pruned, Receipt, Removed, StoreId, StoreIdentity, TreeHead, async_trait,
};

use crate::dead::Claimed;
use crate::dir::LogFile;
use crate::folder::{Begun, LOG, file_name};
use crate::line::OpenLine;
use crate::medium::{Medium, failed};
use crate::reader::DirReader;
use crate::settled::Locked;
use crate::sync::{Reached, Syncer, broken};
use crate::tail::{MAX_RESERVE, Tail};
use crate::writer::LineWriter;
use crate::{cut, dead, dir, settled};

mod group;
mod prune;
mod rotate;

use group::{Group, Groups};
use rotate::{Limits, Segments};

/// Held records are flushed once they are this many bytes.
const MAX_HELD_BYTES: usize = 64 * 1024;

/// A directory of logs, one an open of the store, with one writer each. A log is one file, or
/// several where it is [long](Self::with_segment_bytes) or [old](Self::with_segment_age).
///
/// ```
/// use strongroom_audit::FileLog;
/// let log = FileLog::open("room/audit")?; // touches nothing until the store is opened
/// # Ok::<(), strongroom_core::AuditError>(())
/// ```
///
/// # Durability
/// `Held` records are in this object's memory, up to 64 KiB; `Flushed` ones were given to the
/// kernel by one `write`, which tasks that append decisions at the same time share; `Synced` ones
/// wait for an `fdatasync`, which all share that wait at the time. It runs on one thread that starts
/// with the first wait and is joined on close and drop.
///
/// A disk that is full refuses records and takes them again once there is room. A
/// [reserve](Self::with_reserve) is kept for those that must be taken all the same. A sync that
/// fails ends the log for good, since nobody can tell then what the medium holds.
///
/// # Drop
/// Without [`close`](AuditSink::close) the log counts as dead, and the next opener settles it.
#[derive(Debug)]
pub struct FileLog {
    dir: PathBuf,
    inline: bool,
    limits: Limits,
    current: Mutex<Option<OpenLog>>,
    /// Of the open log: no more could be laid out when that was tried last.
    scarce: AtomicBool,
    reader: DirReader,
}

/// The log that this open of the store writes.
#[derive(Debug)]
struct OpenLog {
    writer: LineWriter,
    medium: Arc<dyn Medium>,
    tail: Tail,
    syncer: Arc<Syncer>,
    inline: bool,
    segments: Segments,
    groups: Groups,
    file: String,
    /// Dead logs, locked until they are settled.
    dead: HashMap<LogId, Locked>,
    /// Which process writes it: one that was forked shares the file, its lock and its end.
    process: u32,
}

/// What became of lines.
enum Appended {
    /// They are where they should be, or will be after this.
    Written(Option<Reached>),
    /// They wait for the lines of others.
    Gathered(Arc<Group>),
}

impl FileLog {
    /// The logs in this directory. Nothing is read or made before the store is opened.
    ///
    /// # Errors
    /// `Unavailable` where the path is empty or names a file.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, AuditError> {
        Self::with(dir.as_ref(), false)
    }

    /// The same without a thread: syncs run in place, and whoever waits for one blocks its
    /// executor meanwhile. For tools.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_inline(dir: impl AsRef<Path>) -> Result<Self, AuditError> {
        Self::with(dir.as_ref(), true)
    }

    fn with(dir: &Path, inline: bool) -> Result<Self, AuditError> {
        if dir.as_os_str().is_empty() {
            return Err(AuditError::unavailable("its path is empty: name a directory"));
        }
        if dir.exists() && !dir.is_dir() {
            return Err(AuditError::unavailable("its path names a file: name a directory"));
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            inline,
            limits: Limits::default(),
            current: Mutex::new(None),
            scarce: AtomicBool::new(false),
            reader: DirReader::new(dir),
        })
    }

    /// The same with another length of files. A log goes on in a new file before a record where the
    /// last one has so many bytes; fewer than 4,096 are taken for 4,096. Unless it is set, 4 MiB.
    ///
    /// The last file of a log that a process left open is read when the store is opened next, which
    /// takes two milliseconds or so for a mebibyte. A file tells each name that it uses once: where many
    /// secrets are read in turn, longer files make a shorter log.
    ///
    /// ```
    /// use strongroom_audit::FileLog;
    /// let log = FileLog::open("room/audit")?.with_segment_bytes(16 * 1024 * 1024);
    /// # Ok::<(), strongroom_core::AuditError>(())
    /// ```
    #[must_use]
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes.max(Limits::LEAST_BYTES);
        self
    }

    /// The same with another age of files. A log goes on in a new file before a record where the
    /// last one was begun so long ago; less than a minute is taken for a minute. Unless it is set, a
    /// day.
    #[must_use]
    pub fn with_segment_age(mut self, age: Duration) -> Self {
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        self.limits.millis = millis.max(Limits::LEAST_MILLIS);
        self
    }

    /// The same with another reserve, in bytes, of at most 4 MiB; zero keeps none. Unless it is set,
    /// 256 KiB.
    ///
    /// Twice as much is laid out in zero bytes ahead of the lines, so that nobody else takes it. Where
    /// the disk gives no more, ordinary records are refused as [`AuditError::Full`] once no more than
    /// the reserve is left; refusals may use half of it, and all of it is for
    /// [essential](Importance::Essential) records: a secret can still be disabled, destroyed or
    /// purged where nothing can be read any more. (A file system that writes to a new place, such as
    /// one that copies on write, keeps less than that promise.)
    ///
    /// ```
    /// use strongroom_audit::FileLog;
    /// let log = FileLog::open("room/audit")?.with_reserve(1024 * 1024);
    /// # Ok::<(), strongroom_core::AuditError>(())
    /// ```
    #[must_use]
    pub fn with_reserve(mut self, bytes: u64) -> Self {
        self.limits.reserve = bytes.min(MAX_RESERVE);
        self
    }

    /// The log that it writes, while a store is open.
    #[must_use]
    pub fn log(&self) -> Option<LogId> {
        self.lock().ok()?.as_ref().map(|open| open.writer.log())
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What others than the owner may do with the directory and its files, a sentence each.
    /// Empty where all is private, or nothing there.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        dir::loose_modes(&self.dir)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<OpenLog>>, AuditError> {
        // A panic under the lock may have left half a record: nothing may follow it.
        self.current.lock().map_err(|_| {
            AuditError::unavailable("a thread panicked while it wrote: open the store again")
        })
    }

    fn begin(&self, identity: &Arc<dyn StoreIdentity>) -> Result<Attached, AuditError> {
        dir::create_dir(&self.dir).map_err(|error| {
            failed("its directory cannot be made: check the path and its permissions", error)
        })?;
        let mut first = self.find_first()?;
        // Of several who begin the first log of a directory, one draws the id that all have.
        let alone = if first.is_none() { Some(dir::lock_all(&self.dir)?) } else { None };
        if alone.is_some() {
            first = self.find_first()?;
        }
        if let Some(open) = &first
            && open.store != identity.store()
        {
            return Err(AuditError::OtherStore { expected: identity.store(), found: open.store });
        }
        dir::clear_drafts(&self.dir)?;
        let Claimed { known, dead, locks } = dead::claim(&dir::logs(&self.dir)?, &**identity)?;
        let directory = first.map(|open| open.directory);
        let (writer, folder, Begun { medium, tail, .. }) =
            dir::create_log(&self.dir, directory, identity, self.limits.reserve)?;
        let directory = Some(writer.directory());
        let attached = Attached { log: writer.log(), directory, logs: known, dead };
        let segments = Segments::new(folder, self.limits, writer.now(), tail.length());
        let open = OpenLog::new(writer, medium, tail, segments, self.inline, locks);
        self.scarce.store(open.tail.is_scarce(), Ordering::Relaxed);
        *self.lock()? = Some(open);
        Ok(attached)
    }

    /// How the first log there is begins.
    fn find_first(&self) -> Result<Option<OpenLine>, AuditError> {
        for file in dir::logs(&self.dir)? {
            for segment in &file.segments {
                if let Some(open) = dead::owner(segment)? {
                    return Ok(Some(open));
                }
            }
        }
        Ok(None)
    }

    /// The open log, where it is that one, to be ended.
    fn take(&self, log: LogId) -> Result<Option<OpenLog>, AuditError> {
        let mut current = self.lock()?;
        Ok(current.take_if(|open| open.writer.log() == log))
    }

    /// Ends a log. Dropped at the end whatever happens: then the file is let go of, and the thread
    /// ends.
    async fn end(mut open: OpenLog) -> Result<TreeHead, AuditError> {
        // A last line says that all before it is there, so all before it goes to the medium first.
        open.check()?;
        open.flush()?;
        open.syncer.reach(open.writer.size()).await?;
        let head = open.end()?;
        open.syncer.reach(open.writer.size()).await?;
        Ok(head)
    }

    /// The open log, where it is that one.
    fn own(&self, log: LogId) -> Result<OwnLog<'_>, AuditError> {
        let current = self.lock()?;
        match &*current {
            Some(open) if open.writer.log() == log => Ok(OwnLog(current)),
            _ => Err(AuditError::Closed),
        }
    }

    fn append_now(
        &self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<(Vec<Receipt>, Appended), AuditError> {
        let mut current = self.lock()?;
        let open = current.as_mut().ok_or(AuditError::Closed)?;
        open.rotate_if_due()?;
        let appended = match open.join(records, at_least) {
            Ok(Some((receipts, group))) => Ok((receipts, Appended::Gathered(group))),
            Ok(None) => open.append(records, at_least).map(|receipts| {
                let wait = (at_least == Durability::Synced).then(|| open.reach(open.writer.size()));
                (receipts, Appended::Written(wait))
            }),
            Err(error) => Err(error),
        };
        self.scarce.store(open.tail.is_scarce(), Ordering::Relaxed);
        appended
    }

    /// Appends records of which some settle or cite other logs, perhaps.
    async fn append_any(
        &self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError> {
        let settles = records.iter().any(|record| matches!(record, AuditRecord::Closed(_)));
        // The marker of a settled log must not outlive the record in a power cut.
        let at_least = if settles { Durability::Synced } else { at_least };
        let (receipts, appended) = {
            let cites = records.iter().any(|record| matches!(record, AuditRecord::Cited(_)));
            let _may = cites.then(|| cut::may_cite(&self.dir)).transpose()?;
            self.append_now(records, at_least)?
        };
        self.wait_for(appended, &receipts, at_least).await?;
        if settles {
            self.settle(records, &receipts)?;
        }
        Ok(receipts)
    }

    /// Waits until records are where they should be.
    async fn wait_for(
        &self,
        appended: Appended,
        receipts: &[Receipt],
        at_least: Durability,
    ) -> Result<(), AuditError> {
        let wait = match (appended, receipts.last()) {
            (Appended::Gathered(group), Some(receipt)) => {
                self.end_group(&group, receipt, at_least).await?
            }
            (Appended::Gathered(_), None) => None,
            (Appended::Written(wait), _) => wait,
        };
        match wait {
            Some(wait) => wait.await,
            None => Ok(()),
        }
    }

    /// Lets go of the dead logs that these records settle.
    fn settle(&self, records: &[AuditRecord], receipts: &[Receipt]) -> Result<(), AuditError> {
        let mut current = self.lock()?;
        let Some(open) = current.as_mut() else { return Ok(()) };
        for (record, receipt) in records.iter().zip(receipts) {
            if let AuditRecord::Closed(closed) = record
                && let Some(last) = open.dead.remove(&closed.log)
            {
                // A hint: where it cannot be left, the next opener settles the log once more.
                let identity = open.writer.identity();
                let _ = settled::leave_note(&self.dir, closed.log, &last, *receipt, identity);
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), AuditError> {
        self.lock()?.as_mut().map_or(Ok(()), OpenLog::flush)
    }
}

#[async_trait]
impl AuditSink for FileLog {
    async fn owner(&self) -> Result<Option<StoreId>, AuditError> {
        Ok(self.find_first()?.map(|open| open.store))
    }

    async fn attach(&self, store: Arc<dyn StoreIdentity>) -> Result<Attached, AuditError> {
        // A log that this sink wrote before and that nobody closed is dead like any other: ending it
        // here would hide what is open in it.
        drop(self.lock()?.take());
        self.begin(&store)
    }

    async fn append(
        &self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError> {
        let (receipts, appended) = match records {
            // What nearly all appends are. In a box is what few of them wait for, so that the others do
            // not carry the room for it.
            [AuditRecord::Decision(_)] => self.append_now(records, at_least)?,
            _ => return Box::pin(self.append_any(records, at_least)).await,
        };
        if let Appended::Written(None) = appended {
            return Ok(receipts);
        }
        Box::pin(self.wait_for(appended, &receipts, at_least)).await?;
        Ok(receipts)
    }

    async fn sync(&self, up_to: &Receipt) -> Result<(), AuditError> {
        let wait = {
            let mut current = self.lock()?;
            let open = current
                .as_mut()
                .filter(|open| open.writer.log() == up_to.log)
                .ok_or(AuditError::Closed)?;
            open.flush()?;
            open.reach(up_to.index.saturating_add(1).min(open.writer.size()))
        };
        wait.await
    }

    fn checkpoint(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        self.own(log)?.with(OpenLog::checkpoint)
    }

    fn signed(&self, log: LogId) -> Option<TreeHead> {
        // What waits in a group may still be undone, and a checkpoint with it.
        let signed = |open: &mut OpenLog| open.end_group().map(|()| open.writer.signed());
        self.own(log).ok()?.with(signed).ok()?
    }

    fn registered(&self, log: LogId, size: u64) {
        // A log that is not open any more says nothing more.
        if let Ok(mut own) = self.own(log) {
            let _ = own.with(|open| {
                open.writer.registered(size);
                Ok(())
            });
        }
    }

    async fn confirm_end(&self, log: LogId, store: StoreId) -> Result<bool, AuditError> {
        dead::confirm_end(&LogFile::find(&self.dir, log)?, store)
    }

    async fn prune(
        &self,
        log: LogId,
        rules: &PruneRules<'_>,
    ) -> Result<Option<Pruned>, AuditError> {
        self.snapshot(log, rules).await.map(Some)
    }

    async fn remove(&self, log: LogId, pruned: &Pruned) -> Result<Removed, AuditError> {
        self.remove_pruned(log, pruned)
    }

    async fn discard(&self, log: LogId) -> Result<(), AuditError> {
        let Some(open) = self.take(log)? else { return Ok(()) };
        if open.writer.size() > 1 {
            return Self::end(open).await.map(drop);
        }
        if open.check().is_ok() {
            // Nothing names it. One that stays is settled by the next opener.
            let _ = std::fs::remove_file(self.dir.join(&open.file));
        }
        Ok(())
    }

    async fn close(&self, log: LogId) -> Result<Option<TreeHead>, AuditError> {
        match self.take(log)? {
            Some(open) => Self::end(open).await.map(Some),
            None => Ok(None),
        }
    }

    fn cut(&self) -> Result<LogCut, AuditError> {
        // Where nothing was opened there is no directory, and nobody who cites.
        let _held = self.dir.exists().then(|| cut::hold_citations(&self.dir)).transpose()?;
        let mut current = self.lock()?;
        let mut files = cut::files(&self.dir)?;
        if let Some(open) = current.as_mut() {
            open.flush()?;
            for (_, length) in files.iter_mut().filter(|(name, _)| *name == open.file) {
                *length = open.tail.length();
            }
        }
        Ok(LogCut { files })
    }

    async fn backup(&self, dir: &Path, cut: &LogCut) -> Result<(), AuditError> {
        let cannot = |error| failed("its files cannot be copied: check the target", error);
        for (name, length) in &cut.files {
            let plain = Path::new(name);
            if plain.file_name().is_none_or(|file| file != plain.as_os_str()) {
                return Err(AuditError::unavailable("the cut names a file of another directory"));
            }
            let source = self.dir.join(plain);
            dir::copy(&source, &dir.join(plain), *length).map_err(|error| {
                if source.exists() {
                    return cannot(error);
                }
                // The storage was copied before it heard of that.
                AuditError::unavailable("a file was pruned meanwhile: make another copy")
            })?;
        }
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(cannot)
    }

    fn reader(&self) -> Option<&dyn AuditReader> {
        Some(self)
    }

    fn warnings(&self) -> Vec<String> {
        Self::warnings(self)
    }

    fn is_scarce(&self) -> bool {
        self.scarce.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl AuditReader for FileLog {
    async fn read(
        &self,
        after: Option<&Receipt>,
        limit: NonZeroU32,
    ) -> Result<Vec<(Receipt, Vec<u8>)>, AuditError> {
        self.flush()?;
        self.reader.read(after, limit)
    }
}

/// The open log, under its lock.
struct OwnLog<'a>(MutexGuard<'a, Option<OpenLog>>);

impl OwnLog<'_> {
    fn with<T>(
        &mut self,
        f: impl FnOnce(&mut OpenLog) -> Result<T, AuditError>,
    ) -> Result<Option<T>, AuditError> {
        self.0.as_mut().map(f).transpose()
    }
}

impl OpenLog {
    fn new(
        writer: LineWriter,
        medium: Arc<dyn Medium>,
        tail: Tail,
        segments: Segments,
        inline: bool,
        dead: HashMap<LogId, Locked>,
    ) -> Self {
        Self {
            syncer: Syncer::new(Arc::clone(&medium), inline, writer.size()),
            file: file_name(writer.log(), 0, LOG),
            writer,
            medium,
            tail,
            segments,
            groups: Groups::default(),
            inline,
            dead,
            process: process::id(),
        }
    }

    fn is_forked(&self) -> bool {
        process::id() != self.process
    }

    fn append(
        &mut self,
        records: &[AuditRecord],
        at_least: Durability,
    ) -> Result<Vec<Receipt>, AuditError> {
        // Each of a group that cannot be written is told so.
        let _ = self.end_group();
        let receipts = self.writer.append(records)?;
        if let Err(error) = self.admit(records.iter().map(AuditRecord::importance).min()) {
            self.writer.rollback();
            return Err(error);
        }
        let flushes = at_least > Durability::Held || self.writer.pending().len() > MAX_HELD_BYTES;
        if flushes && let Err(error) = self.flush() {
            self.writer.rollback();
            return Err(error);
        }
        Ok(receipts)
    }

    /// Whether what is pending may be written: room for what is more important must be left. All are
    /// taken or none, so the least important of them says for how much.
    fn admit(&mut self, least: Option<Importance>) -> Result<(), AuditError> {
        if self.tail.is_torn() {
            self.check()?;
            self.tail.mend(&self.syncer)?;
        }
        let bytes = self.writer.pending().len() as u64;
        if self.tail.has_all(bytes) || self.check().is_err() {
            // Who may not write is told so once something is written.
            return Ok(());
        }
        self.tail.admit(bytes, least.unwrap_or(Importance::Essential))
    }

    /// Waits until so many records are on the medium. They must be with the kernel already.
    fn reach(&mut self, records: u64) -> Reached {
        if !self.syncer.has_reached(records) && !self.is_forked() {
            self.tail.lay_out();
        }
        self.syncer.reach(records)
    }

    /// Signs all lines so far, with the kernel.
    fn checkpoint(&mut self) -> Result<TreeHead, AuditError> {
        let _ = self.end_group();
        let head = self.writer.checkpoint();
        if let Err(error) = self.flush() {
            self.writer.rollback();
            return Err(error);
        }
        Ok(head)
    }

    /// Writes the last line. All before it must be on the medium.
    fn end(&mut self) -> Result<TreeHead, AuditError> {
        let head = self.writer.end();
        if let Err(error) = self.tail.end(self.writer.pending(), &self.syncer) {
            // Nobody may write it later, behind what could not be cut off.
            self.writer.rollback();
            return Err(error);
        }
        self.has_written();
        Ok(head)
    }

    /// Gives all pending lines to the kernel by one write, or none of them.
    fn flush(&mut self) -> Result<(), AuditError> {
        if self.writer.pending().is_empty() && !self.tail.is_torn() {
            return if self.syncer.has_failed() { Err(broken()) } else { Ok(()) };
        }
        self.check()?;
        self.tail.append(self.writer.pending(), &self.syncer)?;
        self.has_written();
        Ok(())
    }

    /// Whether the file may be written.
    fn check(&self) -> Result<(), AuditError> {
        if self.syncer.has_failed() {
            return Err(broken());
        }
        if self.is_forked() {
            return Err(AuditError::unavailable(
                "the store was opened before this process was forked: open it after the fork",
            ));
        }
        Ok(())
    }

    fn has_written(&mut self) {
        self.writer.written();
        self.groups.end(Ok(()));
        self.syncer.has_written(self.writer.size());
    }
}

impl Drop for OpenLog {
    fn drop(&mut self) {
        if self.is_forked() {
            // The log and its lock are the parent's, and the thread is not here to be joined.
            std::mem::forget(Arc::clone(&self.syncer));
            return;
        }
        let _ = self.end_group();
        // Held records are given to the kernel where that is possible; they had no promise.
        let _ = self.flush();
        self.syncer.stop();
        // Who waits for a sync still holds the file, and so does a child that was forked: the log is
        // dead all the same.
        self.medium.unlock();
    }
}

#[cfg(test)]
#[path = "file_log_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "group_tests.rs"]
mod groups;

#[cfg(test)]
#[path = "power_cut_tests.rs"]
mod power_cuts;

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod rotations;

#[cfg(test)]
#[path = "reserve_tests.rs"]
mod reserves;
