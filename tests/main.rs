//! All tests of the programs, in one binary.
#![allow(missing_docs, reason = "tests are sentences already")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

/// What the shells complete.
mod completions;
/// Each program by the contract, on the reference and on ours, and both
/// mixed.
mod compliance;
/// What `make demo` shows, and that it leaves nothing behind.
mod demo;
/// That the documents speak of tests and programs that exist.
mod documents;
/// What goes wrong below the programs: kills, refusals, power, noise.
mod faults;
/// The manual, and that its examples do what they show.
mod manual;
/// Services on many machines, by Ansible.
mod many_machines;
/// What the programs say of themselves.
mod programs;
/// The same generated cases on the reference and on ours.
mod random;
/// Servers that people run, under svscan.
mod real_services;
/// What the documents tell to type, typed.
mod walkthrough;
