//! The shutdown of one service and its logger, as a state machine: facts and
//! the time go in, one action comes out. [`crate::svscan`] and
//! [`crate::runsvdir`] gather the facts
//! and carry out the actions.
//!
//! Supervise receives an exit command first: a signal for a child of svscan -e,
//! or bytes in `control`. After the stop timeout it receives
//! a kill command, and SIGKILL `KILL_TIMEOUT` later. `KILL_TIMEOUT` after
//! SIGKILL the machine gives up, so that a process in uninterruptible sleep does
//! not block the shutdown. A supervise that does not read `control` receives
//! SIGKILL without a kill command.
//!
//! The logger stops after the service's supervise has exited, once it has read
//! the pipe to its end.

use std::time::{Duration, Instant};

use crate::Role;
use crate::table::KeepRunning;

/// The stop timeout of a service without a valid `timeout-kill` file.
pub(crate) const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit of a supervise after a kill command, and after SIGKILL. Each
/// check that finds `finish` running extends the time by the same amount.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// The interval between two attempts to write to `control`. The supervise may
/// be about to open the FIFO, or the FIFO may be full.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The interval between two exit signals. A process may have been stopped in
/// between.
const RESEND_INTERVAL: Duration = Duration::from_secs(1);

/// The number of restarts of a logger that exits before the end of the pipe.
const LOGGER_RESTARTS: u8 = 3;

/// The next action on one supervise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopAction {
    /// Send the exit command and report its [`Delivery`].
    SendExit,
    /// Send the kill command and report its [`Delivery`].
    SendKill,
    /// Read the state of the service and report whether `finish` runs.
    CheckFinish,
    /// Send SIGKILL to supervise and to its child.
    KillSupervisor,
    /// Treat supervise as exited.
    GiveUp,
}

/// The result of sending a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// No supervise reads `control`, or the FIFO is full.
    Failed,
    /// The command is in the FIFO.
    Sent,
    /// The exit signal was sent. Another one has no further effect on a service
    /// that runs, and continues a service that was stopped since.
    Signaled,
}

/// The progress of the shutdown of one supervise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopState {
    /// The exit command is due at `retry`. The first failure sets `deadline`.
    SendingExit {
        retry: Instant,
        deadline: Option<Instant>,
    },
    /// The exit command was sent. A signal is sent again at `retry`. A
    /// `deadline` of None never expires.
    ExitSent {
        retry: Option<Instant>,
        deadline: Option<Instant>,
    },
    /// The kill command is due at `retry`.
    SendingKill { retry: Instant, deadline: Instant },
    /// The kill command was sent.
    KillSent { deadline: Instant },
    /// SIGKILL is due.
    KillDue { since: Instant },
    /// SIGKILL was sent.
    Killed { deadline: Instant },
    /// The machine no longer waits for supervise.
    GivenUp,
}

/// The shutdown of one supervise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SupervisorStop {
    /// The stop timeout. None: no limit.
    timeout: Option<Duration>,
    /// Whether the user has forced the stop.
    forced: bool,
    state: StopState,
}

impl SupervisorStop {
    fn new(timeout: Option<Duration>, now: Instant) -> Self {
        SupervisorStop {
            timeout,
            forced: false,
            state: StopState::SendingExit {
                retry: now,
                deadline: None,
            },
        }
    }

    /// The time of the next attempt, and the end of the current timeout.
    fn times(&self) -> (Option<Instant>, Option<Instant>) {
        match self.state {
            StopState::SendingExit { retry, deadline } => (Some(retry), deadline),
            StopState::ExitSent { retry, deadline } => (retry, deadline),
            StopState::SendingKill { retry, deadline } => (Some(retry), Some(deadline)),
            StopState::KillSent { deadline } | StopState::Killed { deadline } => {
                (None, Some(deadline))
            }
            StopState::KillDue { since } => (Some(since), None),
            StopState::GivenUp => (None, None),
        }
    }

