//! Mutates the committed corpora for some seconds a target, on a stable compiler. No coverage
//! guides it: `cargo fuzz` does that, this shows at each change that nothing near a known input
//! fails.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use strongroom_fuzz::{TARGETS, corpus};

const USAGE: &str = "usage: smoke [--seconds N] [--seed N] [TARGET]";
const LONGEST_INPUT: usize = 8192;

fn main() -> ExitCode {
    let Some(asked) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    for (name, body) in TARGETS {
        if asked.target.as_deref().is_some_and(|target| target != *name) {
            continue;
        }
        match run(name, *body, &asked) {
            Ok(inputs) => println!("{name}: {inputs} inputs"),
            Err(problem) => {
                eprintln!("{name}: {problem}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

struct Asked {
    seconds: u64,
    seed: u64,
    target: Option<String>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Asked> {
    let mut asked = Asked { seconds: 3, seed: 1, target: None };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => asked.seconds = words.next()?.parse().ok()?,
            "--seed" => asked.seed = words.next()?.parse().ok()?,
            target if TARGETS.iter().any(|(name, _)| *name == target) => asked.target = Some(word),
            _ => return None,
        }
    }
    Some(asked)
}

/// Feeds mutated inputs until the time is over; an input that fails is kept in `artifacts/`.
#[expect(clippy::disallowed_methods, reason = "how long to go on")]
fn run(name: &str, body: fn(&[u8]), asked: &Asked) -> Result<u64, String> {
    let seeds: Vec<Vec<u8>> =
        corpus(name).map_err(|e| e.to_string())?.into_iter().map(|(_, input)| input).collect();
    let mut random = Random(asked.seed ^ 0x9e37_79b9_7f4a_7c15);
    let end = Instant::now() + Duration::from_secs(asked.seconds);
    let mut inputs = 0;
    while Instant::now() < end {
        for _ in 0..64 {
            let input = mutated(&seeds, &mut random);
            if catch_unwind(|| body(&input)).is_err() {
                return Err(kept(name, &input));
            }
            inputs += 1;
        }
    }
    Ok(inputs)
}

fn kept(name: &str, input: &[u8]) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(name);
    let file = folder.join("smoke-failure");
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, input)) {
        Ok(()) => format!("fails on {}", file.display()),
        Err(error) => format!("fails on {input:?} (not kept: {error})"),
    }
}

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = random.choose(seeds).cloned().unwrap_or_default();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(8) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.byte(),
            2 => input.insert(at, random.byte()),
            3 if at < input.len() => drop(input.remove(at)),
            4 => input.truncate(at),
            5 => {
                // A piece of another seed, where two formats meet.
                let other = random.choose(seeds).cloned().unwrap_or_default();
                let from = random.below(other.len() + 1);
                input.splice(at..at, other[from..].iter().copied());
            }
            6 => {
                let piece = input[at..].to_vec();
                let times = random.below(8);
                (0..times).for_each(|_| input.extend_from_slice(&piece));
            }
            _ => {
                const EDGES: [&[u8]; 8] =
                    [b"\0", b"\xff\xff\xff\xff", b"/", b"..", b"@", b"\n", b"9999999999", b"\""];
                let edge = random.choose(&EDGES).copied().unwrap_or_default();
                input.splice(at..at, edge.iter().copied());
            }
        }
        input.truncate(LONGEST_INPUT);
    }
    input
}

/// xorshift64*: repeatable, and good enough to pick bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or_default() % end.max(1)
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}
