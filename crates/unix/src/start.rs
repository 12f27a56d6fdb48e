//! How a program starts: from the C library, without the Rust runtime.
//!
//! Before a Rust `main`, std opens /dev/null on every closed descriptor from 0
//! to 2, sets SIGPIPE to ignored, catches SIGSEGV and SIGBUS, so that the
//! first of these that is sent to the process does not end it, and reads
//! /proc/self/maps. A program that hands its state on to another, or that dies
//! of signals as its users expect, must see and leave what it inherited, and
//! one that only becomes another program should not spend its time on that.
//! So [`main!`](crate::main!) is what the C library calls, as in a C program
//! that uses a library written in Rust.

use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

static ARGV: AtomicPtr<*mut c_char> = AtomicPtr::new(std::ptr::null_mut());
static ENVP: AtomicPtr<*mut c_char> = AtomicPtr::new(std::ptr::null_mut());

/// The `main` of a program whose file begins with
/// `#![cfg_attr(not(test), no_main)]`: its value is that of the expression,
/// an exit code from 0 to 255.
#[macro_export]
macro_rules! main {
    ($body:expr $(,)?) => {
        // SAFETY: a program has one `main`; the linker refuses another.
        #[cfg(not(test))]
        #[unsafe(no_mangle)]
        extern "C" fn main(
            _: ::std::ffi::c_int,
            argv: *mut *mut ::std::ffi::c_char,
            envp: *mut *mut ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: the C library calls `main` with these two arrays.
            unsafe { $crate::start::begin(argv, envp) };
            ::std::ffi::c_int::from(u8::from($body))
        }

        // The tests of a program have a `main` of their own.
        #[cfg(test)]
        fn main() {
            let _ = || u8::from($body);
        }
    };
}

/// Takes the arguments and the environment for the functions below.
///
/// # Safety
/// Both are arrays of strings as the kernel lays them out: each ended by a
/// null pointer, writable, and there for as long as the process.
pub unsafe fn begin(argv: *mut *mut c_char, envp: *mut *mut c_char) {
    ARGV.store(argv, Ordering::Relaxed);
    ENVP.store(envp, Ordering::Relaxed);
}

/// The arguments, the program's own name first.
#[must_use]
pub fn arguments() -> Vec<&'static CStr> {
    ARGUMENTS_LENT.store(true, Ordering::Relaxed);
    strings(ARGV.load(Ordering::Relaxed))
}

/// The environment as it was inherited: every entry, malformed or not, in
/// its order.
#[must_use]
pub fn environment() -> Vec<&'static CStr> {
    strings(ENVP.load(Ordering::Relaxed))
}

/// The value of the first entry `name=value` of the environment.
#[must_use]
pub fn variable(name: &[u8]) -> Option<&'static [u8]> {
    environment().into_iter().find_map(|entry| {
        let rest = entry.to_bytes().strip_prefix(name)?;
        rest.strip_prefix(b"=")
    })
}

fn strings(array: *mut *mut c_char) -> Vec<&'static CStr> {
    pointers(array)
        .into_iter()
        // SAFETY: the kernel ends each string with a NUL; they live as long
        // as the process and are written by no one (see `last_argument`).
        .map(|string| unsafe { CStr::from_ptr(string) })
        .collect()
}

fn pointers(mut next: *mut *mut c_char) -> Vec<*mut c_char> {
    let mut all = Vec::new();
    while !next.is_null() {
        // SAFETY: `next` points into an array of the kernel's making, which
        // ends with a null pointer that is not passed.
        let string = unsafe { *next };
        if string.is_null() {
            break;
        }
        all.push(string);
        // SAFETY: the element just read was not the last one.
        next = unsafe { next.add(1) };
    }
    all
}

static ARGUMENTS_LENT: AtomicBool = AtomicBool::new(false);

/// Copies of the arguments, the program's own name first, for who writes to
/// one of them.
#[must_use]
pub fn copied_arguments() -> Vec<CString> {
    let all = strings(ARGV.load(Ordering::Relaxed));
    all.into_iter().map(CStr::to_owned).collect()
}

/// The bytes of the last argument in the process's own argument memory,
/// which ps shows, to be written to. None if there is no argument but the
/// program's name, or if the arguments were handed out before.
#[must_use]
pub fn last_argument() -> Option<&'static mut [u8]> {
    let count = pointers(ARGV.load(Ordering::Relaxed)).len();
    writable_argument(count.checked_sub(1)?)
}

/// As [`last_argument`], of the argument that has this number; the program's
/// name, which has number 0, is none.
#[must_use]
pub fn writable_argument(number: usize) -> Option<&'static mut [u8]> {
    if ARGUMENTS_LENT.swap(true, Ordering::Relaxed) || number == 0 {
        return None;
    }
    let start = *pointers(ARGV.load(Ordering::Relaxed)).get(number)?;
    // SAFETY: a string of the kernel's making, ended by a NUL.
    let length = unsafe { libc::strlen(start) };
    // SAFETY: the memory is writable and the process's own, and the flag
    // above makes this the only reference to it, once.
    Some(unsafe { std::slice::from_raw_parts_mut(start.cast::<u8>(), length) })
}