    /// The time of the next action, unless a process exits first.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let (retry, deadline) = self.times();
        retry.into_iter().chain(deadline).min()
    }

    /// The action that is due.
    fn next_action(&mut self, now: Instant) -> Option<StopAction> {
        self.next_deadline().filter(|time| *time <= now)?;
        let (_, deadline) = self.times();
        let expired = deadline.is_some_and(|deadline| deadline <= now);
        match self.state {
            StopState::SendingExit { .. } | StopState::ExitSent { .. } if !expired => {
                Some(StopAction::SendExit)
            }
            StopState::ExitSent { .. } => Some(StopAction::CheckFinish),
            StopState::SendingKill { .. } if !expired => Some(StopAction::SendKill),
            StopState::KillSent { .. } if !self.forced => Some(StopAction::CheckFinish),
            StopState::SendingExit { .. }
            | StopState::SendingKill { .. }
            | StopState::KillSent { .. }
            | StopState::KillDue { .. } => {
                let deadline = now + KILL_TIMEOUT;
                self.state = StopState::Killed { deadline };
                Some(StopAction::KillSupervisor)
            }
            StopState::Killed { .. } => {
                self.state = StopState::GivenUp;
                Some(StopAction::GiveUp)
            }
            StopState::GivenUp => None,
        }
    }

    /// The result of the last command.
    pub(crate) fn on_delivery(&mut self, delivery: Delivery, now: Instant) {
        let retry = match delivery {
            Delivery::Failed => Some(now + RETRY_INTERVAL),
            Delivery::Sent => None,
            Delivery::Signaled => Some(now + RESEND_INTERVAL),
        };
        self.state = match self.state {
            StopState::SendingExit { deadline, .. } if delivery == Delivery::Failed => {
                // A long stop timeout is for the service, not for a supervise
                // that does not read.
                let limit = self.timeout.unwrap_or(DEFAULT_STOP_TIMEOUT);
                let first = now + limit.min(DEFAULT_STOP_TIMEOUT);
                StopState::SendingExit {
                    retry: now + RETRY_INTERVAL,
                    deadline: deadline.or(Some(first)),
                }
            }
            StopState::SendingExit { .. } => {
                let deadline = self.timeout.and_then(|timeout| now.checked_add(timeout));
                StopState::ExitSent { retry, deadline }
            }
            StopState::ExitSent { deadline, .. } => StopState::ExitSent { retry, deadline },
            StopState::SendingKill { deadline, .. } => match delivery {
                Delivery::Failed => StopState::SendingKill {
                    retry: now + RETRY_INTERVAL,
                    deadline,
                },
                Delivery::Sent | Delivery::Signaled => StopState::KillSent { deadline },
            },
            StopState::KillSent { .. }
            | StopState::KillDue { .. }
            | StopState::Killed { .. }
            | StopState::GivenUp => return,
        };
    }

    /// The result of [`StopAction::CheckFinish`]. A running `finish`, which has
    /// its own timeout, extends the time of its supervise.
    pub(crate) fn on_finish_check(&mut self, finish_runs: bool, now: Instant) {
        let (retry, deadline) = (now, now + KILL_TIMEOUT);
        self.state = match self.state {
            StopState::ExitSent { retry, .. } if finish_runs => StopState::ExitSent {
                retry,
                deadline: Some(deadline),
            },
            StopState::ExitSent { .. } => StopState::SendingKill { retry, deadline },
            StopState::KillSent { .. } if finish_runs => StopState::KillSent { deadline },
            StopState::KillSent { .. } => StopState::KillDue { since: now },
            StopState::SendingExit { .. }
            | StopState::SendingKill { .. }
            | StopState::KillDue { .. }
            | StopState::Killed { .. }
            | StopState::GivenUp => return,
        };
    }

    /// Skips the rest of the current timeout: the kill command is due, or
    /// SIGKILL if the kill command was due.
    pub(crate) fn escalate(&mut self, now: Instant) {
        self.forced = true;
        let (retry, deadline) = (now, now + KILL_TIMEOUT);
        self.state = match self.state {
            StopState::SendingExit { .. } | StopState::ExitSent { .. } => {
                StopState::SendingKill { retry, deadline }
            }
            StopState::SendingKill { .. } | StopState::KillSent { .. } => {
                StopState::KillDue { since: now }
            }
            StopState::KillDue { .. } | StopState::Killed { .. } | StopState::GivenUp => return,
        };
    }

    /// Whether no exit command was sent, nor failed.
    pub(crate) fn is_first_attempt(&self) -> bool {
        match self.state {
            StopState::SendingExit { deadline, .. } => deadline.is_none(),
            StopState::ExitSent { .. }
            | StopState::SendingKill { .. }
            | StopState::KillSent { .. }
            | StopState::KillDue { .. }
            | StopState::Killed { .. }
            | StopState::GivenUp => false,
        }
    }

    /// Whether exit commands are all that supervise received.
    fn is_graceful(&self) -> bool {
        match self.state {
            StopState::SendingExit { .. } | StopState::ExitSent { .. } => true,
            StopState::SendingKill { .. }
            | StopState::KillSent { .. }
            | StopState::KillDue { .. }
            | StopState::Killed { .. }
            | StopState::GivenUp => false,
        }
    }
}

