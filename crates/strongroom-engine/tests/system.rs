//! The machine's own clock and randomness keep the contracts of their traits.

mod clock {
    use strongroom_engine::SystemClock;

    strongroom_testkit::clock_suite!(|| SystemClock);
}

mod entropy {
    use strongroom_engine::SystemEntropy;

    strongroom_testkit::entropy_suite!(|| SystemEntropy);
}
