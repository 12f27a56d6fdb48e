//! The machine, one event at a time.

use super::*;

const SERVICE: Pid = Pid::from_raw(7);
const FINISH: Pid = Pid::from_raw(9);
const ENDED: ExitStatus = ExitStatus::from_raw(0);

fn due(machine: &Machine) -> Option<Instant> {
    machine.next_start().map(|(moment, _)| moment)
}

/// The steps of a command, as letters of programs and names of signals.
fn done(machine: &mut Machine, command: Command, now: Moment) -> String {
    let steps = machine.command(command, now).map(|step| match step {
        CommandStep::Signal(signal) => signal.to_string(),
        CommandStep::Program { letter, otherwise } => {
            let signal = otherwise.map(|signal| signal.to_string());
            format!("{}{}", char::from(letter), signal.unwrap_or_default())
        }
    });
    steps.collect::<Vec<_>>().join(" ")
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
    machine.record_start(SERVICE, now);
    (machine, now)
}

#[test]
fn a_service_that_is_not_wanted_up_waits_for_a_command() {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Supervise, Want::Down, now);
    assert_eq!(due(&machine), None);
    assert_eq!(machine.command(Command::Up, now).count(), 0);
    assert_eq!(due(&machine), Some(now.instant));
}

#[test]
fn a_restart_comes_one_second_after_the_last_start() {
    let (mut machine, now) = up();
    machine.record_exit(SERVICE, ENDED, false, after(now, 300));
    assert_eq!(due(&machine), Some(after(now, 1000).instant));
    machine.record_start(SERVICE, after(now, 1000));
    machine.record_exit(SERVICE, ENDED, false, after(now, 5000));
    assert_eq!(due(&machine), Some(after(now, 5000).instant));
}

#[test]
fn down_cancels_a_start_that_is_due() {
    let (mut machine, now) = up();
    machine.record_exit(SERVICE, ENDED, false, now);
    assert_eq!(machine.command(Command::Down, now).count(), 0);
    assert_eq!(due(&machine), None);
    // StateFile up again, it still keeps its distance from the last start.
    let _ = machine.command(Command::Once, now);
    assert_eq!(due(&machine), Some(after(now, 1000).instant));
}

#[test]
fn down_sends_term_and_then_cont() {
    let (mut machine, now) = up();
    let _ = machine.command(Command::Pause, now);
    assert!(machine.report().status.paused);
    assert_eq!(done(&mut machine, Command::Down, now), "SIGTERM SIGCONT");
    assert!(!machine.report().status.paused);
    machine.record_exit(SERVICE, ENDED, false, now);
    assert_eq!(due(&machine), None);
}

#[test]
fn exit_waits_for_the_service_to_end_and_prevents_its_restart() {
    let (mut machine, now) = up();
    assert_eq!(machine.command(Command::Exit, now).count(), 0);
    assert!(!machine.should_exit());
    machine.record_exit(SERVICE, ENDED, false, now);
    assert!(machine.should_exit());
    assert_eq!(due(&machine), None);
}

#[test]
fn the_death_of_another_process_changes_nothing() {
    let (mut machine, now) = up();
    machine.record_exit(Pid::from_raw(8), ENDED, false, now);
    assert_eq!(machine.child_pid(), Some(SERVICE));
}

#[test]
fn a_failed_fork_is_tried_again_after_a_minute() {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Supervise, Want::Up, now);
    machine.record_failed_fork(now);
    assert_eq!(due(&machine), Some(after(now, 60_000).instant));
    let _ = machine.command(Command::Down, now);
    assert_eq!(due(&machine), None);
}

/// A service of runsv that was started at the returned moment.
fn up_under_runsv() -> (Machine, Moment) {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Runsv(Role::Service), Want::Up, now);
    machine.record_start(SERVICE, now);
    (machine, now)
}

