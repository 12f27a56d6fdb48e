//! A clock that a test steps: a library, preloaded into the programs, adds a
//! number of seconds to the time of day.

use std::fs;
use std::sync::Once;

use fastrand::Rng;
use testkit::{Sandbox, say_once};

/// Replaces the time of day of a program that is linked dynamically: the file
/// that CLOCK names contains a number of seconds, which are added.
const CLOCK: &str = r#"#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/syscall.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    const char *name = getenv("CLOCK");
    if (result == 0 && clock == CLOCK_REALTIME && name) {
        char text[32] = {0};
        int file = open(name, O_RDONLY | O_CLOEXEC);
        if (file >= 0 && read(file, text, sizeof text - 1) > 0)
            now->tv_sec += atoll(text);
        if (file >= 0) close(file);
    }
    return result;
}
"#;

/// The values of `step`, in seconds.
const STEPS: [i32; 9] = [
    0,
    1,
    -1,
    3600,
    -3600,
    86_400,
    -86_400,
    2_000_000_000,
    -1_700_000_000,
];

/// Makes the library that steps the clock. Whether it applies to our programs:
/// those of a release are static.
pub(crate) fn make(sandbox: &Sandbox) -> bool {
    set(sandbox, 86_400);
    let library = sandbox.preload("clock", CLOCK);
    let applies = library.is_some() && {
        let script = "now=$(date +%s) && \
            later=$(echo | env $VARIABLES tai64n | cut -c 10-17) && \
            [ $((0x$later - now - 10)) -ge 86400 ]";
        let mut command = sandbox.shell(script);
        let clock = variables(sandbox).map(|(name, value)| format!("{name}={value}"));
        command.env("VARIABLES", clock.join(" "));
        sandbox.run(command).code() == Some(0)
    };
    if !applies {
        static SAID: Once = Once::new();
        say_once(
            &SAID,
            "not tested, the programs are static or there is no compiler: clock steps",
        );
    }
    set(sandbox, 0);
    applies
}

/// The environment of the programs whose clock is stepped.
pub(crate) fn variables(sandbox: &Sandbox) -> [(&'static str, String); 2] {
    [("CLOCK", "clock"), ("LD_PRELOAD", "clock.so")]
        .map(|(variable, file)| (variable, sandbox.path(file).display().to_string()))
}

/// Sets the difference to the machine's clock, in seconds.
pub(crate) fn set(sandbox: &Sandbox, seconds: i32) {
    sandbox.write("clock.new", seconds.to_string());
    fs::rename(sandbox.path("clock.new"), sandbox.path("clock")).unwrap();
}

/// Sets a random difference, and returns it.
pub(crate) fn step(sandbox: &Sandbox, rng: &mut Rng) -> i32 {
    let step = STEPS[rng.usize(..STEPS.len())];
    set(sandbox, step);
    step
}
