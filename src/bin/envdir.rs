//! envdir: run a program with environment variables from a directory.

#![cfg_attr(not(test), no_main)]

use std::ffi::CStr;

use chain::envdir::{EnvdirError, read};
use chain::{Child, Environment};
use cli::{Exit, Failure, Program, text};

pub(crate) static ENVDIR: Program = Program {
    name: "envdir",
    usage: "envdir: usage: envdir dir child",
    options: &[],
};

unix::main!(ENVDIR.start(envdir));

fn envdir(arguments: &[&'static CStr]) -> Result<Exit, Failure> {
    let (directory, child) = match *arguments {
        [_, directory, ref child @ ..] if !child.is_empty() => (directory, child),
        // As in 0.76, this usage error exits 111, unlike that of all other programs.
        _ => {
            let exit = Exit::Temporary;
            return Err(Failure {
                exit,
                ..ENVDIR.usage()
            });
        }
    };
    let mut environment = Environment::inherited();
    environment.extend(read(directory, |_| false).map_err(|error| failure(directory, error))?);
    Err(Child::new(&ENVDIR, child, &environment.entries()).exec())
}

fn failure(directory: &CStr, error: EnvdirError) -> Failure {
    let (subject, error) = match error {
        EnvdirError::Origin(error) => (text!["unable to switch to current directory"], error),
        EnvdirError::Enter(error) => (text!["unable to switch to directory ", directory], error),
        EnvdirError::Open(error) | EnvdirError::List(error) => {
            (text!["unable to read directory ", directory], error)
        }
        EnvdirError::Read(file, error) => (text!["unable to read ", directory, "/", file], error),
        EnvdirError::Return(error) => (text!["unable to switch to starting directory"], error),
    };
    ENVDIR.fatal(subject, error)
}
