//! The loop of supervise and of runsv: it waits, tells the machines what
//! happened, and does what they say. supervise has one machine; runsv has
//! another one if its service has a logger, and the pipe between the two.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use daemontools_core::control::{Command, SignalTarget};
use daemontools_core::names::{self, SupervisePaths};
use daemontools_core::runsv::RunsvStatus;
use daemontools_core::status::Want;
use nix::errno::Errno;
use nix::fcntl::FlockArg;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, stat};
use nix::unistd::{Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout};
use unix::exec::PreparedExec;
use unix::file;
use unix::fork::fork;
use unix::signals::SignalPipe;
use unix::wait::{ExitStatus, reap, wait_for};

use crate::directory::{Control, Lock, Obstacle, Presence, ReplaceTrouble, replace};
use crate::extended::{self, Extended, Gifts};
use crate::machine::{Death, Machine, Moment, Policy, Start};
use crate::pipe::Pipe;
use crate::role::Role;
use unix::poll::wait_readable;
use unix::process::{signal_group, signal_process};

/// What went wrong while supervising; none of it ends supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// What others are to read could not be replaced.
    Replace(ReplaceTrouble),
    /// There could be no process for the service.
    Fork(Errno),
    /// In the new process of this program: it could not have its end of the
    /// pipe.
    Pipe(&'a CStr, Errno),
    /// In the new process: the logger's directory could not be entered.
    Chdir(Errno),
    /// In the new process: this program could not be executed.
    Start(&'a CStr, Errno),
    /// This program in `control` could not be looked at.
    ControlStat(&'a CStr, Errno),
    /// There could be no process for this program in `control`.
    ControlFork(&'a CStr, Errno),
    /// In the new process: it could not have the service's standard output.
    ControlPipe(&'a CStr, Errno),
    /// In the new process: this program in `control` could not be executed.
    ControlStart(&'a CStr, Errno),
    /// Of what only supervise -e has.
    Extended(extended::Trouble),
}

/// Supervises the service in the current directory, as supervise does, until
/// it is told to exit. `children` is to tell of SIGCHLD; `report` puts trouble
/// into words. `extended` is the name of the service if it is to be as with
/// supervise -e.
///
/// # Errors
/// What could not be had at the start; the service was not started then.
pub fn supervise(
    children: &SignalPipe,
    want: Want,
    extended: Option<CString>,
    report: impl Fn(Trouble),
) -> Result<(), Obstacle> {
    let files = &names::SERVICE;
    let lock = Lock::take(files, FlockArg::LockExclusiveNonblock)?;
    let control = Control::open(files)?;
    let policy = match extended {
        Some(_) => Policy::Extended,
        None => Policy::Supervise,
    };
    let machine = Machine::new(policy, want, Moment::now());
    let service = Service::new(files, lock, control, machine);
    let mut supervisor = Supervisor::new(service, children, report);
    supervisor.extended = extended.map(|name| {
        Extended::new(name, &|trouble| {
            (supervisor.report)(Trouble::Extended(trouble));
        })
    });
    supervisor.announce()?;
    supervisor.run();
    Ok(())
}

/// The logger of a service, for runsv.
#[derive(Debug)]
pub struct Logger {
    /// Whether it is to be started.
    pub want: Want,
    /// What joins the service to it.
    pub pipe: Pipe,
}

/// Supervises the service in the current directory, and its logger if it has
/// one, as runsv does. `terminated` is to tell of SIGTERM, which is a command
/// to exit.
///
/// # Errors
/// What could not be had at the start; nothing was started then.
pub fn runsv(
    children: &SignalPipe,
    terminated: &SignalPipe,
    want: Want,
    logger: Option<Logger>,
    report: impl Fn(Trouble),
) -> Result<(), Obstacle> {
    let lock = Lock::take(&names::SERVICE, FlockArg::LockExclusiveNonblock)?;
    let logger = match logger {
        // The one who holds it is about to end: it has lost its service.
        Some(logger) => Some((Lock::take(&names::LOGGER, FlockArg::LockExclusive)?, logger)),
        None => None,
    };
    let control = Control::open_fifo(&names::SERVICE)?;
    let machine = Machine::new(Policy::Runsv, want, Moment::now());
    let service = Service::new(&names::SERVICE, lock, control, machine);
    let mut supervisor = Supervisor::new(service, children, report);
    supervisor.terminated = Some(terminated);
    supervisor.show(Role::Service);
    if let Some((lock, Logger { want, pipe })) = logger {
        let control = Control::open_fifo(&names::LOGGER)?;
        let machine = Machine::new(Policy::RunsvLogger, want, Moment::now());
        supervisor.logger = Some(Service::new(&names::LOGGER, lock, control, machine));
        supervisor.pipe = Some(pipe);
    }
    supervisor.announce()?;
    supervisor.run();
    Ok(())
}

/// Whether poll can tell when the next command comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commands {
    Expected,
    /// `control` is no FIFO but something that ends: poll would always call
    /// it readable, so it is looked at from time to time.
    Ended,
}

/// The time between two looks at a `control` that is no FIFO.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// At most this many bytes of commands are obeyed before children are looked
/// after again, however fast they come.
const BURST: usize = 4096;

/// A service, or the logger of one, and the files that it is met by.
struct Service {
    machine: Machine,
    files: &'static SupervisePaths,
    control: Control,
    commands: Commands,
    /// What readers see, and whether they see that supervision is to end.
    shown: Option<(RunsvStatus, bool)>,
    /// The pid that readers see, as text.
    shown_pid: Option<String>,
    presence: Option<Presence>,
    _lock: Lock,
}

impl Service {
    fn new(files: &'static SupervisePaths, lock: Lock, control: Control, machine: Machine) -> Self {
        Service {
            files,
            control,
            commands: Commands::Expected,
            shown: None,
            shown_pid: match machine.policy() {
                Policy::Supervise | Policy::Extended | Policy::Runsv => None,
                // There is nothing to see until its first start.
                Policy::RunsvLogger => Some(String::new()),
            },
            machine,
            presence: None,
            _lock: lock,
        }
    }

    /// Tells readers what there is to tell, if it is anything new.
    fn show(&mut self) -> Result<(), ReplaceTrouble> {
        let report = self.machine.report();
        let leaving = self.machine.is_leaving();
        if self.shown == Some((report, leaving)) {
            return Ok(());
        }
        match self.machine.policy() {
            Policy::Supervise | Policy::Extended => {
                replace(self.files.status, &report.status.encode())?;
            }
            Policy::Runsv | Policy::RunsvLogger => {
                let pid = report.pid();
                if self.shown_pid.as_ref() != Some(&pid) {
                    replace(self.files.pid, pid.as_bytes())?;
                    self.shown_pid = Some(pid);
                }
                let stat = [report.stat(leaving).as_bytes(), b"\n"].concat();
                replace(self.files.stat, &stat)?;
                // The record comes last: who sees it change sees all.
                replace(self.files.status, &report.encode())?;
            }
        }
        self.shown = Some((report, leaving));
        Ok(())
    }

    /// The commands that have come, in their order.
    fn read_commands(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut bytes = [0; 64];
        let mut length = 0;
        self.commands = Commands::Expected;
        while length < BURST {
            match self.control.read(&mut bytes) {
                Ok(0) => {
                    self.commands = Commands::Ended;
                    break;
                }
                Ok(more) => {
                    let bytes = bytes.iter().take(more);
                    commands.extend(bytes.filter_map(|&byte| self.machine.policy().command(byte)));
                    length += more;
                }
                Err(_) => break,
            }
        }
        commands
    }
}

struct Supervisor<'a, R> {
    service: Service,
    logger: Option<Service>,
    /// What joins the two. Without it, the logger is at the end of its input.
    pipe: Option<Pipe>,
    environment: Vec<&'static CStr>,
    children: &'a SignalPipe,
    terminated: Option<&'a SignalPipe>,
    /// What only supervise -e has; it has no logger.
    extended: Option<Extended>,
    report: R,
}

impl<'a, R: Fn(Trouble)> Supervisor<'a, R> {
    fn new(service: Service, children: &'a SignalPipe, report: R) -> Self {
        Supervisor {
            service,
            logger: None,
            pipe: None,
            environment: unix::start::environment(),
            children,
            terminated: None,
            extended: None,
            report,
        }
    }

    /// Lets others know that there is somebody here. The records are there
    /// before they can be asked for.
    fn announce(&mut self) -> Result<(), Obstacle> {
        self.show_all();
        for service in std::iter::once(&mut self.service).chain(&mut self.logger) {
            service.presence = Some(Presence::announce(service.files)?);
        }
        Ok(())
    }

    fn run(&mut self) {
        while !self.is_over() {
            // The logger comes first, so that it is there when there is
            // something to log.
            self.start_if_due(Role::Logger);
            self.start_if_due(Role::Service);
            self.show_all();
            self.wait();
            self.children.drain();
            self.hear();
            self.reap();
            self.obey(Role::Service);
            self.obey(Role::Logger);
            self.kill_overdue();
        }
        self.show_all();
    }

    /// Listens to a service that may say that it is ready.
    fn hear(&mut self) {
        if self.extended.as_mut().is_some_and(Extended::hear) {
            self.service.machine.ready(Moment::now());
        }
    }

    /// Kills what was given time to end.
    fn kill_overdue(&mut self) {
        if let Some(pid) = self.service.machine.overdue(Moment::now()) {
            signal_process(pid, Signal::SIGKILL);
        }
    }

    fn side(&mut self, side: Role) -> Option<&mut Service> {
        match side {
            Role::Service => Some(&mut self.service),
            Role::Logger => self.logger.as_mut(),
        }
    }

    /// Whether supervision is to end now. A logger is let come to the end of
    /// its input first.
    fn is_over(&mut self) -> bool {
        if !self.service.machine.is_over() {
            return false;
        }
        match &mut self.logger {
            Some(logger) if logger.machine.pid().is_some() => {
                if self.pipe.take().is_some() {
                    logger.machine.leave();
                }
                false
            }
            Some(_) | None => true,
        }
    }

    /// Whether the service is over for good, and only its logger goes on.
    fn only_logger_is_left(&self) -> bool {
        self.logger.is_some() && self.pipe.is_none()
    }

    fn wait(&self) {
        let mut descriptors = vec![self.children.as_fd()];
        descriptors.extend(self.terminated.map(AsFd::as_fd));
        descriptors.extend(self.extended.as_ref().and_then(Extended::notification));
        let service = (!self.only_logger_is_left()).then_some(&self.service);
        let mut until = None::<Instant>;
        for service in service.into_iter().chain(&self.logger) {
            let due = service.machine.next_moment();
            let look = match service.commands {
                Commands::Expected => {
                    descriptors.push(service.control.as_fd());
                    None
                }
                Commands::Ended => Some(Instant::now() + BETWEEN_LOOKS),
            };
            until = until.into_iter().chain(due).chain(look).min();
        }
        wait_readable(&descriptors, until);
    }

    fn start_if_due(&mut self, side: Role) {
        let Some(service) = self.side(side) else {
            return;
        };
        let start = match service.machine.next_start() {
            Some((moment, start)) if moment <= Instant::now() => start,
            Some(_) | None => return,
        };
        let started = match start {
            Start::Run => {
                // What it says is not asked for: the service is started.
                let _ = self.ask(side, b'u');
                let gifts = self.prepare();
                self.spawn(side, names::RUN_PROGRAM, &[], gifts)
            }
            Start::Finish(Death { pid, end }) => {
                let arguments = match &self.extended {
                    Some(extended) => extended.finish_arguments(pid, end),
                    None => finish_arguments(end).into(),
                };
                self.spawn(side, names::FINISH_PROGRAM, &arguments, None)
            }
        };
        if let Err(error) = started {
            (self.report)(Trouble::Fork(error));
        }
        let now = Moment::now();
        if let Some(service) = self.side(side) {
            match started {
                Ok(pid) => service.machine.started(pid, now),
                Err(_) => service.machine.not_started(now),
            }
        }
        // Whoever is started next may look at it.
        self.show(side);
        if let (Start::Run, Ok(pid)) = (start, started) {
            self.notify("start", pid, None);
        }
    }

    /// Under supervise -e: reads what the service asks for, before a run.
    fn prepare(&mut self) -> Option<Gifts> {
        let extended = self.extended.as_mut()?;
        let (terms, gifts) = extended.prepare(&|trouble| (self.report)(Trouble::Extended(trouble)));
        self.service.machine.set_terms(terms);
        Some(gifts)
    }

    /// Under supervise -e: tells the program `notify` what has happened.
    fn notify(&self, what: &str, pid: Pid, how: Option<i32>) {
        if self.extended.is_some() {
            extended::notify(what, pid, how, &self.environment, &|trouble| {
                (self.report)(Trouble::Extended(trouble));
            });
        }
    }

    /// Starts a program of a side, its standard output or input being its end
    /// of the pipe. A run under supervise -e takes its gifts.
    fn spawn(
        &self,
        side: Role,
        program: &CStr,
        arguments: &[CString],
        gifts: Option<Gifts>,
    ) -> Result<Pid, Errno> {
        let end = self.pipe.as_ref().map(|pipe| pipe.end(side)).transpose()?;
        let arguments: Vec<_> = std::iter::once(program)
            .chain(arguments.iter().map(CString::as_c_str))
            .collect();
        let executable = PreparedExec::search(None, &arguments, &self.environment);
        let called = match side {
            Role::Service => program.to_owned(),
            Role::Logger => names::in_log(program),
        };
        let complain = |trouble| (self.report)(Trouble::Extended(trouble));
        let child = || {
            let joined = match side {
                Role::Service => end.as_ref().map_or(Ok(()), dup2_stdout),
                Role::Logger => end.as_ref().map_or(Ok(()), dup2_stdin),
            };
            let entered = match side {
                Role::Service => Ok(()),
                Role::Logger => chdir(names::LOG),
            };
            let stderr = gifts.as_ref().and_then(Gifts::keep_stderr);
            let taken = gifts.map_or(Ok(()), |gifts| gifts.take(&complain));
            let trouble = match (joined, entered, taken) {
                (Err(error), _, _) => Trouble::Pipe(&called, error),
                (Ok(()), Err(error), _) => Trouble::Chdir(error),
                (Ok(()), Ok(()), Err(trouble)) => Trouble::Extended(trouble),
                (Ok(()), Ok(()), Ok(())) => Trouble::Start(&called, executable.exec()),
            };
            if let Some(stderr) = stderr {
                let _ = dup2_stderr(stderr);
            }
            (self.report)(trouble);
            111
        };
        fork(child)
    }

    fn show_all(&mut self) {
        self.show(Role::Service);
        self.show(Role::Logger);
    }

    fn show(&mut self, side: Role) {
        if let Some(extended) = &mut self.extended {
            // It is renamed into place before the record is: see
            // daemontools_core::state.
            let state = self.service.machine.state_file().text();
            if let Err(trouble) = extended.show(&state) {
                (self.report)(Trouble::Replace(trouble));
            }
        }
        if let Some(Err(trouble)) = self.side(side).map(Service::show) {
            (self.report)(Trouble::Replace(trouble));
        }
    }

    fn reap(&mut self) {
        while let Some((pid, end)) = reap() {
            let was_service = self.service.machine.service() == Some(pid);
            if was_service {
                // What it has said since it was listened to, it said first.
                self.hear();
            }
            let now = Moment::now();
            for service in std::iter::once(&mut self.service).chain(&mut self.logger) {
                let finish = service.machine.pid() == Some(pid)
                    && service.machine.policy().has_finish()
                    && if self.extended.is_some() {
                        extended::is_program(names::FINISH)
                    } else {
                        file::open_read(names::FINISH).is_ok()
                    };
                service.machine.died(pid, end, finish, now);
            }
            if was_service {
                self.mourn(pid, end, now);
            }
        }
    }

    /// Under supervise -e: keeps a death of the service, and tells of it.
    fn mourn(&mut self, pid: Pid, end: ExitStatus, now: Moment) {
        let Some(extended) = &mut self.extended else {
            return;
        };
        if let Err(trouble) = extended.mourn(end, now) {
            (self.report)(Trouble::Replace(trouble));
        }
        // What is started next, finish and notify, may look at it.
        self.show(Role::Service);
        let (what, how) = extended::ended(end);
        self.notify(what, pid, how);
    }

    /// Obeys the commands that have come.
    fn obey(&mut self, side: Role) {
        let terminated = side == Role::Service && self.terminated.is_some_and(SignalPipe::drain);
        if side == Role::Service && self.only_logger_is_left() {
            return;
        }
        let commands = self.side(side).map(Service::read_commands);
        // What `+` says is over with the commands that came with it: those who
        // write theirs later need not know of it.
        let mut target = SignalTarget::Process;
        for command in commands.into_iter().flatten() {
            match command {
                Command::Target(to) => target = to,
                command => self.command(side, command, target),
            }
        }
        if terminated {
            self.command(side, Command::Exit, SignalTarget::Process);
        }
    }

    fn command(&mut self, side: Role, command: Command, target: SignalTarget) {
        if let (Some(extended), Command::Down | Command::Exit) = (&mut self.extended, command) {
            let complain = |trouble| (self.report)(Trouble::Extended(trouble));
            let terms = extended.read_again(&complain);
            self.service.machine.set_terms(terms);
        }
        let Some(service) = self.side(side) else {
            return;
        };
        let steps = service.machine.command(command, Moment::now());
        for step in steps {
            if step.program.is_some_and(|program| self.ask(side, program)) {
                continue;
            }
            let Some(service) = self.side(side) else {
                return;
            };
            if let (Some(pid), Some(signal)) = (service.machine.pid(), step.signal) {
                match target {
                    SignalTarget::Process => signal_process(pid, signal),
                    SignalTarget::ProcessGroup => signal_group(pid, signal),
                }
                service.machine.sent(signal);
            }
        }
        self.start_if_due(side);
    }

    /// Asks the program in `control` for a letter, if there is one: whether it
    /// says that it has done what the letter asks for.
    fn ask(&mut self, side: Role, letter: u8) -> bool {
        let has_programs = |service: &mut Service| service.machine.policy().has_control_programs();
        if !self.side(side).is_some_and(has_programs) {
            return false;
        }
        let program = names::control_program(letter);
        match stat(program.as_c_str()) {
            Ok(status) if Mode::from_bits_truncate(status.st_mode).contains(Mode::S_IXUSR) => {}
            Ok(_) | Err(Errno::ENOENT) => return false,
            Err(error) => {
                (self.report)(Trouble::ControlStat(&program, error));
                return false;
            }
        }
        // It may take its time, and ask what the service is at.
        self.show(side);
        let pipe = self.pipe.as_ref();
        let joined = pipe.map(|pipe| pipe.end(Role::Service)).transpose();
        let executable = PreparedExec::search(None, &[&program], &self.environment);
        let child = || {
            let joined = match &joined {
                Ok(end) => end.as_ref().map_or(Ok(()), dup2_stdout),
                Err(error) => Err(*error),
            };
            (self.report)(match joined {
                Ok(()) => Trouble::ControlStart(&program, executable.exec()),
                Err(error) => Trouble::ControlPipe(&program, error),
            });
            111
        };
        match fork(child) {
            Ok(pid) => wait_for(pid).and_then(ExitStatus::code) == Some(0),
            Err(error) => {
                (self.report)(Trouble::ControlFork(&program, error));
                false
            }
        }
    }
}

/// What `finish` is told: the exit code of the service, -1 if it has none, and
/// the low byte of its wait status.
fn finish_arguments(end: ExitStatus) -> [CString; 2] {
    let words = [
        end.code().unwrap_or(-1).to_string(),
        end.low_byte().to_string(),
    ];
    words.map(|word| CString::new(word).unwrap_or_default())
}
