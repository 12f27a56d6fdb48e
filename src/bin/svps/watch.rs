//! `svps -w`: the table on a terminal, kept up to date.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use cli::display::{Charset, has_colours, shorten};
use cli::{Exit, Failure, text};
use daemontools::{ChangedServices, ScanDir, ServiceListing, ServiceWatches, SuperviseDirRule};
use daemontools_core::label::Label;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigSet, Signal, raise};
use unix::poll::wait_for_events;
use unix::signals::{BlockedSignals, reset};
use unix::stdio::STDOUT;

use super::SVPS;
use super::row::{Row, Severity};
use super::screen::{Key, Screen, keys};
use super::services::{open_scan_dir, read_service, refresh_memory};
use super::table::{Output, table};
use super::terminal::Terminal;

/// The minimum time between two updates, so that a storm of changes costs little.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The time between two reads of all services, where not all changes are reported.
const RECHECK: Duration = Duration::from_secs(5);

/// The signals that end the program.
const FATAL: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// Shows the table until a key or a signal. Times and memory are refreshed every
/// `interval`.
pub(crate) fn watch(
    rule: SuperviseDirRule,
    scandir: &CStr,
    interval: Duration,
) -> Result<Exit, Failure> {
    let mut terminal =
        Terminal::open().ok_or_else(|| SVPS.fatal_msg("-w: standard output is not a terminal"))?;
    let unreadable = |error| SVPS.fatal(text!["unable to read ", scandir], error);
    let mut services = WatchedServices::read(rule, scandir).map_err(unreadable)?;
    let other = [Signal::SIGTSTP, Signal::SIGCONT, Signal::SIGWINCH];
    let blocked: Vec<_> = FATAL.into_iter().chain(other).collect();
    let signals = BlockedSignals::block(&blocked)
        .map_err(|error| SVPS.fatal("unable to block signals", error))?;
    terminal.enter();
    let mut view = View {
        screen: Screen::default(),
        next_update: Instant::now(),
        is_due: true,
    };
    let result = loop {
        match view.step(&mut terminal, &mut services, &signals, interval) {
            Ok(Step::Continue) => {}
            Ok(Step::Reread) => match WatchedServices::read(rule, scandir) {
                Ok(read) => services = read,
                Err(error) => break Err(unreadable(error)),
            },
            Ok(Step::Quit) => break Ok(Exit::Success),
            Ok(Step::Die(signal)) => {
                terminal.leave();
                reset(&[signal]);
                let _ = raise(signal);
                return Ok(Exit::Temporary);
            }
            Err(error) => break Err(SVPS.fatal("unable to write output", error)),
        }
    };
    terminal.leave();
    result
}

/// The services of a directory, and the watches on them.
struct WatchedServices {
    scan_dir: ScanDir,
    /// Entry, name and rows of each service.
    services: Vec<(CString, CString, Vec<Row>)>,
    watches: ServiceWatches,
    next_read: Instant,
}

impl WatchedServices {
    /// Reads all services. Errors: as open(2), readdir(3) and `inotify_init1`(2).
    fn read(rule: SuperviseDirRule, path: &CStr) -> Result<Self, Errno> {
        let watches = ServiceWatches::new();
        let mut watches =
            watches.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
        let scan_dir = open_scan_dir(rule, path)?;
        watches.add_scan_directory(&scan_dir);
        let services = match scan_dir.listing() {
            ServiceListing::Service(name) => vec![(c".".to_owned(), name.clone(), Vec::new())],
            ServiceListing::Scan(names) => names
                .iter()
                .map(|name| (name.clone(), name.clone(), Vec::new()))
                .collect(),
        };
        let mut read = WatchedServices {
            scan_dir,
            services,
            watches,
            next_read: Instant::now() + RECHECK,
        };
        for index in 0..read.services.len() {
            read.read_one(index);
        }
        Ok(read)
    }

    fn read_one(&mut self, index: usize) {
        let Some((entry, name, rows)) = self.services.get_mut(index) else {
            return;
        };
        let watches = &mut self.watches;
        let visit = |service: &_| watches.add(service, index);
        *rows = read_service(&self.scan_dir, entry, name, visit);
    }

    fn rows(&self) -> Vec<Row> {
        self.services
            .iter()
            .flat_map(|(.., rows)| rows)
            .cloned()
            .collect()
    }
}

/// The next step of the loop.
enum Step {
    Continue,
    /// The list of services may have changed.
    Reread,
    Quit,
    /// The signal ends the program.
    Die(Signal),
}

struct View {
    screen: Screen,
    next_update: Instant,
    /// Whether something has changed since the last update.
    is_due: bool,
}

