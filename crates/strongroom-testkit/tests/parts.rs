//! The testkit's own seal, clock and source of randomness keep the contracts of their traits.

mod seal {
    use std::sync::LazyLock;

    use strongroom_testkit::MemorySeal;

    static MINE: LazyLock<MemorySeal> = LazyLock::new(MemorySeal::new);

    strongroom_testkit::seal_suite!(|| MINE.clone(), MemorySeal::new);
}

mod clock {
    use strongroom_testkit::ManualClock;

    strongroom_testkit::clock_suite!(ManualClock::new);
}

mod entropy {
    use std::sync::LazyLock;

    use strongroom_testkit::SeededEntropy;

    static SOURCE: LazyLock<SeededEntropy> = LazyLock::new(|| SeededEntropy::new(1));

    strongroom_testkit::entropy_suite!(|| SOURCE.clone());
}

mod memory_anchor {
    use std::sync::LazyLock;

    use strongroom_testkit::MemoryAnchor;

    static KEPT: LazyLock<MemoryAnchor> = LazyLock::new(MemoryAnchor::new);

    strongroom_testkit::anchor_suite!(|_dir| KEPT.clone());
}

mod file_anchor {
    use strongroom_audit::FileAnchor;

    strongroom_testkit::anchor_suite!(|dir| FileAnchor::new(dir));
}
