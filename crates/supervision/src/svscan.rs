//! The loop of svscan: it keeps a supervise running for each service of the
//! current directory, and its logger, until it is told to end them, which only
//! process 1 and svscan -e can be.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use daemontools_core::control::SignalTarget;
use daemontools_core::names;
use daemontools_core::state::ServiceState;
use daemontools_core::status::Want;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, stat};
use nix::unistd::{Pid, chdir, fchdir};
use unix::file::open_write;
use unix::signals::{BlockedSignals, SignalPipe};

use crate::client::{self, tell};
use crate::extended::{exit_implies_down, kill_timeout};
use crate::pipe::Pipe;
use crate::process::{children, proc_path, send};
use crate::scan::{BETWEEN_LOOKS, Rules, Scanner, Trouble, Watch, directory};
use crate::snapshot;
use crate::stop::{Answer, PATIENCE, Step, Terms, last_word};
use crate::table::{Act, Identity, Role};
use crate::wait::wait;

/// Whether it is svscan -e.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As 0.76 has it.
    Plain,
    /// It runs supervise -e, and ends all when an essential service has ended.
    Extended,
}

/// Why all has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Told,
    /// An essential service has ended, with this exit code.
    Essential(u8),
}

/// What svscan obeys. It need not obey anything.
#[derive(Debug)]
pub struct Orders {
    signals: BlockedSignals,
    /// The directory of the services, to come back to.
    origin: OwnedFd,
}

impl Orders {
    /// From now on, svscan of the current directory obeys SIGTERM and SIGINT,
    /// and svscan -e SIGHUP and SIGALRM too.
    ///
    /// # Errors
    /// As signalfd(2) and open(2).
    pub fn new(manner: Manner) -> Result<Self, Errno> {
        // To tell a supervise that ends just now must not be the end of svscan.
        let mut signals = vec![Signal::SIGTERM, Signal::SIGINT, Signal::SIGPIPE];
        match manner {
            Manner::Plain => {}
            Manner::Extended => signals.extend([Signal::SIGHUP, Signal::SIGALRM]),
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Orders {
            signals: BlockedSignals::block(&signals)?,
            origin: open(c".", flags, Mode::empty())?,
        })
    }

    /// Acts in the directory of a role of a service, by the name that it has
    /// in the directory of services, or else where its supervise is. None if it
    /// is in neither place.
    fn within<T>(&self, role: &Seat, act: impl FnOnce() -> T) -> Option<T> {
        let done = role.enter().then(act);
        // It was the current directory.
        let _ = fchdir(&self.origin);
        done
    }
}

/// A role of a service, and where it may be found.
#[derive(Clone, Copy, Debug)]
struct Seat<'a> {
    identity: Identity,
    name: &'a CStr,
    role: Role,
    supervise: Option<Pid>,
}

impl Seat<'_> {
    fn enter(&self) -> bool {
        let by_name = chdir(self.name).is_ok()
            && leads_to(c".", self.identity)
            && match self.role {
                Role::Service => true,
                Role::Logger => chdir(names::LOG).is_ok(),
            };
        if by_name {
            return true;
        }
        let supervise = self.supervise.and_then(|pid| proc_path(pid, "cwd"));
        let entered = supervise.is_some_and(|directory| chdir(directory.as_str()).is_ok());
        entered
            && match self.role {
                // Before it enters it, it is elsewhere.
                Role::Service => leads_to(c".", self.identity),
                Role::Logger => true,
            }
    }
}

/// Whether a name leads to a directory.
fn leads_to(name: &CStr, identity: Identity) -> bool {
    directory(name) == Ok(Some(identity))
}

/// The time limit of the service in the current directory; None: none.
fn time_limit() -> Option<Duration> {
    let limit = kill_timeout().unwrap_or(PATIENCE);
    Some(limit).filter(|limit| !limit.is_zero())
}

/// Sees to it that the logger in the current directory comes to its end, and
/// is not started again then; when it has ended, asks its supervise to exit.
fn await_logger() -> Answer {
    let Ok(snapshot) = snapshot::read() else {
        return Answer::Deaf;
    };
    let Some(record) = snapshot.record.filter(|_| snapshot.supervised) else {
        return Answer::Deaf;
    };
    let told = match (record.state(), record.status.want) {
        (ServiceState::Down | ServiceState::Failed, _) => {
            return heard(tell(letters(Role::Logger, Step::Ask)), Answer::Heard);
        }
        (_, Want::Once) => Ok(()),
        (_, Want::Up | Want::Down) => tell(letters(Role::Logger, Step::Await)),
    };
    heard(told, Answer::Later)
}