/// The settings of a service and its logger for a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StopConfig {
    /// The stop timeout of the service. None: no limit.
    pub service: Option<Duration>,
    /// The stop timeout of the logger. None: no limit.
    pub logger: Option<Duration>,
}

/// The facts that [`ServiceShutdown::next_action`] needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceFacts {
    /// Whether the service's supervise runs.
    pub service_runs: bool,
    /// Whether the logger's supervise runs.
    pub logger_runs: bool,
    /// Whether the pipe holds bytes. Irrelevant while either process runs.
    pub pipe_unread: bool,
}

/// The next action of the shutdown of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShutdownAction {
    /// Act on the supervise of this role.
    Stop(Role, StopAction),
    /// Start the logger again: the pipe holds bytes.
    StartLogger,
    /// Remove the service from the table: the shutdown is complete.
    Forget,
}

/// The shutdown of a service and its logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServiceShutdown {
    /// The role that is being stopped. A logger that exits before its turn is
    /// started again.
    role: Role,
    pub(crate) stop: SupervisorStop,
    config: StopConfig,
    restarts_left: u8,
}

impl ServiceShutdown {
    /// The first action, an exit command, is due at once.
    pub(crate) fn new(config: StopConfig, now: Instant) -> Self {
        ServiceShutdown {
            role: Role::Service,
            stop: SupervisorStop::new(config.service, now),
            config,
            restarts_left: LOGGER_RESTARTS,
        }
    }

    /// The action that is due.
    pub(crate) fn next_action(
        &mut self,
        facts: ServiceFacts,
        now: Instant,
    ) -> Option<ShutdownAction> {
        if self.role == Role::Service && !facts.service_runs {
            self.begin_logger_stop(now);
        }
        let runs = match self.role {
            Role::Service => facts.service_runs,
            Role::Logger => facts.logger_runs,
        };
        if runs {
            let action = self.stop.next_action(now)?;
            return Some(ShutdownAction::Stop(self.role, action));
        }
        Some(if facts.pipe_unread && self.restart_logger(now) {
            ShutdownAction::StartLogger
        } else {
            ShutdownAction::Forget
        })
    }

    /// The roles that are still started when they do not run.
    pub(crate) fn keep_running(&self) -> KeepRunning {
        match self.role {
            Role::Service => KeepRunning::Logger,
            Role::Logger => KeepRunning::Neither,
        }
    }

    fn begin_logger_stop(&mut self, now: Instant) {
        let mut stop = SupervisorStop::new(self.config.logger, now);
        if self.stop.forced {
            stop.escalate(now);
        }
        (self.role, self.stop) = (Role::Logger, stop);
    }

    /// Restarts the shutdown of the logger, unless no restart is left or
    /// the logger was killed.
    fn restart_logger(&mut self, now: Instant) -> bool {
        let is_graceful = self.role == Role::Logger && self.stop.is_graceful();
        let Some(restarts_left) = self.restarts_left.checked_sub(1).filter(|_| is_graceful) else {
            return false;
        };
        self.restarts_left = restarts_left;
        self.begin_logger_stop(now);
        true
    }
}

#[cfg(test)]
mod exhaustive;
#[cfg(test)]
mod tests {
    use nix::unistd::Pid;

    use super::Delivery::{Failed, Sent, Signaled};
    use super::StopAction::{CheckFinish, GiveUp, KillSupervisor, SendExit, SendKill};
    use super::*;
    use crate::table::{ChildExit, DirectoryId, MissingProcess, ServiceTable};

    const LIMIT: Duration = Duration::from_secs(3);

    fn stop() -> (SupervisorStop, Instant) {
        let now = Instant::now();
        (SupervisorStop::new(Some(LIMIT), now), now)
    }

