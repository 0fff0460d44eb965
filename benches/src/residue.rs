//! A process that puts, reads, rewraps and drops secrets, and the search for what is left of them
//! in its memory.
//!
//! The process must not hold a value or a key for reasons of its own: values are made from a seed
//! into the buffer that is put, and keys are drawn from a source of randomness that both processes
//! know, so that neither has to be told.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use futures_executor::block_on;
use strongroom::{
    Credential, Entropy, EntropyError, Opaque, SecretPath, SecretText, SecretValue, Session,
};

use crate::children::word;
use crate::memory::{Searched, search_process};
use crate::{Dice, Needles, Outcome, Room, owner, say, start_child};

/// Any so many bytes of a value in a row are a find.
const WINDOW: usize = 16;
const KEY: usize = 32;
const SEED: u64 = 0x7265_7369_6475_6531;
/// What the process keeps on purpose.
const PLANTED: usize = usize::MAX;

/// What is found at one moment.
#[derive(Debug)]
pub struct Residue {
    /// When.
    pub moment: &'static str,
    /// Whether the store was closed.
    pub closed: bool,
    /// How many bytes of memory were searched.
    pub bytes: usize,
    /// Values: where, which, in which form.
    pub values: Vec<String>,
    /// Keys that were drawn and are there.
    pub keys: Vec<String>,
    /// How many keys had been drawn.
    pub drawn: usize,
    /// Whether what was kept on purpose was found.
    pub planted: bool,
}

/// Lets a process handle that many secrets, and searches it when all are dropped, and when the
/// store is closed too.
///
/// # Errors
/// Where the process fails, or may not be looked into.
pub fn residue(secrets: usize) -> Outcome<Vec<Residue>> {
    let scratch = tempfile::tempdir()?;
    let mut child = start_child("child-handles-secrets")?
        .arg(scratch.path())
        .arg(secrets.to_string())
        .stdin(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("the process has no input")?;
    let mut output = BufReader::new(child.stdout.take().ok_or("the process has no output")?);
    let mut values = Needles::new(WINDOW);
    for number in 0..secrets {
        let value = Value::of(number);
        value.bytes().expose(|bytes| values.add(format!("value {number}"), bytes));
    }
    let mut planted = Needles::new(WINDOW);
    Value::of(PLANTED).bytes().expose(|bytes| planted.add("planted", bytes));

    let mut found = Vec::new();
    for (moment, closed) in [("all secrets dropped", false), ("the store closed", true)] {
        let keys = drawn_keys(&mut output)?;
        let values = search_process(child.id(), &values)?;
        found.push(Residue {
            moment,
            closed,
            bytes: values.bytes,
            values: told(values),
            keys: told(search_process(child.id(), &keys.0)?),
            drawn: keys.1,
            planted: !search_process(child.id(), &planted)?.hits.is_empty(),
        });
        input.write_all(b"\n")?;
    }
    match child.wait()?.success() {
        true => Ok(found),
        false => Err("the process that handles secrets failed".into()),
    }
}

fn told(searched: Searched) -> Vec<String> {
    searched.hits.into_iter().map(|(place, hit)| format!("{place}: {hit}")).collect()
}

/// The keys among all draws of the process, which says how long each was.
fn drawn_keys(output: &mut BufReader<ChildStdout>) -> Outcome<(Needles, usize)> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    let (mut keys, mut count) = (Needles::new(KEY), 0);
    for (number, length) in line.split_whitespace().enumerate() {
        if length.parse::<usize>()? == KEY {
            keys.add(format!("draw {number}"), &Dice::of(!SEED, number).bytes(KEY));
            count += 1;
        }
    }
    if count == 0 { Err("the process drew no keys".into()) } else { Ok((keys, count)) }
}

/// A value: by its number of one of three kinds.
enum Value {
    Bytes(usize),
    Text(usize),
    Large(usize),
}

impl Value {
    fn of(number: usize) -> Self {
        match number % 20 {
            3 => Self::Large(number),
            4..10 => Self::Text(number),
            _ => Self::Bytes(number),
        }
    }

    /// The value, in one buffer that is wiped.
    fn bytes(&self) -> SecretValue {
        match *self {
            Self::Bytes(number) => Dice::of(SEED, number).bytes(256).into(),
            Self::Large(number) => Dice::of(SEED, number).bytes(70_000).into(),
            Self::Text(number) => SecretText::new(Dice::of(SEED, number).letters(64)).into(),
        }
    }

    async fn put(&self, session: &Session, path: SecretPath) -> Result<(), strongroom::Error> {
        let put = match self {
            Self::Bytes(_) | Self::Large(_) => session.put(path, Opaque::new(self.bytes())).await,
            Self::Text(_) => {
                session.put(path, Credential::new("marked", self.bytes().into_text()?)).await
            }
        };
        put.map(drop)
    }

    /// Whether what is read is the value.
    async fn is_read(
        &self,
        session: &Session,
        path: SecretPath,
    ) -> Result<bool, strongroom::Error> {
        match self {
            Self::Bytes(_) | Self::Large(_) => {
                let read: Opaque = session.get(path).await?;
                Ok(read.value().ct_eq(&self.bytes()))
            }
            Self::Text(_) => {
                let read: Credential = session.get(path).await?;
                Ok(read.password().ct_eq(&self.bytes().into_text()?))
            }
        }
    }
}

/// The process: it says the lengths of all draws, and waits to be looked into, twice.
pub(crate) fn handle_secrets(words: &[String]) -> Outcome {
    let (dir, secrets): (PathBuf, usize) = (word(words, 0)?, word(words, 1)?);
    let planted: Vec<u8> = Value::of(PLANTED).bytes().expose(<[u8]>::to_vec);
    let entropy = KnownEntropy::default();
    let room = block_on(Room::builder(&dir)?.entropy(entropy.clone()).create())?;
    {
        let session = room.session(owner());
        for number in 0..secrets {
            block_on(Value::of(number).put(&session, path(number)?))?;
        }
        let read_all = || -> Outcome {
            for number in 0..secrets {
                if !block_on(Value::of(number).is_read(&session, path(number)?))? {
                    return Err(format!("secret {number} is not what was put").into());
                }
            }
            Ok(())
        };
        read_all()?;
        block_on(session.rotate_keys("prod"))?;
        block_on(session.rewrap("prod"))?;
        read_all()?;
    }
    entropy.wait_for_a_look()?;
    block_on(room.close())?;
    entropy.wait_for_a_look()?;
    // Kept to here.
    drop(std::hint::black_box(planted));
    Ok(())
}

fn path(number: usize) -> Result<SecretPath, strongroom::Error> {
    Ok(format!("prod/marked/{number}").parse::<SecretPath>()?)
}

/// Randomness that the other process knows too. Keeps the length of each draw and nothing else.
#[derive(Debug, Clone, Default)]
struct KnownEntropy(Arc<Mutex<Vec<usize>>>);

impl Entropy for KnownEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        let mut draws = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dice = Dice::of(!SEED, draws.len());
        draws.push(buffer.len());
        for part in buffer.chunks_mut(8) {
            part.iter_mut().zip(dice.roll().to_le_bytes()).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

impl KnownEntropy {
    fn wait_for_a_look(&self) -> Outcome {
        let draws = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lengths: Vec<String> = draws.iter().map(ToString::to_string).collect();
        say(lengths.join(" "));
        std::io::stdin().read_exact(&mut [0])?;
        Ok(())
    }
}
