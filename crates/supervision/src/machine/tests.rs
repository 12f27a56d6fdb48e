//! The machine, one event at a time.

use daemontools_core::state::{CheckResult, ServiceState, StateFile};

use super::view::number_of;
use super::*;

const SERVICE: Pid = Pid::from_raw(7);
const FINISH: Pid = Pid::from_raw(9);
const ENDED: ExitStatus = ExitStatus::from_raw(0);

fn due(machine: &Machine) -> Option<Instant> {
    machine.next_start().map(|(moment, _)| moment)
}

/// The steps of a command, as letters of programs and names of signals.
fn done(machine: &mut Machine, command: Command, now: Moment) -> String {
    let steps = machine.apply_command(command, now).map(|step| match step {
        CommandStep::Signal(signal) => signal.to_string(),
        CommandStep::Program { letter, otherwise } => {
            let signal = otherwise.map(|signal| signal.to_string());
            format!("{}{}", char::from(letter), signal.unwrap_or_default())
        }
    });
    steps.collect::<Vec<_>>().join(" ")
}

/// Starts the `finish` that is due.
fn start_finish(machine: &mut Machine, now: Moment) {
    let (_, script) = machine.next_start().unwrap();
    assert!(matches!(script, Script::Finish(_)));
    machine.record_start(script, FINISH, now);
}

/// A moment some time after the first one.
fn after(first: Moment, milliseconds: u64) -> Moment {
    let instant = first.instant + Duration::from_millis(milliseconds);
    Moment { instant, ..first }
}

/// A service that was started at the returned moment.
fn up() -> (Machine, Moment) {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Supervise, Want::Up, now);
    assert_eq!(due(&machine), Some(now.instant));
    machine.record_start(Script::Run, SERVICE, now);
    (machine, now)
}

#[test]
fn restart_comes_a_second_after_last_start() {
    let (mut machine, now) = up();
    machine.record_exit(SERVICE, ENDED, false, after(now, 300));
    assert_eq!(due(&machine), Some(after(now, 1000).instant));
    machine.record_start(Script::Run, SERVICE, after(now, 1000));
    machine.record_exit(SERVICE, ENDED, false, after(now, 5000));
    assert_eq!(due(&machine), Some(after(now, 5000).instant));
}

#[test]
fn down_cancels_scheduled_start() {
    let (mut machine, now) = up();
    machine.record_exit(SERVICE, ENDED, false, now);
    assert_eq!(machine.apply_command(Command::Down, now).count(), 0);
    assert_eq!(due(&machine), None);
    // The next start still keeps its distance from the last one.
    let _ = machine.apply_command(Command::Once, now);
    assert_eq!(due(&machine), Some(after(now, 1000).instant));
}

#[test]
fn down_sends_term_and_then_cont() {
    let (mut machine, now) = up();
    let _ = machine.apply_command(Command::Pause, now);
    assert!(machine.report().status.paused);
    assert_eq!(done(&mut machine, Command::Down, now), "SIGTERM SIGCONT");
    assert!(!machine.report().status.paused);
    machine.record_exit(SERVICE, ENDED, false, now);
    assert_eq!(due(&machine), None);
}

#[test]
fn exit_waits_for_run_and_prevents_restart() {
    let (mut machine, now) = up();
    assert_eq!(machine.apply_command(Command::Exit, now).count(), 0);
    // The exit of another process is ignored.
    machine.record_exit(Pid::from_raw(8), ENDED, false, now);
    assert_eq!(machine.child_pid(), Some(SERVICE));
    assert!(!machine.should_exit());
    machine.record_exit(SERVICE, ENDED, false, now);
    assert!(machine.should_exit());
    assert_eq!(due(&machine), None);
}

#[test]
fn failed_fork_is_retried_after_a_minute() {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Supervise, Want::Down, now);
    assert_eq!(due(&machine), None);
    assert_eq!(machine.apply_command(Command::Up, now).count(), 0);
    assert_eq!(due(&machine), Some(now.instant));
    machine.record_failed_start(Script::Run, now);
    assert_eq!(due(&machine), Some(after(now, 60_000).instant));
    let _ = machine.apply_command(Command::Down, now);
    assert_eq!(due(&machine), None);
}

