//! All sequences of events, in each family of programs, from each reachable state.
//!
//! A breadth-first search applies each event to each pair of a machine and a
//! model. Pairs with the same key have the same future: the search continues
//! from one of them, and multiplies the number of sequences. The search ends
//! when no event leads to a new pair; therefore, it covers sequences of every
//! length. The printed numbers are those of sequences of up to six events.

use std::collections::HashMap;
use std::time::Instant;

use super::extended::Extended;
use super::plain::Plain;
use super::start_stop::StopReason;
use super::*;

/// The length of the sequences that are counted.
const LENGTH: usize = 6;

/// The times that pass besides those to a deadline.
const WAITS: [Time; 1] = [1000];

struct Found<M> {
    pair: Pair<M>,
    /// The pair before, and the event that led here.
    origin: Option<(usize, Event)>,
    /// The pairs that follow: after an event of the driver, and after others.
    next: [Vec<usize>; 2],
}

/// The machines and models of a set of settings.
struct Search<M> {
    found: Vec<Found<M>>,
    indices: HashMap<Key, usize>,
    transitions: usize,
}

/// The sum of the searches of a family.
#[derive(Default)]
struct Sum {
    states: usize,
    transitions: usize,
    sequences: u128,
}

impl<M: Model> Search<M> {
    fn run(first: impl IntoIterator<Item = Pair<M>>) -> Self {
        let mut search = Search {
            found: Vec::new(),
            indices: HashMap::new(),
            transitions: 0,
        };
        for pair in first {
            if let Err(difference) = pair.compare() {
                panic!("{difference}");
            }
            search.add(pair, None);
        }
        let mut index = 0;
        while index < search.found.len() {
            search.expand(index);
            index += 1;
        }
        search
    }

    fn expand(&mut self, index: usize) {
        let pair = self.found[index].pair.clone();
        match pair.machine.ruleset() {
            Ruleset::Supervise | Ruleset::Extended if pair.machine.should_exit() => return,
            // The other machine of runsv may go on.
            Ruleset::Supervise | Ruleset::Extended | Ruleset::Runsv(_) => {}
        }
        for event in pair.events(&WAITS) {
            let mut next = pair.clone();
            if let Err(difference) = next.apply(event) {
                let mut events = self.events_to(index);
                events.push(event);
                panic!("{difference}\n{:?}\n{events:?}", pair.machine.config);
            }
            self.transitions += 1;
            let next = self.add(next, Some((index, event)));
            self.found[index].next[usize::from(!event.is_internal())].push(next);
        }
    }

    fn add(&mut self, pair: Pair<M>, origin: Option<(usize, Event)>) -> usize {
        let next = self.found.len();
        let index = *self.indices.entry(pair.key()).or_insert(next);
        if index == next {
            self.found.push(Found {
                pair,
                origin,
                next: [Vec::new(), Vec::new()],
            });
        }
        index
    }

    fn events_to(&self, index: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let mut origin = self.found[index].origin;
        while let Some((before, event)) = origin {
            events.push(event);
            origin = self.found[before].origin;
        }
        events.reverse();
        events
    }

    /// The number of sequences of up to [`LENGTH`] events from all states. Events
    /// of the driver, which are the effect of others, do not count.
    fn sequences(&self) -> u128 {
        let mut shorter = vec![0; self.found.len()];
        for _ in 0..LENGTH {
            let mut counts = vec![None; self.found.len()];
            for index in 0..counts.len() {
                self.count(index, &shorter, &mut counts);
            }
            shorter = counts.into_iter().flatten().collect();
        }
        shorter.iter().sum()
    }

    fn count(&self, index: usize, shorter: &[u128], counts: &mut [Option<u128>]) -> u128 {
        if let Some(count) = counts[index] {
            return count;
        }
        let [internal, external] = &self.found[index].next;
        let external: u128 = external.iter().map(|&next| 1 + shorter[next]).sum();
        let internal = internal
            .iter()
            .map(|&next| self.count(next, shorter, counts));
        let count = external + internal.sum::<u128>();
        counts[index] = Some(count);
        count
    }
}