impl View {
    /// Updates the screen if an update is due, waits, and handles the events.
    /// Errors: as write(2).
    fn step(
        &mut self,
        terminal: &mut Terminal,
        services: &mut WatchedServices,
        signals: &BlockedSignals,
        interval: Duration,
    ) -> Result<Step, Errno> {
        let now = Instant::now();
        // A terminal that has not accepted the last update gets no other one.
        if terminal.accepts_update() && now >= self.next_update {
            self.draw(terminal, services);
            self.next_update = now + interval;
            self.is_due = false;
        }
        terminal.flush()?;
        let recheck = (!services.watches.is_complete()).then_some(services.next_read);
        let deadline = recheck.map_or(self.next_update, |read| read.min(self.next_update));
        let deadline = terminal.is_flushed().then_some(deadline);
        let mut inputs = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let changes = services.watches.descriptor();
        inputs.extend(changes.map(|changes| PollFd::new(changes, PollFlags::POLLIN)));
        let keys_index = inputs.len();
        inputs.extend(
            terminal
                .keys()
                .map(|keys| PollFd::new(keys, PollFlags::POLLIN)),
        );
        if !terminal.is_flushed() {
            inputs.push(PollFd::new(terminal.descriptor(), PollFlags::POLLOUT));
        }
        wait_for_events(&mut inputs, deadline);
        let has_keys = terminal.keys().is_some()
            && inputs
                .get(keys_index)
                .is_some_and(|keys| keys.any() == Some(true));
        drop(inputs);
        let mut has_left = false;
        while let Some(signal) = signals.take_pending() {
            match signal {
                Signal::SIGTSTP => suspend(terminal),
                Signal::SIGWINCH | Signal::SIGCONT => {}
                signal => return Ok(Step::Die(signal)),
            }
            has_left |= signal != Signal::SIGWINCH;
            self.screen.forget();
            self.next_update = Instant::now();
        }
        if has_left {
            terminal.enter();
        }
        if has_keys {
            let rows = services.rows().len();
            let (_, height) = Terminal::size();
            for key in keys(&Terminal::read_keys().ok_or(Errno::EIO)?) {
                match key {
                    Key::Quit => return Ok(Step::Quit),
                    Key::Redraw => self.screen.forget(),
                    Key::Scroll(scroll) => self.screen.scroll(scroll, rows, height),
                }
            }
            self.next_update = Instant::now();
        }
        if recheck.is_some_and(|read| read <= Instant::now()) {
            self.changed();
            return Ok(Step::Reread);
        }
        match services.watches.take_changes() {
            ChangedServices::All => {
                self.changed();
                Ok(Step::Reread)
            }
            ChangedServices::Indices(indices) => {
                for index in &indices {
                    services.read_one(*index);
                }
                if !indices.is_empty() {
                    self.changed();
                }
                Ok(Step::Continue)
            }
        }
    }

    /// A change is shown soon, but not at once: more may follow.
    fn changed(&mut self) {
        if !self.is_due {
            self.is_due = true;
            self.next_update = self.next_update.min(Instant::now() + MIN_INTERVAL);
        }
    }

    fn draw(&mut self, terminal: &mut Terminal, services: &WatchedServices) {
        let (columns, height) = Terminal::size();
        let mut rows = services.rows();
        let visible = self.screen.visible_rows(rows.len(), height);
        if let Some(visible) = rows.get_mut(visible.clone()) {
            visible.iter_mut().for_each(refresh_memory);
        }
        let now = Label::now();
        let output = Output {
            colours: has_colours(STDOUT),
            charset: Charset::of_output(STDOUT),
            width: Some(columns),
        };
        let mut last_line = last_line(&rows, visible, now);
        shorten(&mut last_line, columns);
        let table = table(&rows, now, output);
        terminal.push(&self.screen.update(&table, &last_line, height));
    }
}

/// The numbers of rows and problems.
fn last_line(rows: &[Row], visible: std::ops::Range<usize>, now: Label) -> String {
    let count = |severity| {
        rows.iter()
            .filter(|row| row.state(now).1 == severity)
            .count()
    };
    let (critical, warnings) = (count(Severity::Critical), count(Severity::Warning));
    let (first, last, all) = (visible.start + 1, visible.end, rows.len());
    let place = if visible.len() == all {
        String::new()
    } else {
        format!("rows {first} to {last} of ")
    };
    format!("{place}{all}: {critical} critical, {warnings} warnings; q quits")
}

/// Stops this process as SIGTSTP does, with the terminal restored.
fn suspend(terminal: &mut Terminal) {
    terminal.leave();
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTSTP);
    let _ = raise(Signal::SIGTSTP);
    let _ = stop.thread_unblock();
    // Continued.
    let _ = stop.thread_block();
}