/// A service of runsv that was started at the returned moment.
fn up_under_runsv() -> (Machine, Moment) {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Runsv(Role::Service), Want::Up, now);
    machine.record_start(Script::Run, SERVICE, now);
    (machine, now)
}

#[test]
fn control_programs_replace_signals_under_runsv() {
    let (mut machine, now) = up_under_runsv();
    assert_eq!(done(&mut machine, Command::Pause, now), "pSIGSTOP");
    assert_eq!(done(&mut machine, Command::Terminate, now), "tSIGTERM");
    assert_eq!(done(&mut machine, Command::Down, now), "tSIGTERM SIGCONT d");
    assert_eq!(
        done(&mut machine, Command::Terminate, now),
        "tSIGTERM SIGCONT d"
    );
    assert_eq!(done(&mut machine, Command::Exit, now), "tSIGTERM SIGCONT x");
    assert_eq!(done(&mut machine, Command::Once, now), "");
    assert!(!machine.exit_requested());
}

#[test]
fn finish_delays_down_and_gets_no_signals() {
    let (mut machine, now) = up_under_runsv();
    let killed = ExitStatus::from_raw(9);
    machine.record_exit(SERVICE, killed, true, now);
    let (pid, status) = (SERVICE, killed);
    let finish = Script::Finish(RunExit { pid, status });
    assert_eq!(machine.next_start(), Some((now.instant, finish)));
    start_finish(&mut machine, now);
    assert_eq!(machine.report().state, Some(ServiceState::Finish));
    assert_eq!(done(&mut machine, Command::Down, now), "");
    assert_eq!(due(&machine), None);
    let _ = machine.apply_command(Command::Up, now);
    machine.record_exit(FINISH, ENDED, true, after(now, 300));
    assert_eq!(due(&machine), Some(after(now, 1300).instant));
}

#[test]
fn runsv_delays_restart_only_after_short_run() {
    let (mut machine, now) = up_under_runsv();
    machine.record_exit(SERVICE, ENDED, false, after(now, 999));
    assert_eq!(due(&machine), Some(after(now, 1999).instant));
    machine.record_start(Script::Run, SERVICE, after(now, 1999));
    machine.record_exit(SERVICE, ENDED, false, after(now, 2999));
    assert_eq!(due(&machine), Some(after(now, 2999).instant));
}

#[test]
fn kill_during_finish_allows_exit_under_runsv() {
    let (mut machine, now) = up_under_runsv();
    machine.record_exit(SERVICE, ENDED, true, now);
    start_finish(&mut machine, now);
    let _ = machine.apply_command(Command::Exit, now);
    assert!(!machine.should_exit());
    assert_eq!(done(&mut machine, Command::Kill, now), "");
    assert!(machine.should_exit());
}

#[test]
fn logger_ignores_exit_command() {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Runsv(Role::Logger), Want::Up, now);
    machine.record_start(Script::Run, SERVICE, now);
    assert_eq!(done(&mut machine, Command::Exit, now), "");
    assert!(!machine.exit_requested());
    machine.request_exit();
    machine.record_exit(SERVICE, ENDED, false, now);
    assert!(machine.should_exit());
}

/// A service of supervise -e with these settings, started at the returned
/// moment.
fn up_on(config: RestartConfig) -> (Machine, Moment) {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Extended, Want::Up, now);
    machine.set_config(config);
    machine.record_start(Script::Run, SERVICE, now);
    (machine, now)
}

fn backoff(first: u64, longest: u64) -> RestartConfig {
    let (first, longest) = (Duration::from_secs(first), Duration::from_secs(longest));
    RestartConfig {
        backoff: Some(Backoff { first, longest }),
        ..RestartConfig::default()
    }
}

