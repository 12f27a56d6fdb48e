//! Program start from the C library, without the Rust runtime.
//!
//! Before a Rust `main`, std opens /dev/null on closed descriptors from 0 to 2,
//! ignores SIGPIPE, catches SIGSEGV and SIGBUS, and reads /proc/self/maps. The
//! programs pass descriptors and signal actions on to other programs, so they
//! must not change them, and a chain program should not spend that time. The C
//! library calls [`main!`](crate::main!) directly.

use std::ffi::{CStr, CString, c_char};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

static ARGV: AtomicPtr<*mut c_char> = AtomicPtr::new(std::ptr::null_mut());
static ENVP: AtomicPtr<*mut c_char> = AtomicPtr::new(std::ptr::null_mut());

/// Defines the `main` of a program whose file begins with
/// `#![cfg_attr(not(test), no_main)]`. The value of the expression is the exit
/// code, from 0 to 255.
#[macro_export]
macro_rules! main {
    ($body:expr $(,)?) => {
        // SAFETY: a program has one `main`; the linker rejects another.
        #[cfg(not(test))]
        #[unsafe(no_mangle)]
        extern "C" fn main(
            _: ::std::ffi::c_int,
            argv: *mut *mut ::std::ffi::c_char,
            envp: *mut *mut ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            // SAFETY: the C library calls `main` with these two arrays.
            unsafe { $crate::start::set_arguments(argv, envp) };
            ::std::ffi::c_int::from(u8::from($body))
        }

        // The test harness provides `main`.
        #[cfg(test)]
        fn main() {
            let _ = || u8::from($body);
        }
    };
}

/// Stores the arguments and the environment for the functions below.
///
/// # Safety
/// Both are the kernel's arrays of strings: null-terminated, writable, and valid
/// for the life of the process.
pub unsafe fn set_arguments(argv: *mut *mut c_char, envp: *mut *mut c_char) {
    ARGV.store(argv, Ordering::Relaxed);
    ENVP.store(envp, Ordering::Relaxed);
}

/// Whether the process began with [`main!`](crate::main!), which stores the arguments
/// and the environment.
pub fn has_arguments() -> bool {
    !ARGV.load(Ordering::Relaxed).is_null()
}

/// The arguments, the program's own name first.
pub fn arguments() -> Vec<&'static CStr> {
    ARGUMENTS_BORROWED.store(true, Ordering::Relaxed);
    strings(&ARGV).collect()
}

/// The inherited environment: every entry in order, even without `=`.
pub fn environment() -> Vec<&'static CStr> {
    strings(&ENVP).collect()
}

/// The inherited environment as the kernel's array; an empty one before
/// [`set_arguments`].
pub(crate) fn inherited_environment() -> *const *const c_char {
    const EMPTY: &[usize; 1] = &[0];
    let array = ENVP.load(Ordering::Relaxed);
    if array.is_null() {
        EMPTY.as_ptr().cast()
    } else {
        array.cast_const().cast()
    }
}

/// The value of the first entry `name=value` of the environment.
pub fn variable(name: &[u8]) -> Option<&'static [u8]> {
    strings(&ENVP).find_map(|entry| {
        let rest = entry.to_bytes().strip_prefix(name)?;
        rest.strip_prefix(b"=")
    })
}

fn strings(array: &AtomicPtr<*mut c_char>) -> impl Iterator<Item = &'static CStr> {
    pointers(array)
        // SAFETY: the kernel's strings are NUL-terminated and live as long as
        // the process. No writer exists (see `writable_argument`).
        .map(|string| unsafe { CStr::from_ptr(string) })
}

fn pointers(array: &AtomicPtr<*mut c_char>) -> impl Iterator<Item = *mut c_char> + use<> {
    let mut next = array.load(Ordering::Relaxed);
    std::iter::from_fn(move || {
        if next.is_null() {
            return None;
        }
        // SAFETY: `next` points into the kernel's null-terminated array and
        // never past the null pointer.
        let string = unsafe { *next };
        if string.is_null() {
            return None;
        }
        // SAFETY: the element just read was not the last one.
        next = unsafe { next.add(1) };
        Some(string)
    })
}

static ARGUMENTS_BORROWED: AtomicBool = AtomicBool::new(false);

/// Copies of the arguments, the program's own name first, for programs that
/// call [`writable_argument`].
pub fn copied_arguments() -> Vec<CString> {
    strings(&ARGV).map(CStr::to_owned).collect()
}

/// The bytes of the last argument, writable, in the argument memory that ps
/// shows. None without arguments, or after a call of [`arguments`].
pub fn last_argument() -> Option<&'static mut [u8]> {
    writable_argument(pointers(&ARGV).count().checked_sub(1)?)
}

/// As [`last_argument`], for the argument with this number, from 1.
pub fn writable_argument(number: usize) -> Option<&'static mut [u8]> {
    if ARGUMENTS_BORROWED.swap(true, Ordering::Relaxed) || number == 0 {
        return None;
    }
    let start = pointers(&ARGV).nth(number)?;
    // SAFETY: the kernel's strings are NUL-terminated.
    let length = unsafe { libc::strlen(start) };
    // SAFETY: the memory is writable and belongs to the process. The flag
    // above makes this the only reference.
    Some(unsafe { std::slice::from_raw_parts_mut(start.cast::<u8>(), length) })
}
