//! Programs under test, scenes to run them in, and outcomes compared byte for
//! byte.
//!
//! A compliance test is one function that runs on several subjects: the
//! reference programs, ours, and both mixed. It is green on the reference
//! first; that proves the test before the test proves the product.
//!
//! | subject | made by | met by |
//! | --- | --- | --- |
//! | `reference` | reference | reference |
//! | `ours` | ours | ours |
//! | `theirs_then_ours` | reference | ours |
//! | `ours_then_theirs` | ours | reference |
//!
//! "Made by" are the programs that leave something behind: a log directory, a
//! running supervise. "Met by" are those that find it: the next multilog,
//! svc, svok, svstat.

mod outcome;
mod programs;
pub mod random;
mod scene;
mod signal;
mod subject;

pub use outcome::Outcome;
pub use programs::programs;
pub use scene::{Running, Scene};
pub use signal::{kill, killpg};
pub use subject::{Subject, run, say, skip};

/// Makes tests of functions `fn name(scene: &Scene) { … }`: each runs on the
/// reference and on ours.
#[macro_export]
macro_rules! compliance {
    ($($(#[$meta:meta])* fn $name:ident($scene:ident: &Scene) $body:block)*) => {
        $($crate::on_subjects! {
            $(#[$meta])* fn $name($scene) $body
            reference: Reference, ours: Ours,
        })*
    };
}

/// As [`compliance!`], and with the two mixed: ours meets what theirs made,
/// theirs meets what ours made.
#[macro_export]
macro_rules! interop {
    ($($(#[$meta:meta])* fn $name:ident($scene:ident: &Scene) $body:block)*) => {
        $($crate::on_subjects! {
            $(#[$meta])* fn $name($scene) $body
            reference: Reference, ours: Ours,
            theirs_then_ours: TheirsThenOurs, ours_then_theirs: OursThenTheirs,
        })*
    };
}

/// Tests of what the reference has not, on ours.
#[macro_export]
macro_rules! ours {
    ($($(#[$meta:meta])* fn $name:ident($scene:ident: &Scene) $body:block)*) => {
        $($crate::on_subjects! {
            $(#[$meta])* fn $name($scene) $body
            ours: Ours,
        })*
    };
}

/// As [`ours!`], where it meets what ours made, and what the reference made.
#[macro_export]
macro_rules! ours_meets {
    ($($(#[$meta:meta])* fn $name:ident($scene:ident: &Scene) $body:block)*) => {
        $($crate::on_subjects! {
            $(#[$meta])* fn $name($scene) $body
            ours: Ours, theirs_then_ours: TheirsThenOurs,
        })*
    };
}

/// As [`ours!`], where what it makes is met by ours, and by the reference.
#[macro_export]
macro_rules! ours_is_met {
    ($($(#[$meta:meta])* fn $name:ident($scene:ident: &Scene) $body:block)*) => {
        $($crate::on_subjects! {
            $(#[$meta])* fn $name($scene) $body
            ours: Ours, ours_then_theirs: OursThenTheirs,
        })*
    };
}

/// The tests of one function, a module of them.
#[doc(hidden)]
#[macro_export]
macro_rules! on_subjects {
    ($(#[$meta:meta])* fn $name:ident($scene:ident) $body:block $($test:ident: $subject:ident,)*) => {
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "some tests need nothing of their module")]
            use super::*;

            fn check($scene: &$crate::Scene) $body

            $(#[test]
            fn $test() {
                $crate::run(
                    $crate::Subject::$subject,
                    env!("CARGO_BIN_EXE_svok"),
                    module_path!(),
                    check,
                );
            })*
        }
    };
}
