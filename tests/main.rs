//! All tests of the programs, in one binary.
#![allow(missing_docs, reason = "tests are sentences already")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

/// Each program by the contract, on the reference and on ours, and both
/// mixed.
mod compliance;
/// The same generated cases on the reference and on ours.
mod random;