    impl SupervisorStop {
        /// The next action, with this answer to [`StopAction::CheckFinish`].
        fn due_if(&mut self, finish_runs: bool, now: Instant) -> Option<StopAction> {
            match self.next_action(now) {
                Some(CheckFinish) => {
                    self.on_finish_check(finish_runs, now);
                    self.next_action(now)
                }
                action => action,
            }
        }

        /// The next action if `finish` does not run.
        fn due(&mut self, now: Instant) -> Option<StopAction> {
            self.due_if(false, now)
        }
    }

    #[test]
    fn expired_timeouts_lead_from_exit_to_give_up() {
        let (mut stop, now) = stop();
        assert_eq!(stop.due(now), Some(SendExit));
        stop.on_delivery(Sent, now);
        assert_eq!(stop.due(now), None);
        assert_eq!(stop.next_deadline(), Some(now + LIMIT));
        assert!(stop.is_graceful());
        let late = now + LIMIT;
        assert_eq!(stop.due(late), Some(SendKill));
        assert!(!stop.is_graceful());
        stop.on_delivery(Sent, late);
        assert_eq!(stop.next_deadline(), Some(late + KILL_TIMEOUT));
        assert_eq!(stop.due(late), None);
        let kill = late + KILL_TIMEOUT;
        assert_eq!(stop.due(kill), Some(KillSupervisor));
        assert_eq!(stop.due(kill), None);
        let give_up = kill + KILL_TIMEOUT;
        assert_eq!(stop.due(give_up), Some(GiveUp));
        assert_eq!(stop.due(give_up + KILL_TIMEOUT), None);
        assert_eq!(stop.next_deadline(), None);
    }

    #[test]
    fn attempts_are_first_until_one_is_sent_or_fails() {
        for delivery in [Sent, Failed] {
            let (mut stop, now) = stop();
            assert!(stop.is_first_attempt());
            assert_eq!(stop.due(now), Some(SendExit));
            assert!(stop.is_first_attempt());
            stop.on_delivery(delivery, now);
            assert!(!stop.is_first_attempt());
            stop.due(now + LIMIT);
            assert!(!stop.is_first_attempt());
        }
    }

    #[test]
    fn short_timeout_still_sends_exit_first() {
        let now = Instant::now();
        let mut stop = SupervisorStop::new(Some(Duration::from_millis(1)), now);
        let later = now + LIMIT;
        assert_eq!(stop.due(later), Some(SendExit));
        stop.on_delivery(Failed, later);
        assert_eq!(stop.due(later), None);
        assert_eq!(stop.due(later + LIMIT), Some(KillSupervisor));
    }

    #[test]
    fn failed_exit_is_retried_until_sigkill() {
        let (mut stop, now) = stop();
        let mut time = now;
        while time < now + LIMIT {
            assert_eq!(stop.due(time), Some(SendExit));
            stop.on_delivery(Failed, time);
            assert_eq!(stop.due(time), None);
            time = stop.next_deadline().unwrap();
        }
        assert_eq!(stop.due(time), Some(KillSupervisor));
    }

    #[test]
    fn no_limit_waits_once_exit_is_sent() {
        let now = Instant::now();
        let mut stop = SupervisorStop::new(None, now);
        stop.on_delivery(Sent, now);
        assert_eq!(stop.next_deadline(), None);
        assert_eq!(stop.due(now + 1000 * DEFAULT_STOP_TIMEOUT), None);
        for limit in [None, Some(Duration::MAX)] {
            let mut stop = SupervisorStop::new(limit, now);
            stop.on_delivery(Failed, now);
            assert_eq!(stop.due(now + DEFAULT_STOP_TIMEOUT), Some(KillSupervisor));
        }
        let mut stop = SupervisorStop::new(Some(Duration::MAX), now);
        stop.on_delivery(Sent, now);
        assert_eq!(stop.next_deadline(), None);
    }

    #[test]
    fn exit_signal_is_repeated_until_timeout() {
        let (mut stop, now) = stop();
        let mut time = now;
        while time < now + LIMIT {
            assert_eq!(stop.due(time), Some(SendExit));
            stop.on_delivery(Signaled, time);
            assert_eq!(stop.due(time), None);
            time = stop.next_deadline().unwrap();
        }
        // A stopped finish has to continue, too.
        assert_eq!(stop.due_if(true, time), Some(SendExit));
        stop.on_delivery(Signaled, time);
        assert_eq!(stop.next_deadline(), Some(time + RESEND_INTERVAL));
        assert_eq!(stop.due(time + KILL_TIMEOUT), Some(SendKill));
        stop.on_delivery(Sent, time);
        assert_eq!(stop.due(time), None);
    }