impl<M: Model> Pair<M> {
    fn key(&self) -> Key {
        let mut key = Vec::with_capacity(64);
        self.push_machine(&mut key);
        key.push(253);
        self.model.push_key(&mut key, self.now);
        key
    }

    fn push_instant(&self, key: &mut Key, instant: Option<Instant>) {
        push_deadline(key, instant.map(|instant| self.time(instant)), self.now);
    }

    fn push_child(&self, key: &mut Key, child: Option<ChildProcess>) {
        key.push(child.map_or(0, |child| child.pid.as_raw().try_into().unwrap()));
        self.push_instant(key, child.and_then(|child| child.kill_at));
    }

    /// The state of the machine, without values that only readers see: they are
    /// equal in machine and model, and no event depends on them.
    fn push_machine(&self, key: &mut Key) {
        let machine = &self.machine;
        let age = |instant| self.now - self.time(instant);
        key.extend([machine.want as u8, machine.preparation as u8]);
        let flags = [machine.exit_requested, machine.paused];
        key.extend(flags.map(u8::from));
        self.push_child(key, machine.check);
        self.push_child(key, machine.child());
        self.push_instant(key, Some(machine.not_before));
        let backoff = machine.config.backoff;
        let longest = backoff.map_or(0, |backoff| milliseconds(backoff.longest));
        let last_start = machine.last_start.map_or(Time::MAX, age);
        push_time(key, last_start, longest.max(1000) + 1000);
        let delay = machine.history.delay;
        push_time(key, delay.map_or(255_000, milliseconds), 255_000);
        if let Some(limit) = machine.config.limit {
            for exit in &machine.history.exits {
                push_time(key, age(*exit), milliseconds(limit.interval) + 1000);
            }
            key.push(254);
        }
        match machine.state {
            Down => key.push(0),
            Delayed(moment) => {
                key.push(1);
                self.push_instant(key, Some(moment.instant));
            }
            Up(run) => {
                key.push(2);
                self.push_run(key, &run);
            }
            Finish(cleanup, start_pending) => {
                let (kind, due) = match cleanup {
                    Cleanup::Due(due, _) => (3, Some(due)),
                    Cleanup::Running(_) => (4, None),
                    Cleanup::GivenUp(_) => (5, None),
                };
                key.extend([kind, u8::from(start_pending)]);
                self.push_instant(key, due);
            }
            StartStop(outside) => self.push_outside(key, outside),
            Failed => key.push(6),
        }
    }

    fn push_run(&self, key: &mut Key, run: &Run) {
        key.push(match run.readiness {
            Readiness::Unused => 0,
            Readiness::Pending => 1,
            Readiness::ReadySince(_) => 2,
        });
        key.push(u8::from(run.got_term));
        match run.exit_request {
            ExitRequest::Absent => key.push(0),
            ExitRequest::Signals { sent, last } => {
                // Of the signals that commands send, only HUP and KILL end a
                // run here; exit_request has a test of all.
                key.extend([1, u8::from(sent.contains(Signal::SIGHUP))]);
                push_time(key, self.now - self.time(last), 6000);
            }
            ExitRequest::Definite => key.push(2),
        }
        if let Some(checks) = &run.checks {
            let (phase, due) = checks.phase();
            key.push(phase);
            push_failures(key, checks.failures, self.machine.config.check);
            self.push_instant(key, due);
            key.push(match checks.result {
                None => 0,
                Some(CheckResult::Ok) => 1,
                Some(CheckResult::Failing) => 2,
                Some(CheckResult::Failures(_)) => 3,
            });
        }
    }