#[test]
fn backoff_doubles_until_a_ready_or_long_run() {
    let (mut machine, mut now) = up_on(backoff(2, 9));
    for (lives, delay) in [(0, 2), (8, 4), (0, 8), (9, 9), (0, 9), (10, 2), (0, 4)] {
        let died = after(now, lives * 1000);
        machine.record_exit(SERVICE, ENDED, false, died);
        now = after(died, delay * 1000);
        assert_eq!(due(&machine), Some(now.instant));
        machine.record_start(Script::Run, SERVICE, now);
    }
}

#[test]
fn requested_exit_neither_counts_nor_waits() {
    let limit = RestartLimit {
        count: 2,
        interval: Duration::from_secs(1000),
    };
    let (mut machine, mut now) = up_on(RestartConfig {
        limit: Some(limit),
        ..backoff(4, 20)
    });
    // Only the exits that no command requests have a delay and double it.
    for (requested, delay) in [(true, 1), (false, 4), (true, 1), (true, 1), (false, 8)] {
        if requested {
            assert_eq!(done(&mut machine, Command::Terminate, now), "SIGTERM");
            machine.record_signal(Signal::SIGTERM, now);
        }
        machine.record_exit(SERVICE, ENDED, false, now);
        now = after(now, delay * 1000);
        assert_eq!(due(&machine), Some(now.instant), "{requested} {delay}");
        machine.record_start(Script::Run, SERVICE, now);
    }
    machine.record_exit(SERVICE, ENDED, false, now);
    assert_eq!(machine.state_file().state, ServiceState::Failed);
}

#[test]
fn requested_exit_of_ready_run_resets_backoff() {
    let (mut machine, mut now) = up_on(RestartConfig {
        expects_readiness: true,
        ..backoff(2, 9)
    });
    for (ready, delay) in [(false, 2), (false, 4), (true, 1), (false, 2)] {
        if ready {
            machine.record_readiness(now);
            machine.record_signal(Signal::SIGTERM, now);
        }
        machine.record_exit(SERVICE, ENDED, false, now);
        now = after(now, delay * 1000);
        assert_eq!(due(&machine), Some(now.instant), "{ready} {delay}");
        machine.record_start(Script::Run, SERVICE, now);
    }
}

#[test]
fn state_file_follows_life_of_service() {
    let (mut machine, now) = up_on(RestartConfig {
        expects_readiness: true,
        ..backoff(2, 9)
    });
    // Each moment has a label of its own.
    let after = |seconds| Moment {
        label: now.label.after(Duration::from_secs(seconds)),
        ..after(now, seconds * 1000)
    };
    machine.record_readiness(after(1));
    // A second report changes nothing.
    machine.record_readiness(after(2));
    let ready = StateFile {
        state: ServiceState::Ready,
        pid: number_of(SERVICE),
        since: Some(now.label),
        ready_since: Some(after(1).label),
        restarts: Some(0),
        exit_code: None,
        signal: None,
        next_start: None,
        check: None,
    };
    assert_eq!(machine.state_file(), ready);
    let _ = machine.apply_command(Command::Pause, after(2));
    machine.record_exit(SERVICE, ExitStatus::from_raw(3 << 8), true, after(3));
    start_finish(&mut machine, after(3));
    let finish = StateFile {
        state: ServiceState::Finish,
        pid: None,
        since: Some(after(3).label),
        ready_since: None,
        exit_code: Some(3),
        ..ready
    };
    assert_eq!(machine.state_file(), finish);
    assert_eq!(machine.report().status.since, after(3).label);
    assert!(!machine.report().status.paused);
    machine.record_exit(FINISH, ENDED, true, after(4));
    let delay = StateFile {
        state: ServiceState::Delay,
        next_start: Some(after(5).label),
        ..finish
    };
    assert_eq!(machine.state_file(), delay);
    machine.record_start(Script::Run, SERVICE, after(5));
    machine.record_exit(SERVICE, ExitStatus::from_raw(9), false, after(15));
    let again = StateFile {
        since: Some(after(15).label),
        restarts: Some(1),
        exit_code: None,
        signal: Some(9),
        next_start: Some(after(17).label),
        ..delay
    };
    assert_eq!(machine.state_file(), again);
}

