//! Tests of all programs, in one binary.
#![allow(missing_docs, reason = "tests are sentences already")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

/// The crate for other projects, on supervise -e and s6-supervise.
mod client_crate;
/// Shell completions.
mod completions;
/// Each program by the contract, on the reference and on ours, and both
/// mixed.
mod compliance;
/// The packages of Cargo.
mod crates;
/// `make demo`: the output, and the end of all processes.
mod demo;
/// Documents: the tests, programs and links that they name exist.
mod documents;
/// Failures of the system: kills, full disks, power loss, noise.
mod faults;
/// The files for the host of the repository.
mod host;
/// Hundreds of services for minutes, without leaks or lost lines.
mod long_life;
/// The manual: its form, and the output of its examples.
mod manual;
/// Services on many machines, by Ansible.
mod many_machines;
/// Memory: no allocation between events, and survival without memory.
mod memory;
/// Programs of others that read the line of svstat or the status of runsv.
mod other_readers;
/// Processes of a test, found in /proc.
mod processes;
/// The usage lines and option tables of the programs.
mod programs;
/// The same generated cases on the reference and on ours.
mod random;
/// Servers that people run, under svscan.
mod real_services;
/// The shell scripts of the tree.
mod scripts;
/// `make html`: links, anchors and contents of the pages.
mod site;
/// A clock that a test steps.
mod stepped_clock;
/// The version of the workspace.
mod versions;
/// The documents typed line by line.
mod walkthrough;
