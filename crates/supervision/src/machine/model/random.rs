//! Random events under supervise -e, with random settings. In contrast to the
//! exhaustive tests, lives are long, and times are no whole seconds.

use super::extended::Extended;
use super::*;

/// Times that are often equal, so that a limit or a delay just applies.
fn any_config(random: &mut fastrand::Rng) -> RestartConfig {
    let mut maybe = |times: &[Time]| random.choice(times).map(|&ms| Duration::from_millis(ms));
    let first = maybe(&[1000, 1500, 4000]).unwrap();
    let longest = maybe(&[4000, 9000]).unwrap();
    let interval = maybe(&[500, 3000, 20_000]).unwrap();
    let (kill, finish) = (maybe(&[0, 700, 5000]), maybe(&[0, 900, 5000]));
    let start = maybe(&[0, 600, 5000]);
    let (check, check_timeout) = (maybe(&[1, 500, 2000]), maybe(&[0, 300, 1000]));
    let limit = RestartLimit {
        count: random.usize(1..4),
        interval,
    };
    RestartConfig {
        backoff: random.bool().then_some(Backoff { first, longest }),
        limit: random.bool().then_some(limit),
        kill_timeout: kill.filter(|time| !time.is_zero()),
        finish_timeout: finish.filter(|time| !time.is_zero()),
        start_timeout: start.filter(|time| !time.is_zero()),
        down_signal: *random.choice(&[Signal::SIGTERM, Signal::SIGINT]).unwrap(),
        exit_implies_down: random.bool(),
        expects_readiness: random.bool(),
        check: random.bool().then_some(CheckConfig {
            interval: check.unwrap(),
            timeout: check_timeout.filter(|time| !time.is_zero()),
            failures: random.u64(..4),
            reports_readiness: random.bool(),
        }),
    }
}

/// An event, often one of the driver.
fn any_event(pair: &Pair<Extended>, random: &mut fastrand::Rng) -> Option<Event> {
    let waits = [1, 500, 1000, 5000, 5001].map(|wait| wait * random.u64(..3));
    let events = pair.events(&waits);
    let (internal, external): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| event.is_internal());
    if random.u8(..4) > 0 {
        if let Some(event) = random.choice(&internal) {
            return Some(*event);
        }
    }
    // Commands have many letters, and time has to pass.
    let (commands, others): (Vec<_>, Vec<_>) = external
        .into_iter()
        .partition(|event| matches!(event, Event::Command(..)));
    let events = if random.bool() { commands } else { others };
    random.choice(events)
}

#[test]
fn random_events_match_service_directory_5() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        let config = any_config(&mut random);
        let model = Extended::new(config, Want::Up);
        let mut pair = Pair::new(Ruleset::Extended, Want::Up, config, model);
        let mut events = Vec::new();
        for _ in 0..60 {
            let Some(event) = any_event(&pair, &mut random) else {
                continue;
            };
            events.push(event);
            if let Err(difference) = pair.apply(event) {
                panic!("{difference}\n{config:?}\n{events:?}");
            }
            if pair.machine.should_exit() {
                break;
            }
        }
    }
}