#[test]
fn backoff_is_not_below_configured_first_delay() {
    let (mut machine, now) = up_on(backoff(1, 9));
    let mut died_on = |config| {
        machine.set_config(config);
        machine.record_exit(SERVICE, ENDED, false, now);
        let moment = due(&machine);
        machine.record_start(Script::Run, SERVICE, now);
        moment
    };
    let seconds = |number: u64| Some(after(now, number * 1000).instant);
    assert_eq!(died_on(backoff(1, 9)), seconds(1));
    assert_eq!(died_on(backoff(5, 9)), seconds(5));
    assert_eq!(died_on(backoff(5, 9)), seconds(9));
    // Settings without a delay reset the backoff.
    assert_eq!(died_on(RestartConfig::default()), seconds(1));
    assert_eq!(died_on(backoff(2, 9)), seconds(2));
}

#[test]
fn clock_step_changes_label_not_deadline() {
    let (mut machine, start) = up();
    for seconds in [86_400, -172_800, 86_400] {
        // Deadlines are on the monotonic clock.
        let label = Label::from_unix(1_000_000_000 + seconds, 0);
        let died = Moment {
            label,
            ..after(start, 300)
        };
        machine.record_exit(SERVICE, ENDED, false, died);
        assert_eq!(machine.report().status.since, label);
        assert_eq!(due(&machine), Some(after(start, 1000).instant));
        machine.record_start(Script::Run, SERVICE, Moment { label, ..start });
    }
}

fn checked(failures: u64) -> RestartConfig {
    RestartConfig {
        expects_readiness: true,
        check: Some(CheckConfig {
            interval: Duration::from_secs(2),
            timeout: Some(Duration::from_secs(1)),
            failures,
            reports_readiness: true,
        }),
        ..RestartConfig::default()
    }
}

const CHECK: Pid = Pid::from_raw(11);
const FAILED: ExitStatus = ExitStatus::from_raw(1 << 8);

/// Starts the check that is due after this many milliseconds.
#[track_caller]
fn start_check(machine: &mut Machine, first: Moment, milliseconds: u64) {
    let moment = after(first, milliseconds);
    assert_eq!(machine.next_start(), Some((moment.instant, Script::Check)));
    machine.record_start(Script::Check, CHECK, moment);
    assert_eq!(machine.next_start(), None);
}

#[test]
fn check_that_cannot_start_waits_for_the_interval() {
    let (mut machine, now) = up_on(checked(1));
    for time in [2000, 4000, 6000] {
        let due = (after(now, time).instant, Script::Check);
        assert_eq!(machine.next_start(), Some(due));
        machine.record_failed_start(Script::Check, after(now, time));
    }
    // No result counts.
    assert_eq!(machine.state_file().check, None);
    start_check(&mut machine, now, 8000);
}

#[test]
fn first_passed_check_makes_service_ready() {
    let (mut machine, now) = up_on(checked(0));
    start_check(&mut machine, now, 2000);
    let event = |machine: &mut Machine, status, time| {
        let report = machine.record_check_exit(CHECK, status, after(now, time));
        report.map(|report| report.event)
    };
    assert_eq!(event(&mut machine, FAILED, 2500), Some(CheckEvent::Failing));
    assert_eq!(machine.state_file().state, ServiceState::Starting);
    assert_eq!(machine.state_file().check, Some(CheckResult::Failing));
    start_check(&mut machine, now, 4500);
    assert_eq!(event(&mut machine, ENDED, 4600), Some(CheckEvent::Ok));
    assert_eq!(machine.state_file().state, ServiceState::Ready);
    // A later failure leaves the service ready.
    start_check(&mut machine, now, 6600);
    assert_eq!(event(&mut machine, FAILED, 6600), Some(CheckEvent::Failing));
    assert_eq!(machine.state_file().state, ServiceState::Ready);
    start_check(&mut machine, now, 8600);
    assert_eq!(event(&mut machine, FAILED, 8600), None);
}