fn heard(told: Result<(), client::ClientError>, answer: Answer) -> Answer {
    told.map_or(Answer::Deaf, |()| answer)
}

/// What a supervise is told.
fn letters(role: Role, step: Step) -> &'static [u8] {
    match (role, step) {
        (Role::Service, Step::Ask) => b"dx",
        (Role::Logger, Step::Ask) => b"x",
        (_, Step::Await) => b"o",
        // All that belongs to it ends with it, if it can.
        (Role::Service, Step::Kill) => b"dx+k",
        (Role::Logger, Step::Kill) => b"x+k",
        (_, Step::Force | Step::Abandon) => b"",
    }
}

/// Keeps the services of the current directory, for ever if there are no
/// orders. `children` is to tell of SIGCHLD; `report` puts trouble into words.
pub fn svscan(
    manner: Manner,
    children: &SignalPipe,
    orders: Option<&Orders>,
    report: impl Fn(Trouble, Errno),
) -> End {
    let extended = manner == Manner::Extended;
    let rules = Rules {
        program: c"supervise",
        option: extended.then_some(c"-e"),
        loggers: true,
        // What is typed to interrupt svscan is for svscan alone.
        sessions: extended,
    };
    let mut tree = Tree {
        scanner: Scanner::new(rules, children, report),
        orders,
        essentials: extended.then(Essentials::new),
        end: None,
        orders_to_stop: 0,
        strangers: Vec::new(),
    };
    let watch = Watch::new();
    let mut next_look = Instant::now();
    loop {
        tree.obey();
        if next_look <= Instant::now() {
            tree.look(Gone::Stay);
            next_look = Instant::now() + BETWEEN_LOOKS;
        }
        tree.look_at_essentials();
        tree.part();
        if let Some(end) = tree.end.filter(|_| tree.is_over()) {
            return end;
        }
        let mut descriptors = vec![children.as_fd()];
        descriptors.extend(orders.map(|orders| orders.signals.as_fd()));
        if tree.end.is_none() {
            descriptors.extend(watch.as_ref().map(|watch| watch.0.as_fd()));
            descriptors.extend(tree.essentials.as_ref().and_then(Essentials::as_fd));
        }
        descriptors.extend(tree.strangers.iter().map(|stranger| stranger.ok.as_fd()));
        let next_act = tree.scanner.table.next_act().into_iter();
        let next_leave = tree.strangers.iter().filter_map(|stranger| stranger.until);
        wait(
            &descriptors,
            next_act.chain(next_leave).chain([next_look]).min(),
        );
        children.drain();
        tree.scanner.reap();
        if tree.end.is_none() {
            tree.scanner.see_new_links(watch.as_ref());
        }
    }
}

/// What becomes of a service that is gone from the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// It stays.
    Stay,
    /// It is ended.
    End,
}

struct Tree<'a, R> {
    scanner: Scanner<'a, R>,
    orders: Option<&'a Orders>,
    essentials: Option<Essentials>,
    /// Why all is to end, once it is to.
    end: Option<End>,
    /// How often it was told to end all.
    orders_to_stop: usize,
    strangers: Vec<Stranger>,
}

/// A supervise that was told to end, and is no child: another svscan has left
/// it behind.
struct Stranger {
    /// Its FIFO, which nobody reads when it has ended.
    ok: OwnedFd,
    /// So long it is waited for; None: for ever.
    until: Option<Instant>,
}

impl Stranger {
    fn has_ended(&self) -> bool {
        let mut ok = [PollFd::new(self.ok.as_fd(), PollFlags::empty())];
        let _ = poll(&mut ok, PollTimeout::ZERO);
        let [ok] = ok;
        ok.any() == Some(true) || self.until.is_some_and(|until| until <= Instant::now())
    }
}

