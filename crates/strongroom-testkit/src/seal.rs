//! What every seal must do: a suite of cases over the [`Seal`] trait.
//!
//! One line in a test file runs them all, each as a test of its own, on a bare `block_on`:
//!
//! ```
//! # use strongroom_testkit::MemorySeal;
//! # use std::sync::LazyLock;
//! # static MINE: LazyLock<MemorySeal> = LazyLock::new(MemorySeal::new);
//! strongroom_testkit::seal_suite!(|| MINE.clone(), || MemorySeal::new());
//! ```
//!
//! The first closure makes the holder of one key, the same with each call, as after a restart; the
//! second one a holder of another key. A case is also a function, to be run by [`run`].

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Waker};

use futures_executor::block_on;
use strongroom_core::{
    Entropy, EntropyError, KeyContext, Seal, SealError, SealId, SecretValue, StoreId, WrappedKey,
};

use crate::SeededEntropy;

/// Makes a test of each case of the suite. Takes two closures that make a seal: the one that is
/// tested, and one of the same kind that holds another key.
#[macro_export]
macro_rules! seal_suite {
    ($mine:expr, $another:expr) => {
        $crate::seal_suite! { @cases ($mine, $another)
            the_kind_is_a_short_plain_name
            a_key_comes_back_as_it_was
            a_holder_made_anew_opens_what_was_wrapped
            what_is_stored_keeps_its_limits
            what_is_stored_does_not_show_the_key
            a_key_wrapped_twice_opens_from_both
            keys_of_several_stores_are_told_apart
            another_store_is_refused
            another_seal_id_is_refused
            another_holder_is_told_that_it_is_not_its_own
            a_changed_key_is_refused
            a_shortened_or_lengthened_key_is_refused
            changed_parameters_never_give_another_key
            parameters_of_any_bytes_are_survived
            a_source_of_randomness_that_fails_is_survived
            a_dropped_call_leaves_the_seal_usable
            several_threads_do_not_disturb_each_other
        }
    };
    (@cases ($mine:expr, $another:expr) $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::seal::run($crate::seal::$case, $mine, $another);
            }
        )*
    };
}

/// Runs one case.
///
/// # Panics
/// Where the seal does not do what the case asks for.
pub fn run<S: Seal, T: Seal>(
    case: fn(&Bench),
    mine: impl Fn() -> S + Send + Sync + 'static,
    another: impl Fn() -> T + Send + Sync + 'static,
) {
    case(&Bench {
        mine: Box::new(move || Arc::new(mine())),
        another: Box::new(move || Arc::new(another())),
    });
}

type Make = Box<dyn Fn() -> Arc<dyn Seal> + Send + Sync>;

/// How to make the seal of a case, and one that holds another key.
pub struct Bench {
    mine: Make,
    another: Make,
}

impl Bench {
    /// The seal that is tested, made anew.
    #[must_use]
    pub fn mine(&self) -> Arc<dyn Seal> {
        (self.mine)()
    }

    /// A seal that holds another key.
    #[must_use]
    pub fn another(&self) -> Arc<dyn Seal> {
        (self.another)()
    }
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").finish_non_exhaustive()
    }
}

/// A root key that is found where it should not be.
const ROOT: &[u8; 32] = b"canary-root-key-0123456789abcdef";

/// A store, a seal's id in it, and a source of randomness.
struct Place {
    store: StoreId,
    seal: SealId,
    entropy: SeededEntropy,
}

impl Place {
    fn new(number: u8) -> Self {
        Self {
            store: StoreId::from_bytes([number; 16]),
            seal: SealId::from_bytes([number; 8]),
            entropy: SeededEntropy::new(number.into()),
        }
    }

    fn context(&self) -> KeyContext<'_> {
        KeyContext { store: self.store, seal: self.seal, entropy: &self.entropy }
    }

    fn wrap(&self, seal: &dyn Seal, key: &[u8]) -> WrappedKey {
        let wrapped = block_on(seal.wrap_key(&SecretValue::copied_from(key), &self.context()));
        wrapped.unwrap_or_else(|error| unreachable!("wrap_key: {error}"))
    }

    fn unwrap(&self, seal: &dyn Seal, wrapped: &WrappedKey) -> Result<SecretValue, SealError> {
        block_on(seal.unwrap_key(wrapped, &self.context()))
    }

    fn opens(&self, seal: &dyn Seal, wrapped: &WrappedKey, key: &[u8]) {
        match self.unwrap(seal, wrapped) {
            Ok(found) => assert!(is(&found, key), "another key came out"),
            Err(error) => unreachable!("unwrap_key: {error}"),
        }
    }

    fn refuses(&self, seal: &dyn Seal, wrapped: &WrappedKey, what: &str) -> SealError {
        match self.unwrap(seal, wrapped) {
            Ok(_) => unreachable!("{what} was accepted"),
            Err(error) => {
                assert_tells_nothing(&error);
                error
            }
        }
    }
}