#[test]
fn runsv_lets_programs_stand_in_for_signals() {
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
fn finish_runs_before_the_service_is_down_and_gets_no_signals() {
    let (mut machine, now) = up_under_runsv();
    let killed = ExitStatus::from_raw(9);
    machine.record_exit(SERVICE, killed, true, now);
    assert_eq!(
        machine.next_start(),
        Some((
            now.instant,
            Start::Finish(RunExit {
                pid: SERVICE,
                status: killed
            })
        ))
    );
    machine.record_start(FINISH, now);
    assert_eq!(machine.report().state, Some(ServiceState::Finish));
    assert_eq!(done(&mut machine, Command::Down, now), "");
    assert_eq!(due(&machine), None);
    let _ = machine.command(Command::Up, now);
    machine.record_exit(FINISH, ENDED, true, after(now, 300));
    assert_eq!(due(&machine), Some(after(now, 1300).instant));
}

#[test]
fn runsv_waits_a_second_after_a_short_life_alone() {
    let (mut machine, now) = up_under_runsv();
    machine.record_exit(SERVICE, ENDED, false, after(now, 999));
    assert_eq!(due(&machine), Some(after(now, 1999).instant));
    machine.record_start(SERVICE, after(now, 1999));
    machine.record_exit(SERVICE, ENDED, false, after(now, 2999));
    assert_eq!(due(&machine), Some(after(now, 2999).instant));
}

#[test]
fn who_gives_up_on_finish_need_not_wait_for_it() {
    let (mut machine, now) = up_under_runsv();
    machine.record_exit(SERVICE, ENDED, true, now);
    machine.record_start(FINISH, now);
    let _ = machine.command(Command::Exit, now);
    assert!(!machine.should_exit());
    assert_eq!(done(&mut machine, Command::Kill, now), "");
    assert!(machine.should_exit());
}

#[test]
fn a_logger_is_not_told_to_exit() {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Runsv(Role::Logger), Want::Up, now);
    machine.record_start(SERVICE, now);
    assert_eq!(done(&mut machine, Command::Exit, now), "");
    assert!(!machine.exit_requested());
    machine.request_exit();
    machine.record_exit(SERVICE, ENDED, false, now);
    assert!(machine.should_exit());
}