    #[test]
    fn running_finish_extends_the_timeout() {
        let (mut stop, now) = stop();
        stop.on_delivery(Sent, now);
        let late = now + LIMIT;
        assert_eq!(stop.due_if(true, late), None);
        let later = late + KILL_TIMEOUT;
        assert_eq!(stop.next_deadline(), Some(later));
        assert_eq!(stop.due(later), Some(SendKill));
        stop.on_delivery(Sent, later);
        assert_eq!(stop.due_if(true, later + KILL_TIMEOUT), None);
        assert_eq!(stop.due(later + 2 * KILL_TIMEOUT), Some(KillSupervisor));
    }

    #[test]
    fn escalation_limits_the_time_of_finish() {
        let (mut stop, now) = stop();
        stop.on_delivery(Sent, now);
        stop.escalate(now);
        assert_eq!(stop.due_if(true, now), Some(SendKill));
        stop.on_delivery(Sent, now);
        let kill = now + KILL_TIMEOUT;
        assert_eq!(stop.due_if(true, now), None);
        assert_eq!(stop.next_deadline(), Some(kill));
        assert_eq!(stop.due_if(true, kill), Some(KillSupervisor));
    }

    #[test]
    fn each_escalation_skips_one_timeout() {
        for sent in [false, true] {
            let (mut stop, now) = stop();
            if sent {
                stop.on_delivery(Sent, now);
            }
            stop.escalate(now);
            assert_eq!(stop.due(now), Some(SendKill));
            let delivery = if sent { Sent } else { Failed };
            stop.on_delivery(delivery, now);
            stop.escalate(now);
            assert!(stop.next_deadline().unwrap() <= now);
            assert_eq!(stop.due(now), Some(KillSupervisor));
            stop.escalate(now);
            assert_eq!(stop.due(now), None);
        }
    }

    #[test]
    fn logger_restarts_are_few_and_none_after_a_kill() {
        let now = Instant::now();
        let config = StopConfig {
            logger: Some(LIMIT),
            ..CONFIG
        };
        let mut shutdown = ServiceShutdown::new(config, now);
        assert!(!shutdown.restart_logger(now));
        shutdown.begin_logger_stop(now);
        let restarts = (0..10).filter(|_| shutdown.restart_logger(now));
        assert_eq!(restarts.count(), usize::from(LOGGER_RESTARTS));

        let mut shutdown = ServiceShutdown::new(config, now);
        shutdown.stop.escalate(now);
        shutdown.begin_logger_stop(now);
        assert!(!shutdown.restart_logger(now));
        assert_eq!(shutdown.stop.due(now), Some(SendKill));
    }

    const A: DirectoryId = DirectoryId(1, 1);
    const SEVEN: Pid = Pid::from_raw(7);
    const EIGHT: Pid = Pid::from_raw(8);
    const MIN_UPTIME: Duration = Duration::from_secs(5);

    const CONFIG: StopConfig = StopConfig {
        service: None,
        logger: None,
    };

    /// A service and its logger, in shutdown. The pipe is a flag: whether it
    /// holds bytes.
    struct Fixture {
        table: ServiceTable<bool>,
        shutdown: ServiceShutdown,
    }

    impl Fixture {
        fn new(now: Instant) -> Self {
            let mut table = ServiceTable::default();
            table.add(A, c"a", Some(false));
            table.record_start(A, Role::Service, SEVEN, now);
            table.record_start(A, Role::Logger, EIGHT, now);
            let shutdown = ServiceShutdown::new(CONFIG, now);
            table.set_keep_running(A, shutdown.keep_running());
            Fixture { table, shutdown }
        }