#[test]
fn failures_in_a_row_stop_service_once() {
    let (mut machine, now) = up_on(checked(2));
    let mut reports = Vec::new();
    for (start, status) in [
        (2000, FAILED),
        (4000, ENDED),
        (6000, FAILED),
        (8000, FAILED),
    ] {
        start_check(&mut machine, now, start);
        reports.extend(machine.record_check_exit(CHECK, status, after(now, start)));
    }
    let events: Vec<_> = reports.iter().map(|report| report.event).collect();
    let expected = [
        CheckEvent::Failing,
        CheckEvent::Ok,
        CheckEvent::Failing,
        CheckEvent::Stop,
    ];
    assert_eq!(events, expected);
    assert_eq!(machine.state_file().check, Some(CheckResult::Failures(2)));
    assert_eq!(machine.next_start(), None);
    // The exit is not requested: it counts.
    machine.record_exit(SERVICE, ENDED, false, after(now, 8000));
    assert_eq!(machine.state_file().check, None);
    machine.record_start(Script::Run, SERVICE, after(now, 9000));
    assert_eq!(due(&machine), Some(after(now, 11_000).instant));
}

#[test]
fn hanging_check_is_killed_with_its_group() {
    let (mut machine, now) = up_on(checked(0));
    start_check(&mut machine, now, 2000);
    assert_eq!(machine.next_deadline(), Some(after(now, 3000).instant));
    assert_eq!(machine.take_expired_kill(after(now, 2999)), None);
    let kill = Some((CHECK, SignalTarget::ProcessGroup));
    assert_eq!(machine.take_expired_kill(after(now, 3000)), kill);
    // The next check waits for its exit.
    assert_eq!(machine.next_deadline(), None);
    let killed = ExitStatus::from_raw(9);
    let report = machine.record_check_exit(CHECK, killed, after(now, 3001));
    assert_eq!(report.map(|report| report.event), Some(CheckEvent::Failing));
    assert_eq!(due(&machine), Some(after(now, 5001).instant));
}

#[test]
fn stop_pause_and_exit_cancel_check() {
    for command in [Command::Down, Command::Terminate, Command::Pause] {
        let (mut machine, now) = up_on(checked(1));
        start_check(&mut machine, now, 2000);
        for step in machine.apply_command(command, after(now, 2100)) {
            let CommandStep::Signal(signal) = step else {
                panic!("{step:?}");
            };
            machine.record_signal(signal, after(now, 2100));
        }
        let kill = Some((CHECK, SignalTarget::ProcessGroup));
        assert_eq!(machine.take_expired_kill(after(now, 2100)), kill);
        let report = machine.record_check_exit(CHECK, FAILED, after(now, 2200));
        assert_eq!((report, machine.next_start()), (None, None), "{command:?}");
        let _ = machine.apply_command(Command::Continue, after(now, 3000));
        let resumed = (command == Command::Pause).then_some(after(now, 5000).instant);
        assert_eq!(due(&machine), resumed, "{command:?}");
    }
    let (mut machine, now) = up_on(checked(1));
    start_check(&mut machine, now, 2000);
    machine.record_exit(SERVICE, ENDED, false, after(now, 2500));
    machine.record_start(Script::Run, SERVICE, after(now, 2500));
    // Never two at once: the check of the last run has not exited.
    assert_eq!(machine.next_start(), None);
    let report = machine.record_check_exit(CHECK, FAILED, after(now, 9000));
    assert_eq!(report, None);
    assert_eq!(due(&machine), Some(after(now, 4500).instant));
}

/// A service of supervise -e that runs no script yet.
fn before_start(config: RestartConfig) -> (Machine, Moment) {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Extended, Want::Up, now);
    machine.set_config(config);
    assert_eq!(machine.next_start(), Some((now.instant, Script::Start)));
    (machine, now)
}

const START: Pid = Pid::from_raw(13);
const STOP: Pid = Pid::from_raw(15);

