//! Programs under test, sandboxes that run them, and assertions on exact
//! output.
//!
//! A compliance test is one function that runs on several subjects: the
//! reference programs, ours, and both mixed. Write the test for the reference
//! first: a test that passes there describes 0.76.
//!
//! | subject | first programs | clients |
//! | --- | --- | --- |
//! | `reference` | reference | reference |
//! | `ours` | ours | ours |
//! | `theirs_then_ours` | reference | ours |
//! | `ours_then_theirs` | ours | reference |
//!
//! The first programs create state: a log directory, a running supervise. The
//! clients use this state: the next multilog, svc, svok, svstat.

mod outcome;
mod preload;
mod programs;
pub mod random;
mod sandbox;
pub mod service_files;
mod signal;
mod subject;
mod watches;

pub use outcome::Outcome;
pub use preload::Allocations;
pub use programs::programs;
pub use sandbox::{Running, SLEEPER, Sandbox, holds_within, pause_at_random};
pub use signal::{kill, killpg};
pub use subject::{Subject, is_root, run, run_built, say, say_once, skip};
pub use watches::kernel_watches;

/// Makes tests of functions `fn name(sandbox: &Sandbox)`: each runs on the
/// reference and on ours.
#[macro_export]
macro_rules! compliance {
    ($($name:ident),* $(,)?) => {
        $($crate::on_subjects! { $name reference: Reference, ours: Ours, })*
    };
}

/// As [`compliance!`], and with the two mixed: ours uses the state that theirs
/// made, and theirs uses the state that ours made.
#[macro_export]
macro_rules! interop {
    ($($name:ident),* $(,)?) => {
        $($crate::on_subjects! {
            $name
            reference: Reference, ours: Ours,
            theirs_then_ours: TheirsThenOurs, ours_then_theirs: OursThenTheirs,
        })*
    };
}

/// Makes tests of features that the reference lacks: each runs on ours alone.
#[macro_export]
macro_rules! ours {
    ($($name:ident),* $(,)?) => {
        $($crate::on_subjects! { $name ours: Ours, })*
    };
}

/// As [`ours!`], and our clients also use the state that theirs made.
#[macro_export]
macro_rules! ours_on_theirs {
    ($($name:ident),* $(,)?) => {
        $($crate::on_subjects! { $name ours: Ours, theirs_then_ours: TheirsThenOurs, })*
    };
}

/// As [`ours!`], and their clients also use the state that ours made.
#[macro_export]
macro_rules! theirs_on_ours {
    ($($name:ident),* $(,)?) => {
        $($crate::on_subjects! { $name ours: Ours, ours_then_theirs: OursThenTheirs, })*
    };
}

/// The module of one test function: a test for each subject.
#[doc(hidden)]
#[macro_export]
macro_rules! on_subjects {
    ($name:ident $($test:ident: $subject:ident,)*) => {
        mod $name {
            $(#[test]
            fn $test() {
                $crate::run(
                    $crate::Subject::$subject,
                    env!("CARGO_BIN_EXE_svok"),
                    module_path!(),
                    super::$name,
                );
            })*
        }
    };
}
