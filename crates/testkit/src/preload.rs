//! Libraries in C that replace functions of the C library in programs that are
//! linked dynamically, as Cargo builds them. The programs of a release are static.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use crate::{Sandbox, skip};

impl Sandbox {
    /// Compiles a library for `LD_PRELOAD`: `NAME.so` in the working directory. None
    /// without a compiler.
    pub fn preload(&self, name: &str, source: &str) -> Option<PathBuf> {
        self.write(format!("{name}.c"), source);
        let compile = format!("cc -shared -fPIC -O -o {name}.so {name}.c");
        let compiled = self.sh(&compile).code() == Some(0);
        compiled.then(|| self.path(format!("{name}.so")))
    }

    /// Counts the allocations of `program` in all commands of
    /// [`Allocations::apply`]. None, with a message that `test` is skipped, if there
    /// is no compiler or the program is static.
    pub fn allocations(&self, program: &str, test: &str) -> Option<Allocations> {
        let Some(preload) = self.preload("allocations", include_str!("allocations.c")) else {
            skip(test, "cc cannot compile a library");
            return None;
        };
        self.write("allocations", [0; LENGTH]);
        let symbols = self.sh(&format!("nm $(command -v {program})"));
        let symbols = symbols.text();
        let peak = symbols.lines().find(|line| line.contains("RESERVE_PEAK"));
        let peak = peak.and_then(|line| line.split(' ').next());
        let path = self.path("allocations");
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let allocations = Allocations {
            program: program.to_owned(),
            peak: peak.unwrap_or_default().to_owned(),
            preload,
            path,
            file,
        };
        allocations.restore();
        // Every program starts, if only to print its usage.
        let mut command = self.command(program);
        if program == "svscan" {
            // Without an argument, svscan scans the current directory.
            command.arg("/nonexistent");
        }
        allocations.apply(&mut command);
        let _ = self.run(command);
        if allocations.read(PROCESSES) == 0 {
            skip(test, "the programs are linked statically");
            return None;
        }
        allocations.write(COUNT, 0);
        Some(allocations)
    }
}

/// The numbers in the file that a library shares with the programs.
const COUNT: u64 = 0;
const FIRST_FAILED: u64 = 8;
const FAILED: u64 = 16;
const PROCESSES: u64 = 24;
const PEAK: u64 = 32;
const LENGTH: usize = 40;

/// The allocations of one program: those of its processes, and of their children up
/// to the exec. They can be made to fail at any time.
#[derive(Debug)]
pub struct Allocations {
    program: String,
    /// The place of the counter in the program, in hexadecimal. Empty without one.
    peak: String,
    preload: PathBuf,
    path: PathBuf,
    file: File,
}

impl Allocations {
    /// Makes a command count. The command may be a shell that executes the program,
    /// or an ancestor of it.
    pub fn apply(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.preload)
            .env("ALLOCATIONS", &self.path)
            .env("ALLOCATIONS_OF", &self.program)
            .env("RESERVE_PEAK", &self.peak);
    }

    /// The number of allocations so far, including failed ones.
    pub fn count(&self) -> u64 {
        self.read(COUNT)
    }

    /// The number of allocations that failed so far.
    pub fn failed(&self) -> u64 {
        self.read(FAILED)
    }

    /// The bytes of the program's reserve that were in use at most. None if the
    /// program has no symbols.
    pub fn reserve_peak(&self) -> Option<u64> {
        let cell = 4096 / u64::from(usize::BITS);
        (!self.peak.is_empty()).then(|| self.read(PEAK) * cell)
    }

    /// Makes all allocations fail, from this number on, until
    /// [`Allocations::restore`]. The first allocation has the number 1.
    pub fn fail_from(&self, number: u64) {
        self.write(FIRST_FAILED, number);
    }

    /// Ends the failures.
    pub fn restore(&self) {
        self.write(FIRST_FAILED, u64::MAX);
    }

    fn read(&self, place: u64) -> u64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, place).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn write(&self, place: u64, number: u64) {
        let bytes = number.to_ne_bytes();
        self.file.write_all_at(&bytes, place).unwrap();
    }
}