fn is(found: &SecretValue, key: &[u8]) -> bool {
    // EXPOSE: a key of a test is compared with what was wrapped.
    found.expose(|bytes| bytes == key)
}

fn assert_tells_nothing(error: &SealError) {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        assert!(!format!("{error:?} {error}").contains("canary"), "an error shows the key");
        next = error.source();
    }
}

/// At most 32 bytes of `a-z 0-9 -`, and always the same.
pub fn the_kind_is_a_short_plain_name(bench: &Bench) {
    let (one, two) = (bench.mine(), bench.mine());
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    assert!((1..=32).contains(&one.kind().len()), "a kind has 1 to 32 bytes");
    assert!(one.kind().bytes().all(is_plain), "a kind is made of a-z, 0-9 and -");
    assert_eq!(one.kind(), two.kind());
}

/// Whatever its bytes are.
pub fn a_key_comes_back_as_it_was(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    for key in [&[0; 32], &[0xff; 32], ROOT] {
        let wrapped = place.wrap(&*seal, key);
        place.opens(&*seal, &wrapped, key);
        place.opens(&*seal, &wrapped, key);
    }
}

/// A process ends, and the next one opens the store.
pub fn a_holder_made_anew_opens_what_was_wrapped(bench: &Bench) {
    let place = Place::new(1);
    let wrapped = place.wrap(&*bench.mine(), ROOT);
    place.opens(&*bench.mine(), &wrapped, ROOT);
}

/// Parameters have at most 1 KiB, the wrapped key at most 4 KiB: the keyring has room for no more.
pub fn what_is_stored_keeps_its_limits(bench: &Bench) {
    let wrapped = Place::new(1).wrap(&*bench.mine(), ROOT);
    assert!(wrapped.parameters.len() <= 1024, "the parameters are too long");
    assert!(wrapped.wrapped.len() <= 4096, "the wrapped key is too long");
}

/// Neither as it is, nor in hex, nor turned round.
pub fn what_is_stored_does_not_show_the_key(bench: &Bench) {
    let wrapped = Place::new(1).wrap(&*bench.mine(), ROOT);
    let hex: String = ROOT.iter().map(|byte| format!("{byte:02x}")).collect();
    let reversed: Vec<u8> = ROOT.iter().rev().copied().collect();
    for stored in [&wrapped.parameters, &wrapped.wrapped] {
        for shown in [&ROOT[..], hex.as_bytes(), &reversed] {
            // A part of it is as bad as all of it.
            for part in shown.windows(8) {
                assert!(!stored.windows(8).any(|window| window == part), "the key is in clear");
            }
        }
    }
}

/// As while seals are added and replaced.
pub fn a_key_wrapped_twice_opens_from_both(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    let (one, two) = (place.wrap(&*seal, ROOT), place.wrap(&*seal, ROOT));
    place.opens(&*seal, &one, ROOT);
    place.opens(&*seal, &two, ROOT);
}

/// One passphrase, one KMS key may open several stores.
pub fn keys_of_several_stores_are_told_apart(bench: &Bench) {
    let seal = bench.mine();
    let stores = [1, 2, 3].map(|number| {
        let place = Place::new(number);
        let wrapped = place.wrap(&*seal, &[number; 32]);
        (place, wrapped)
    });
    for (place, wrapped) in &stores {
        let [first, ..] = *place.store.as_bytes();
        place.opens(&*seal, wrapped, &[first; 32]);
    }
}

/// A wrapped key is of one store: in the keyring of another it opens nothing.
pub fn another_store_is_refused(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    let wrapped = place.wrap(&*seal, ROOT);
    let other = Place { store: StoreId::from_bytes([9; 16]), ..Place::new(1) };
    other.refuses(&*seal, &wrapped, "the key of another store");
}

/// And of one seal of that store.
pub fn another_seal_id_is_refused(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    let wrapped = place.wrap(&*seal, ROOT);
    let other = Place { seal: SealId::from_bytes([9; 8]), ..Place::new(1) };
    other.refuses(&*seal, &wrapped, "the key of another seal of the store");
}

/// `NotMine`, so that a person is told that the passphrase is wrong and not that the store is.
pub fn another_holder_is_told_that_it_is_not_its_own(bench: &Bench) {
    let place = Place::new(1);
    let wrapped = place.wrap(&*bench.mine(), ROOT);
    let error = place.refuses(&*bench.another(), &wrapped, "the key of another holder");
    assert!(matches!(error, SealError::NotMine { .. }), "{error:?}");
}