impl<R: Fn(Trouble, Errno)> Tree<'_, R> {
    /// Looks at the directory; when all is to end, only after the loggers.
    fn look(&mut self, gone: Gone) {
        // Who is to end may have something to say.
        self.scanner.start_missing_loggers();
        if self.end.is_some() {
            return;
        }
        if self.scanner.look() {
            match gone {
                Gone::Stay => {}
                Gone::End => {
                    for identity in self.scanner.table.unseen() {
                        self.leave(identity);
                    }
                }
            }
            self.scanner.table.end();
        }
        if let Some(essentials) = &mut self.essentials {
            essentials.stirred = true;
        }
    }

    /// Obeys the signals that have come.
    fn obey(&mut self) {
        while let Some(signal) = self.orders.and_then(|orders| orders.signals.take()) {
            match signal {
                Signal::SIGALRM => self.look(Gone::Stay),
                Signal::SIGHUP => self.look(Gone::End),
                Signal::SIGTERM | Signal::SIGINT => self.stop(),
                // SIGPIPE, which says nothing.
                _ => {}
            }
        }
    }

    /// Ends all; told so once more, without patience.
    fn stop(&mut self) {
        self.orders_to_stop += 1;
        if self.end.is_none() {
            self.end_all(End::Told);
        } else if self.is_impatient() {
            self.scanner.table.press(Instant::now());
            self.strangers.clear();
        }
    }

    /// Whether nothing is left.
    fn is_over(&self) -> bool {
        self.scanner.table.count() == 0 && self.strangers.is_empty()
    }

    /// Whether it was told to end all, and then again.
    fn is_impatient(&self) -> bool {
        self.orders_to_stop > 1
    }

    /// Ends all if an essential service has ended.
    fn look_at_essentials(&mut self) {
        let (Some(essentials), None) = (&mut self.essentials, self.end) else {
            return;
        };
        let table = &self.scanner.table;
        if !essentials.is_stirred(table.count()) {
            return;
        }
        let candidates = table
            .services()
            .filter(|(identity, name)| !table.is_leaving(*identity) && essentials.has_one(name));
        let candidates: Vec<_> = candidates.map(|(identity, _)| identity).collect();
        let ended = candidates.into_iter().find_map(|identity| {
            let snapshot = self.within(identity, Role::Service, snapshot::read)?;
            last_word(&snapshot.ok()?)
        });
        if let Some(code) = ended {
            self.end_all(End::Essential(code));
        }
    }

    fn end_all(&mut self, end: End) {
        self.end = Some(end);
        let services = self.scanner.table.services();
        let services: Vec<_> = services.map(|(identity, _)| identity).collect();
        for identity in services {
            self.leave(identity);
        }
    }

    /// A service is to end, with its logger.
    fn leave(&mut self, identity: Identity) {
        let limit = |role| {
            let limit = self.within(identity, role, time_limit);
            limit.unwrap_or(Some(PATIENCE))
        };
        let exit_stops = || self.within(identity, Role::Logger, exit_implies_down);
        let terms = Terms {
            service: limit(Role::Service),
            logger: limit(Role::Logger),
            exit_stops_logger: self.essentials.is_some() && exit_stops() == Some(true),
        };
        self.leave_stranger(identity, Role::Service, terms.service);
        if !terms.exit_stops_logger {
            self.leave_stranger(identity, Role::Logger, terms.logger);
        }
        let table = &mut self.scanner.table;
        table.leave(identity, terms, Instant::now());
    }

    /// If a role's supervise is a stranger, it is told to end, too. A logger
    /// comes to its end by itself: the other end of its pipe is its service's
    /// alone.
    fn leave_stranger(&mut self, identity: Identity, role: Role, limit: Option<Duration>) {
        if self.scanner.table.pid(identity, role).is_some() {
            return;
        }
        let ok = self.within(identity, role, || {
            let ok = open_write(names::OK).ok()?;
            tell(letters(role, Step::Ask)).ok().map(|()| ok)
        });
        if let Some(ok) = ok.flatten() {
            let until = limit.and_then(|limit| Instant::now().checked_add(limit));
            self.strangers.push(Stranger { ok, until });
        }
    }

    /// Does what is due about those that are to end.
    fn part(&mut self) {
        self.strangers.retain(|stranger| !stranger.has_ended());
        for identity in self.scanner.table.leaving() {
            while let Some(act) = self.act(identity) {
                match act {
                    Act::Step(role, supervise, step) => {
                        self.step(identity, role, supervise, step);
                    }
                    Act::StartLogger => {
                        let table = &self.scanner.table;
                        let name = table.name(identity).map(CStr::to_owned);
                        if let Some(name) = name.filter(|name| leads_to(name, identity)) {
                            self.scanner.start(identity, Role::Logger, &name);
                        }
                    }
                    Act::Forget => self.forget(identity),
                }
            }
        }
    }

    fn act(&mut self, identity: Identity) -> Option<Act> {
        let orders = self.orders?;
        let cleans_up = |name: &CStr, role, pid| {
            let seat = Seat {
                identity,
                name,
                role,
                supervise: Some(pid),
            };
            let snapshot = orders.within(&seat, snapshot::read).and_then(Result::ok);
            let record = snapshot.and_then(|snapshot| snapshot.record);
            record.is_some_and(|record| record.state() == ServiceState::Finish)
        };
        let table = &mut self.scanner.table;
        table.act(identity, Instant::now(), cleans_up, Pipe::is_unread)
    }

    /// Does the next step with the supervise of a role.
    fn step(&mut self, identity: Identity, role: Role, supervise: Pid, step: Step) {
        match step {
            Step::Ask | Step::Await | Step::Kill => {
                // One that is stopped hears nothing.
                send(supervise, Signal::SIGCONT, SignalTarget::Process);
                let answer = self.within(identity, role, || match step {
                    Step::Await => await_logger(),
                    Step::Ask | Step::Kill | Step::Force | Step::Abandon => {
                        heard(tell(letters(role, step)), Answer::Heard)
                    }
                });
                let answer = answer.unwrap_or(Answer::Deaf);
                let table = &mut self.scanner.table;
                table.told(identity, answer, Instant::now());
                if role == Role::Logger {
                    // Only now may it come to the end: it is not to be started
                    // again then.
                    table.change_pipe(identity, Pipe::close_for_writing);
                }
                if step == Step::Kill && answer == Answer::Heard {
                    self.complain(identity, role);
                }
            }
            Step::Force => {
                self.complain(identity, role);
                end_by_force(supervise);
            }
            // The table does so.
            Step::Abandon => {}
        }
    }

    /// Acts in the directory of a role of a service, if it can be entered.
    fn within<T>(&self, identity: Identity, role: Role, act: impl FnOnce() -> T) -> Option<T> {
        let table = &self.scanner.table;
        let seat = Seat {
            identity,
            name: table.name(identity)?,
            role,
            supervise: table.pid(identity, role),
        };
        self.orders?.within(&seat, act)
    }

    /// A role did not end when it should have. Who is impatient knows that.
    fn complain(&self, identity: Identity, role: Role) {
        if let Some(name) = self
            .scanner
            .table
            .name(identity)
            .filter(|_| !self.is_impatient())
        {
            (self.scanner.report)(Trouble::Stop(name, role), Errno::ETIMEDOUT);
        }
    }

    /// A service has ended. It may have come back meanwhile, to be started.
    fn forget(&mut self, identity: Identity) {
        let name = self.scanner.table.name(identity).map(CStr::to_owned);
        self.scanner.table.forget(identity);
        let back = |name: &CString| self.end.is_none() && leads_to(name, identity);
        if let Some(name) = name.filter(back) {
            self.scanner.admit(identity, &name);
        }
    }
}