    fn push_outside(&self, key: &mut Key, outside: Outside) {
        let reason = |reason: StopReason| [reason.failed, reason.start_pending].map(u8::from);
        match outside {
            Outside::Starting {
                interrupted,
                start_pending,
                ..
            } => key.extend([7, u8::from(interrupted), u8::from(start_pending)]),
            Outside::Ready(due) => {
                key.push(8);
                self.push_instant(key, Some(due));
            }
            Outside::Started => key.push(9),
            Outside::StopDue(due, why) => {
                key.push(10);
                self.push_instant(key, Some(due));
                key.extend(reason(why));
            }
            Outside::Stopping(_, why) => {
                key.push(11);
                key.extend(reason(why));
            }
        }
    }
}

/// Searches all states under these settings.
#[expect(clippy::print_stdout, reason = "the numbers of a test")]
fn search<M: Model>(
    ruleset: Ruleset,
    configs: &[RestartConfig],
    model: impl Fn(RestartConfig, Want) -> M,
) {
    let start = Instant::now();
    let mut sum = Sum::default();
    for &config in configs {
        let first = [Want::Up, Want::Down]
            .map(|want| Pair::new(ruleset, want, config, model(config, want)));
        let search = Search::run(first);
        sum.states += search.found.len();
        sum.transitions += search.transitions;
        sum.sequences += search.sequences();
    }
    println!(
        "{ruleset:?}: {} settings, {} states, {} transitions: all sequences, of them {} \
         of up to {LENGTH} events; {:.1} s",
        configs.len(),
        sum.states,
        sum.transitions,
        sum.sequences,
        start.elapsed().as_secs_f64(),
    );
}

fn search_plain(ruleset: Ruleset) {
    let model = |_, want| Plain::new(ruleset, want);
    search(ruleset, &[RestartConfig::default()], model);
}

#[test]
fn all_events_of_supervise_match_its_manual() {
    search_plain(Ruleset::Supervise);
}

#[test]
fn all_events_of_runsv_match_its_manual() {
    search_plain(Ruleset::Runsv(Role::Service));
    search_plain(Ruleset::Runsv(Role::Logger));
}

#[expect(clippy::unnecessary_wraps, reason = "short settings")]
fn seconds(number: u64) -> Option<Duration> {
    Some(Duration::from_secs(number))
}

/// The changes of settings, by feature.
const FEATURES: [&[fn(&mut RestartConfig)]; 4] = [
    &[|config| {
        config.backoff = Some(Backoff {
            first: Duration::from_secs(2),
            longest: Duration::from_secs(4),
        });
    }],
    &[|config| {
        config.limit = Some(RestartLimit {
            count: 2,
            interval: Duration::from_secs(3),
        });
    }],
    &[|config| {
        config.kill_timeout = seconds(2);
        config.finish_timeout = seconds(2);
        config.start_timeout = seconds(3);
        config.exit_implies_down = true;
        config.down_signal = Signal::SIGHUP;
    }],
    &[
        |config| config.expects_readiness = true,
        |config| config.check = Some(check(None, 0, false)),
        |config| {
            config.kill_timeout = seconds(1);
            config.expects_readiness = true;
            config.check = Some(check(seconds(1), 2, true));
        },
    ],
];

fn check(timeout: Option<Duration>, failures: u64, reports_readiness: bool) -> CheckConfig {
    CheckConfig {
        interval: Duration::from_secs(2),
        timeout,
        failures,
        reports_readiness,
    }
}

/// Settings with up to this many features.
fn configs(features: usize) -> Vec<RestartConfig> {
    let mut configs = vec![(0, RestartConfig::default())];
    for variants in FEATURES {
        for (count, before) in configs.clone() {
            if count < features {
                configs.extend(variants.iter().map(|change| {
                    let mut config = before;
                    change(&mut config);
                    (count + 1, config)
                }));
            }
        }
    }
    configs.into_iter().map(|(_, config)| config).collect()
}

/// By default, each feature alone. `DAEMONTOOLS_CASES=2` combines two features,
/// and `DAEMONTOOLS_CASES=4` all.
#[test]
fn all_events_match_service_directory_5() {
    let cases = std::env::var("DAEMONTOOLS_CASES");
    let features = cases.map_or(1, |cases| cases.parse().unwrap());
    search(Ruleset::Extended, &configs(features), Extended::new);
}