#[test]
fn start_precedes_first_run_and_stop_follows_last() {
    let (mut machine, now) = before_start(RestartConfig::default());
    machine.record_start(Script::Start, START, now);
    assert_eq!(machine.script_of(START), Some(Script::Start));
    machine.record_exit(START, ENDED, false, after(now, 100));
    let run = Some((after(now, 100).instant, Script::Run));
    assert_eq!(machine.next_start(), run);
    machine.record_start(Script::Run, SERVICE, after(now, 100));
    machine.record_exit(SERVICE, ENDED, false, after(now, 2000));
    assert_eq!(
        machine.next_start(),
        Some((after(now, 2000).instant, Script::Run))
    );
    machine.record_start(Script::Run, SERVICE, after(now, 2000));
    assert_eq!(done(&mut machine, Command::Down, now), "SIGTERM SIGCONT");
    machine.record_exit(SERVICE, ENDED, false, after(now, 3000));
    assert_eq!(
        machine.next_start(),
        Some((after(now, 3000).instant, Script::Stop))
    );
    machine.record_start(Script::Stop, STOP, after(now, 3000));
    assert_eq!(machine.state_file().state, ServiceState::Stop);
    assert_eq!(done(&mut machine, Command::Down, now), "");
    assert_eq!(done(&mut machine, Command::Kill, now), "SIGKILL");
    // `u` waits for `stop`.
    let _ = machine.apply_command(Command::Up, after(now, 3500));
    machine.record_exit(STOP, FAILED, false, after(now, 4000));
    assert_eq!(
        machine.next_start(),
        Some((after(now, 4000).instant, Script::Start))
    );
}

#[test]
fn start_without_run_is_up_until_down() {
    let (mut machine, now) = before_start(RestartConfig::default());
    machine.record_start(Script::Start, START, now);
    machine.record_exit(START, ENDED, false, now);
    assert_eq!(machine.optional_script(now), Some(Script::Run));
    machine.record_missing(Script::Run, now);
    assert_eq!(machine.state_file().state, ServiceState::Started);
    assert_eq!(machine.report().status.want, Want::Once);
    let _ = machine.apply_command(Command::Exit, now);
    assert!(!machine.should_exit());
    let _ = machine.apply_command(Command::Down, now);
    assert_eq!(machine.optional_script(now), Some(Script::Stop));
    machine.record_missing(Script::Stop, now);
    assert!(machine.should_exit());
    assert_eq!(machine.state_file().state, ServiceState::Down);
}

#[test]
fn failed_start_is_permanent_unless_interrupted() {
    let config = RestartConfig {
        start_timeout: Some(Duration::from_secs(2)),
        kill_timeout: Some(Duration::from_secs(1)),
        down_signal: Signal::SIGHUP,
        ..RestartConfig::default()
    };
    let (mut machine, now) = before_start(config);
    machine.record_start(Script::Start, START, now);
    assert_eq!(machine.next_deadline(), Some(after(now, 2000).instant));
    let kill = Some((START, SignalTarget::ProcessGroup));
    assert_eq!(machine.take_expired_kill(after(now, 2000)), kill);
    machine.record_exit(START, ExitStatus::from_raw(9), false, after(now, 2000));
    assert_eq!(machine.state_file().state, ServiceState::Failed);
    assert_eq!(machine.state_file().signal, Some(9));
    // Another command starts it again.
    let _ = machine.apply_command(Command::Up, after(now, 5000));
    machine.record_start(Script::Start, START, after(now, 5000));
    let stop = done(&mut machine, Command::Down, after(now, 5500));
    assert_eq!(stop, "SIGTERM SIGCONT");
    assert_eq!(machine.next_deadline(), Some(after(now, 6500).instant));
    machine.record_exit(START, ExitStatus::from_raw(15), false, after(now, 6000));
    assert_eq!(
        machine.optional_script(after(now, 6000)),
        Some(Script::Stop)
    );
    machine.record_missing(Script::Stop, after(now, 6000));
    assert_eq!(machine.state_file().state, ServiceState::Down);
}