        fn next_action(&mut self, now: Instant) -> Option<ShutdownAction> {
            loop {
                let facts = ServiceFacts {
                    service_runs: self.table.pid(A, Role::Service).is_some(),
                    logger_runs: self.table.pid(A, Role::Logger).is_some(),
                    pipe_unread: self.table.pipe(A) == Some(&true),
                };
                let action = self.shutdown.next_action(facts, now);
                self.table.set_keep_running(A, self.shutdown.keep_running());
                match action {
                    Some(ShutdownAction::Stop(role, GiveUp)) => {
                        self.table.give_up(A, role);
                    }
                    Some(ShutdownAction::Stop(_, CheckFinish)) => {
                        self.shutdown.stop.on_finish_check(false, now);
                    }
                    action => return action,
                }
            }
        }

        fn exit(&mut self, pid: Pid, exit: ChildExit, now: Instant) -> Option<MissingProcess> {
            self.table.record_exit(pid, exit, now + MIN_UPTIME)
        }
    }

    const SERVICE_EXIT: Option<ShutdownAction> =
        Some(ShutdownAction::Stop(Role::Service, SendExit));
    const LOGGER_EXIT: Option<ShutdownAction> = Some(ShutdownAction::Stop(Role::Logger, SendExit));

    #[test]
    fn service_stops_before_its_logger() {
        let now = Instant::now();
        let mut service = Fixture::new(now);
        assert_eq!(service.shutdown.stop.next_deadline(), Some(now));
        assert_eq!(service.next_action(now), SERVICE_EXIT);
        service.shutdown.stop.on_delivery(Sent, now);
        assert_eq!(service.next_action(now), None);
        assert_eq!(service.shutdown.stop.next_deadline(), None);
        assert_eq!(service.exit(SEVEN, ChildExit::Failure, now), None);
        assert_eq!(service.next_action(now), LOGGER_EXIT);
        service.shutdown.stop.on_delivery(Sent, now);
        assert_eq!(service.next_action(now), None);
        // A service that is shutting down stays in the table unseen.
        service.table.mark_unseen();
        service.table.sweep_dead();
        assert_eq!(service.exit(EIGHT, ChildExit::Failure, now), None);
        service.table.sweep_dead();
        assert!(service.table.contains(A));
        assert_eq!(service.next_action(now), Some(ShutdownAction::Forget));
        service.table.forget(A);
        assert_eq!(service.table.count(), 0);
    }

    #[test]
    fn logger_is_replaced_until_the_service_exits() {
        let now = Instant::now();
        let mut service = Fixture::new(now);
        let replaced = service.exit(EIGHT, ChildExit::Failure, now);
        let logger = MissingProcess {
            directory: A,
            role: Role::Logger,
        };
        assert_eq!(replaced, Some(logger));
        assert_eq!(service.table.missing_roles(A), [Role::Logger]);
        service.exit(SEVEN, ChildExit::Success, now);
        assert_eq!(service.table.missing_roles(A), [Role::Logger]);
        assert_eq!(service.next_action(now), Some(ShutdownAction::Forget));
        assert_eq!(service.table.missing_roles(A), []);
    }

    #[test]
    fn unread_pipe_restarts_the_logger() {
        let now = Instant::now();
        let mut service = Fixture::new(now);
        service.table.change_pipe(A, |_| Some(true));
        service.exit(SEVEN, ChildExit::Success, now);
        service.exit(EIGHT, ChildExit::Success, now);
        assert_eq!(service.next_action(now), Some(ShutdownAction::StartLogger));
        service.table.record_start(A, Role::Logger, EIGHT, now);
        assert_eq!(service.next_action(now), LOGGER_EXIT);
        service.table.change_pipe(A, |_| Some(false));
        service.exit(EIGHT, ChildExit::Success, now);
        assert_eq!(service.next_action(now), Some(ShutdownAction::Forget));
    }

    #[test]
    fn unkillable_processes_do_not_block_shutdown() {
        let mut now = Instant::now();
        let mut service = Fixture::new(now);
        let mut actions = Vec::new();
        loop {
            match service.next_action(now) {
                Some(ShutdownAction::Stop(role, action)) => actions.push((role, action)),
                Some(other) => break assert_eq!(other, ShutdownAction::Forget),
                None => now = service.shutdown.stop.next_deadline().unwrap(),
            }
            service.shutdown.stop.on_delivery(Failed, now);
        }
        actions.dedup();
        let expected = [Role::Service, Role::Logger]
            .into_iter()
            .flat_map(|role| [SendExit, KillSupervisor].map(|action| (role, action)));
        assert_eq!(actions, expected.collect::<Vec<_>>());
    }
}
