//! Ways to compile wrongly: the test that compares program and interpreter must find out each of them.

/// A mistake that a compiler could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The first two rows of a chain change places.
    SwapRows,
    /// The text after a capture is not looked at.
    IgnoreSuffix,
    /// A literal segment forgets what the captures beside it lead to.
    DropInherited,
    /// A splat is forgotten one segment after its own.
    ForgetSplats,
    /// A test of a missing value is true.
    MissingIsTrue,
    /// A block without an answer lets the request out.
    OpenBlocks,
    /// Several different values are one.
    IgnoreConflicts,
    /// A merged edge is followed when its first segment fits.
    HalfEdges,
}

/// Whether the mistake is to be made: only tests ask for one.
#[cfg(test)]
pub(super) fn made(fault: Fault) -> bool {
    FAULT.get() == Some(fault)
}

/// Whether the mistake is to be made: never.
#[cfg(not(test))]
#[inline]
pub(super) const fn made(_: Fault) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    /// The mistake that this test's compiler makes.
    pub(super) static FAULT: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}
