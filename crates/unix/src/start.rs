//! What the process inherited, seen before the Rust runtime changes it.
//!
//! Before `main`, std opens /dev/null on every closed descriptor from 0 to 2,
//! sets SIGPIPE to ignored, and catches SIGSEGV and SIGBUS, so that the first
//! of these that is sent to the process does not end it. A program that hands
//! its state on to another, or that dies of signals as its users expect, must
//! see and leave the truth. The C library calls the functions in
//! `.init_array` earlier still, with the arguments of `main`: one of them
//! records that truth here.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use libc::{c_char, c_int};

static ARGV: AtomicPtr<*mut c_char> = AtomicPtr::new(std::ptr::null_mut());
static ENVP: AtomicPtr<*mut c_char> = AtomicPtr::new(std::ptr::null_mut());
static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

/// The signals whose disposition std changes.
const CHANGED: [c_int; 3] = [libc::SIGPIPE, libc::SIGSEGV, libc::SIGBUS];
static IGNORED: [AtomicBool; CHANGED.len()] = [const { AtomicBool::new(false) }; CHANGED.len()];

#[used]
// SAFETY: an entry of .init_array is a pointer to a function, which glibc
// calls with argc, argv and envp, in dynamic and in static programs.
#[unsafe(link_section = ".init_array")]
static RECORD: extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) = record;

extern "C" fn record(_: c_int, argv: *mut *mut c_char, envp: *mut *mut c_char) {
    ARGV.store(argv, Ordering::Relaxed);
    ENVP.store(envp, Ordering::Relaxed);
    for (descriptor, closed) in (0..).zip(&CLOSED) {
        // SAFETY: F_GETFD takes no pointer and any number may be asked about.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        closed.store(flags == -1, Ordering::Relaxed);
    }
    for (signal, ignored) in CHANGED.iter().zip(&IGNORED) {
        ignored.store(crate::signals::is_ignored(*signal), Ordering::Relaxed);
    }
}

/// Undoes what std did before `main`: descriptors 0 to 2 that were closed are
/// closed again, and signals have the disposition that was inherited.
///
/// To be called first in `main`, before anything is opened.
pub fn restore() {
    for (descriptor, closed) in (0..).zip(&CLOSED) {
        if closed.load(Ordering::Relaxed) {
            // SAFETY: std opened this descriptor and nothing owns it: no
            // other code of the program has run yet.
            unsafe { libc::close(descriptor) };
        }
    }
    for (signal, ignored) in CHANGED.iter().zip(&IGNORED) {
        if !ignored.load(Ordering::Relaxed) {
            // SAFETY: SIG_DFL is a valid disposition and runs no code of ours.
            unsafe { libc::signal(*signal, libc::SIG_DFL) };
        }
    }
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

/// The bytes of the last argument in the process's own argument memory,
/// which ps shows, to be written to. None if there is no argument but the
/// program's name, or if the arguments were handed out before.
#[must_use]
pub fn last_argument() -> Option<&'static mut [u8]> {
    if ARGUMENTS_LENT.swap(true, Ordering::Relaxed) {
        return None;
    }
    let start = *pointers(ARGV.load(Ordering::Relaxed)).get(1..)?.last()?;
    // SAFETY: a string of the kernel's making, ended by a NUL.
    let length = unsafe { libc::strlen(start) };
    // SAFETY: the memory is writable and the process's own, and the flag
    // above makes this the only reference to it, once.
    Some(unsafe { std::slice::from_raw_parts_mut(start.cast::<u8>(), length) })
}