/// Ends a supervise that cannot be told to, and what it runs.
fn end_by_force(supervise: Pid) {
    // Stopped, it neither takes leave of a child, whose pid could then be
    // another's, nor starts one.
    send(supervise, Signal::SIGSTOP, SignalTarget::Process);
    for child in children(supervise) {
        send(child, Signal::SIGKILL, SignalTarget::ProcessGroup);
    }
    send(supervise, Signal::SIGKILL, SignalTarget::Process);
}

/// What tells that there is news of an essential service.
#[derive(Debug)]
struct Essentials {
    /// None where the file system or the system does not tell: then it is
    /// looked every five seconds.
    inotify: Option<Inotify>,
    /// Whether it is to be looked in any case.
    stirred: bool,
    /// How many services there were.
    count: usize,
}

impl Essentials {
    fn new() -> Self {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Essentials {
            inotify: Inotify::init(flags).ok(),
            stirred: true,
            count: 0,
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Whether there may be news, there being so many services now.
    fn is_stirred(&mut self, count: usize) -> bool {
        let mut stirred = std::mem::take(&mut self.stirred) || self.count != count;
        while self
            .inotify
            .as_ref()
            .is_some_and(|inotify| inotify.read_events().is_ok())
        {
            stirred = true;
        }
        self.count = count;
        stirred
    }

    /// Whether the service of this name is essential; from then on, there is
    /// news when it changes.
    fn has_one(&self, name: &CStr) -> bool {
        let in_it = |file: &CStr| {
            Path::new(OsStr::from_bytes(name.to_bytes())).join(OsStr::from_bytes(file.to_bytes()))
        };
        if stat(&in_it(names::ESSENTIAL)).is_err() {
            return false;
        }
        if let Some(inotify) = &self.inotify {
            let renamed = AddWatchFlags::IN_MOVED_TO;
            let watch = || inotify.add_watch(&in_it(names::SUPERVISE), renamed);
            if watch().is_err() {
                // It is watched once it is there, which may be now.
                let once = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ONESHOT;
                let _ = inotify.add_watch(name, once | renamed);
                let _ = watch();
            }
        }
        true
    }
}