/// A service of supervise -e that asks for this, started at the returned
/// moment.
fn up_on(terms: RestartConfig) -> (Machine, Moment) {
    let now = Moment::now();
    let mut machine = Machine::new(Ruleset::Extended, Want::Up, now);
    machine.set_config(terms);
    machine.record_start(SERVICE, now);
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
fn delays_double_until_the_service_was_well() {
    let (mut machine, now) = up_on(backoff(2, 9));
    let mut at = now;
    for (lives, delay) in [(0, 2), (8, 4), (0, 8), (9, 9), (0, 9), (10, 2), (0, 4)] {
        let died = after(at, lives * 1000);
        machine.record_exit(SERVICE, ENDED, false, died);
        at = after(died, delay * 1000);
        assert_eq!(due(&machine), Some(at.instant));
        machine.record_start(SERVICE, at);
    }
    machine.set_config(RestartConfig {
        expects_readiness: true,
        ..backoff(2, 9)
    });
    machine.record_exit(SERVICE, ENDED, false, at);
    machine.record_start(SERVICE, at);
    assert_eq!(machine.state_file().state, ServiceState::Starting);
    machine.record_readiness(at);
    assert_eq!(machine.state_file().state, ServiceState::Ready);
    machine.record_exit(SERVICE, ENDED, false, at);
    assert_eq!(due(&machine), Some(after(at, 2000).instant));
    // StateFile to start, it starts as soon as ever.
    let _ = machine.command(Command::Up, after(at, 500));
    assert_eq!(due(&machine), Some(after(at, 1000).instant));
}

#[test]
fn deaths_that_were_asked_for_do_not_count() {
    let limit = RestartLimit {
        count: 1,
        interval: Duration::from_secs(60),
    };
    let (mut machine, now) = up_on(RestartConfig {
        limit: Some(limit),
        ..RestartConfig::default()
    });
    for _ in 0..3 {
        let _ = machine.command(Command::Down, now);
        machine.record_exit(SERVICE, ENDED, false, now);
        assert_eq!(machine.state_file().state, ServiceState::Down);
        let _ = machine.command(Command::Up, now);
        machine.record_start(SERVICE, now);
    }
    machine.record_exit(SERVICE, ENDED, false, now);
    assert_eq!(machine.state_file().state, ServiceState::Delay);
    machine.record_start(SERVICE, now);
    // A minute later the first one is forgotten.
    let later = after(now, 60_001);
    machine.record_exit(SERVICE, ENDED, false, later);
    assert_eq!(machine.state_file().state, ServiceState::Delay);
    machine.record_start(SERVICE, later);
    machine.record_exit(SERVICE, ENDED, false, later);
    assert_eq!(machine.state_file().state, ServiceState::Failed);
    assert_eq!(machine.report().status.want, Want::Down);
    let _ = machine.command(Command::Once, later);
    assert_eq!(machine.state_file().state, ServiceState::Delay);
}

#[test]
fn a_life_is_told_with_its_moments() {
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
    // Who says it again was ready before.
    machine.record_readiness(after(2));
    let ready = StateFile {
        state: ServiceState::Ready,
        pid: Some(SERVICE),
        since: Some(now.label),
        ready_since: Some(after(1).label),
        restarts: Some(0),
        exit_code: None,
        signal: None,
        next_start: None,
    };
    assert_eq!(machine.state_file(), ready);
    let _ = machine.command(Command::Pause, after(2));
    machine.record_exit(SERVICE, ExitStatus::from_raw(3 << 8), true, after(3));
    machine.record_start(FINISH, after(3));
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
    machine.record_start(SERVICE, after(5));
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
fn deaths_are_counted_when_they_come_however_long_finish_takes() {
    let limit = Some(RestartLimit {
        count: 1,
        interval: Duration::from_secs(3),
    });
    let (mut machine, now) = up_on(RestartConfig {
        limit,
        ..RestartConfig::default()
    });
    for (died, stage) in [(0, ServiceState::Delay), (3000, ServiceState::Failed)] {
        machine.record_exit(SERVICE, ENDED, true, after(now, died));
        machine.record_start(FINISH, after(now, died));
        machine.record_exit(FINISH, ENDED, true, after(now, died + 3000));
        assert_eq!(machine.state_file().state, stage);
        machine.record_start(SERVICE, after(now, died + 3000));
    }
}

#[test]
fn a_delay_is_never_shorter_than_what_is_asked_for() {
    let (mut machine, now) = up_on(backoff(1, 9));
    let mut died_on = |terms| {
        machine.set_config(terms);
        machine.record_exit(SERVICE, ENDED, false, now);
        let moment = due(&machine);
        machine.record_start(SERVICE, now);
        moment
    };
    let seconds = |number: u64| Some(after(now, number * 1000).instant);
    assert_eq!(died_on(backoff(1, 9)), seconds(1));
    assert_eq!(died_on(backoff(5, 9)), seconds(5));
    assert_eq!(died_on(backoff(5, 9)), seconds(9));
    // Who asks for none for a while begins with the first one.
    assert_eq!(died_on(RestartConfig::default()), seconds(1));
    assert_eq!(died_on(backoff(2, 9)), seconds(2));
}

#[test]
fn what_is_told_during_finish_is_for_the_time_after_it() {
    for (commands, started) in [
        (&[Command::Once][..], true),
        (&[Command::Down, Command::Once], true),
        (&[Command::Once, Command::Down], false),
        (&[Command::Down, Command::Up], true),
        (&[Command::Down], false),
    ] {
        let (mut machine, now) = up_on(RestartConfig::default());
        machine.record_exit(SERVICE, ENDED, true, now);
        machine.record_start(FINISH, now);
        assert_eq!(done(&mut machine, Command::Pause, now), "");
        assert!(!machine.report().status.paused);
        for command in commands {
            assert_eq!(done(&mut machine, *command, now), "");
        }
        machine.record_exit(FINISH, ENDED, true, after(now, 2000));
        let moment = started.then(|| after(now, 2000).instant);
        assert_eq!(due(&machine), moment, "{commands:?}");
    }
    // Once is once.
    let (mut machine, now) = up_on(RestartConfig::default());
    for _ in 0..2 {
        machine.record_exit(SERVICE, ENDED, true, now);
        machine.record_start(FINISH, now);
        let _ = machine.command(Command::Once, now);
        machine.record_exit(FINISH, ENDED, true, now);
        machine.record_start(SERVICE, now);
    }
    machine.record_exit(SERVICE, ENDED, true, now);
    machine.record_start(FINISH, now);
    machine.record_exit(FINISH, ENDED, true, now);
    assert_eq!(machine.state_file().state, ServiceState::Down);
}

#[test]
fn what_is_overdue_is_told_once() {
    let (mut machine, now) = up_on(RestartConfig {
        down_signal: Signal::SIGINT,
        kill_timeout: Some(Duration::from_secs(3)),
        finish_timeout: Some(Duration::from_secs(5)),
        ..RestartConfig::default()
    });
    assert_eq!(done(&mut machine, Command::Down, now), "SIGINT SIGCONT");
    // StateFile again, it has no more time.
    let _ = machine.command(Command::Down, after(now, 1000));
    assert_eq!(machine.next_deadline(), Some(after(now, 3000).instant));
    assert_eq!(machine.take_expired_kill(after(now, 2999)), None);
    assert_eq!(machine.take_expired_kill(after(now, 3000)), Some(SERVICE));
    assert_eq!(machine.take_expired_kill(after(now, 3000)), None);
    machine.record_exit(SERVICE, ENDED, true, now);
    machine.record_start(FINISH, now);
    assert_eq!(
        (machine.child_pid(), machine.run_pid()),
        (Some(FINISH), None)
    );
    assert_eq!(machine.report().status.pid, None);
    // What the service is told leaves finish its time.
    let _ = machine.command(Command::Up, now);
    assert_eq!(machine.take_expired_kill(after(now, 5000)), Some(FINISH));
    machine.record_exit(FINISH, ENDED, true, after(now, 5000));
    assert_eq!(due(&machine), Some(after(now, 5000).instant));
}

#[test]
fn finish_may_say_that_all_is_over() {
    let (mut machine, now) = up_on(RestartConfig::default());
    machine.record_exit(SERVICE, ENDED, true, now);
    machine.record_start(FINISH, now);
    machine.record_exit(FINISH, ExitStatus::from_raw(125 << 8), true, now);
    assert_eq!(machine.state_file().state, ServiceState::Failed);
    assert_eq!(due(&machine), None);
    assert!(!machine.should_exit());
    let _ = machine.command(Command::Exit, now);
    assert!(machine.should_exit());
}

#[test]
fn who_is_told_to_be_down_has_not_failed() {
    let (mut machine, now) = up_on(RestartConfig::default());
    machine.record_exit(SERVICE, ENDED, true, now);
    machine.record_start(FINISH, now);
    let _ = machine.command(Command::Down, now);
    machine.record_exit(FINISH, ExitStatus::from_raw(125 << 8), true, now);
    assert_eq!(machine.state_file().state, ServiceState::Down);
}

#[test]
fn an_exit_may_stop_the_service() {
    let (mut machine, now) = up_on(RestartConfig::default());
    assert_eq!(done(&mut machine, Command::Exit, now), "");
    let exit_implies_down = true;
    let (mut machine, now) = up_on(RestartConfig {
        exit_implies_down,
        ..RestartConfig::default()
    });
    assert_eq!(done(&mut machine, Command::Exit, now), "SIGTERM SIGCONT");
    // It was told already.
    assert_eq!(done(&mut machine, Command::Exit, now), "");
    machine.record_exit(SERVICE, ENDED, false, now);
    assert!(machine.should_exit());
}

#[test]
fn a_clock_that_is_set_changes_the_record_and_no_wait() {
    let (mut machine, start) = up();
    for seconds in [86_400, -172_800, 86_400] {
        // What is waited for is measured on a clock that is never set.
        let label = Label::from_unix(1_000_000_000 + seconds, 0);
        let died = Moment {
            label,
            ..after(start, 300)
        };
        machine.record_exit(SERVICE, ENDED, false, died);
        assert_eq!(machine.report().status.since, label);
        assert_eq!(due(&machine), Some(after(start, 1000).instant));
        machine.record_start(SERVICE, Moment { label, ..start });
    }
}