/// At its beginning, in its middle, at its end.
pub fn a_changed_key_is_refused(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    let good = place.wrap(&*seal, ROOT);
    let length = good.wrapped.len();
    for at in [0, 1, length / 4, length / 2, length * 3 / 4, length.saturating_sub(1)] {
        let mut changed = good.clone();
        if let Some(byte) = changed.wrapped.get_mut(at) {
            *byte ^= 1;
        }
        place.refuses(&*seal, &changed, "a wrapped key with a bit changed");
    }
    place.opens(&*seal, &good, ROOT);
}

/// Nor is nothing a key.
pub fn a_shortened_or_lengthened_key_is_refused(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    let good = place.wrap(&*seal, ROOT);
    let shorter = |length: usize| good.wrapped.iter().copied().take(length).collect::<Vec<_>>();
    let length = good.wrapped.len();
    let longer = [&good.wrapped[..], &[0]].concat();
    for wrapped in [shorter(0), shorter(1), shorter(length / 2), shorter(length - 1), longer] {
        let changed = WrappedKey { wrapped, parameters: good.parameters.clone() };
        place.refuses(&*seal, &changed, "a wrapped key of another length");
    }
}

/// They may be a name that plays no part; what they may not do is lead to other bytes.
pub fn changed_parameters_never_give_another_key(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    let good = place.wrap(&*seal, ROOT);
    for at in 0..good.parameters.len().min(64) {
        let mut changed = good.clone();
        if let Some(byte) = changed.parameters.get_mut(at) {
            *byte ^= 1;
        }
        match place.unwrap(&*seal, &changed) {
            Ok(found) => assert!(is(&found, ROOT), "changed parameters gave another key"),
            Err(error) => assert_tells_nothing(&error),
        }
    }
}

/// They are bounded before anything is allocated: whoever can write to the storage wrote them.
pub fn parameters_of_any_bytes_are_survived(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    let good = place.wrap(&*seal, ROOT);
    let length = good.parameters.len();
    for bytes in [vec![], vec![0xff; length], vec![0; length], vec![0xff; 1024], vec![b'{'; 1024]] {
        let changed = WrappedKey { parameters: bytes, wrapped: good.wrapped.clone() };
        match place.unwrap(&*seal, &changed) {
            Ok(found) => assert!(is(&found, ROOT), "changed parameters gave another key"),
            Err(error) => assert_tells_nothing(&error),
        }
    }
    place.opens(&*seal, &good, ROOT);
}

/// A source that leaves zeros behind it.
#[derive(Debug)]
struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError::new())
    }
}

/// A seal that needs none goes on; any other says so, and works again afterwards.
pub fn a_source_of_randomness_that_fails_is_survived(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    let context = KeyContext { entropy: &NoEntropy, ..place.context() };
    let key = SecretValue::copied_from(ROOT);
    let attempt = || block_on(seal.wrap_key(&key, &context));
    match (attempt(), attempt()) {
        (Ok(one), Ok(two)) => {
            place.opens(&*seal, &one, ROOT);
            place.opens(&*seal, &two, ROOT);
            let is_random = place.wrap(&*seal, ROOT) != place.wrap(&*seal, ROOT);
            assert!(!is_random || one != two, "it goes on with randomness that it did not get");
        }
        (Err(one), Err(two)) => [one, two].iter().for_each(assert_tells_nothing),
        _ => unreachable!("one attempt without randomness worked and one did not"),
    }
    let wrapped = place.wrap(&*seal, ROOT);
    place.opens(&*seal, &wrapped, ROOT);
}

/// Dropped before its first poll, and after it.
pub fn a_dropped_call_leaves_the_seal_usable(bench: &Bench) {
    let (seal, place) = (bench.mine(), Place::new(1));
    let key = SecretValue::copied_from(ROOT);
    let good = place.wrap(&*seal, ROOT);
    let mut waiting = Context::from_waker(Waker::noop());
    let context = place.context();
    drop(seal.wrap_key(&key, &context));
    drop(seal.unwrap_key(&good, &context));
    let _ = seal.wrap_key(&key, &context).as_mut().poll(&mut waiting);
    let _ = seal.unwrap_key(&good, &context).as_mut().poll(&mut waiting);
    place.opens(&*seal, &good, ROOT);
    let wrapped = place.wrap(&*seal, ROOT);
    place.opens(&*seal, &wrapped, ROOT);
}

/// Several stores are opened at once, each with its own key.
pub fn several_threads_do_not_disturb_each_other(bench: &Bench) {
    let seal = bench.mine();
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let seal = &*seal;
            scope.spawn(move || {
                let place = Place::new(number);
                let wrapped = place.wrap(seal, &[number; 32]);
                place.opens(seal, &wrapped, &[number; 32]);
            });
        }
    });
}
