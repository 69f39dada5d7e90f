//! The thread that does what the [`Manager`] decides: orders, files, words.

use super::book::{Issue, Record};
use super::handle::{Certificates, now_ms};
use super::inbox::{Pending, Source};
use super::ledger::Ledger;
use super::manager::{Action, Failure, Manager, Now, Standing};
use super::pair::Pair;
use super::tell::{Teller, in_words};
use super::{Wanted, requests, store::LoadError};
use crate::console::Console;
use crate::tls::acme::{Cause, IssueError, Issued, Issuer, Order, Window};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Builder;
use tokio::task::{Id, JoinSet};

/// An order takes no longer, whatever its issuer does.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Nor does asking about a certificate.
const ASKING: Duration = Duration::from_secs(60);
/// After trouble with the disk it is tried again.
const DISK_AGAIN: u64 = 10_000;
/// It looks up at least that often: the clock may have been set, and a command may ask for something.
const LOOK_UP: u64 = 1_000;

/// What a task comes to.
enum Done {
    Order(Box<str>, Result<(Pair, Issued), Failure>),
    Asked(Box<str>, Option<Window>),
}

/// A certificate that could not be written to the disk yet.
struct Unkept {
    pair: Pair,
    issued: Issued,
}

struct Carrier {
    shared: Arc<Certificates>,
    teller: Teller,
    manager: Manager,
    ledger: Ledger,
    source: Option<Source>,
    tasks: JoinSet<Done>,
    under_way: HashMap<Id, (Box<str>, bool)>,
    unkept: HashMap<Box<str>, Unkept>,
    /// When the disk is tried again, milliseconds since 1970; `None` while nothing is wrong with it.
    disk_again: Option<u64>,
    /// The ledger is there and could not be read: it must not be replaced by what is known without it.
    unread: bool,
    /// Whether the directory was made and mended.
    prepared: bool,
    /// When it was last looked what commands ask for, milliseconds since the start.
    looked: u64,
    begun: Instant,
}

/// Starts the thread.
///
/// # Errors
/// When it or its runtime cannot be made.
pub(super) fn start(shared: Arc<Certificates>, console: &Console) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().thread_name("certificates-io").build()?;
    let teller = Teller::new(console);
    // Before anything is served: names that handshakes asked for before are known then.
    let carrier = Carrier::new(shared, teller);
    std::thread::Builder::new().name("certificates".into()).spawn(move || {
        runtime.block_on(carrier.run());
        runtime.shutdown_background();
    })?;
    Ok(())
}

impl Carrier {
    fn new(shared: Arc<Certificates>, mut teller: Teller) -> Self {
        let begun = Instant::now();
        let mut ledger = Ledger::at(shared.store.dir());
        let read = ledger.read();
        let mut disk_again = None;
        let mut book = match read {
            Ok(read) => {
                if read.dropped > 0 {
                    let (n, dir) = (read.dropped, shared.store.dir().display());
                    teller.warn(format!("{dir}/ledger: {n} damaged lines are dropped; what they said is lost"));
                }
                read.book
            }
            Err(e) => {
                teller.state(
                    "disk",
                    Some(format!(
                        "what was ordered cannot be read: {e}; certificates that there are serve on, and nothing is \
                         ordered until it can be read and the gateway is started again"
                    )),
                    "",
                );
                disk_again = Some(u64::MAX);
                super::book::Book::default()
            }
        };
        // What was in the middle of being replaced is whole again before anybody looks.
        let prepared = shared.store.dir().exists() && shared.store.prepare().is_ok();
        let there: HashSet<Box<str>> = shared.store.names().unwrap_or_default().into_iter().collect();
        for record in differs(&book, &there, |name| shared.store.load(name)) {
            book.apply(&record);
        }
        let now = Now { wall: now_ms(), steady: 0 };
        let mut manager = Manager::new(book, now);
        let demanded = manager.book().names.iter();
        let demanded: Vec<Wanted> = demanded
            .filter_map(|(name, entry)| {
                let tenant = entry.demanded.as_ref()?.tenant.clone();
                Some(Wanted { name: (**name).into(), tenant, via: None })
            })
            .collect();
        for wanted in demanded {
            if let Some(slot) = shared.slots.of_demanded(&wanted.name, u64::MAX) {
                manager.recall(wanted, Arc::clone(&slot.used));
            }
        }
        manager.can_write(disk_again.is_none());
        Self {
            shared,
            teller,
            manager,
            ledger,
            source: None,
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            unkept: HashMap::new(),
            unread: disk_again.is_some(),
            disk_again,
            prepared,
            looked: 0,
            begun,
        }
    }

    async fn run(mut self) {
        loop {
            if self.read_inbox() {
                return;
            }
            if self.disk_again.is_some_and(|at| at <= now_ms()) {
                self.mend();
            }
            self.look_at_requests();
            self.step();
            let until = self.wakes();
            tokio::select! {
                () = self.shared.inbox.told() => {}
                Some(done) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.done(done),
                () = tokio::time::sleep(Duration::from_millis(until)) => {}
            }
        }
    }

    fn now(&self) -> Now {
        let steady = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { wall: now_ms(), steady }
    }

    fn look_at_requests(&mut self) {
        let now = self.now().steady;
        if self.looked + LOOK_UP > now && self.looked > 0 {
            return;
        }
        self.looked = now.max(1);
        let Self { shared, manager, .. } = self;
        requests::take(shared.store.dir(), |name| manager.renew(name));
    }

    /// How long nothing happens by itself, milliseconds.
    fn wakes(&self) -> u64 {
        let now = now_ms();
        let at = [Some(self.manager.next()), self.disk_again, self.teller.next()].into_iter().flatten().min();
        at.map_or(LOOK_UP, |at| at.saturating_sub(now)).clamp(1, LOOK_UP)
    }

    /// Takes in what was told. Whether it is over.
    fn read_inbox(&mut self) -> bool {
        let Pending { changes, demands, withdrawn, waits, lost, unreadable, source, ends } = self.shared.inbox.take();
        if let Some(source) = source {
            self.manager.order_from(source.as_ref().map(|source| source.authorities.clone()));
            if self.source.is_some() && source.is_some() {
                self.manager.retry_all();
            }
            self.source = source;
            if self.source.is_some() && !self.prepared {
                self.mend();
            }
        }
        for (name, wanted) in changes {
            match wanted {
                Some(wanted) => {
                    let slot = self.shared.slots.of(&name);
                    self.manager.want(wanted, Arc::clone(&slot.used));
                }
                None => self.manager.unwant(&name),
            }
        }
        for name in withdrawn {
            self.manager.withdraw(&name);
        }
        for (name, wanted) in demands {
            if let Some(slot) = self.shared.slots.get(&name) {
                self.manager.demand(wanted, Arc::clone(&slot.used));
            }
        }
        for name in waits {
            self.manager.waits(&name);
        }
        for (name, why) in unreadable {
            self.teller.warn(format!("the certificate of {name} cannot be read: {why}; its handshakes are refused"));
        }
        for (name, why) in lost {
            self.teller.warn(format!("the certificate of {name} is of no use: {why}; another one is ordered"));
            self.manager.lost(&name);
        }
        ends
    }

    fn step(&mut self) {
        let actions = self.manager.step(self.now());
        let records: Vec<Record> = actions
            .iter()
            .filter_map(|action| if let Action::Write(record) = action { Some(record.clone()) } else { None })
            .collect();
        let written = self.write(&records, actions.contains(&Action::Rewrite));
        for action in actions {
            match action {
                Action::Write(_) | Action::Rewrite => {}
                Action::Order { wanted, .. } if !written => self.manager.not_sent(&wanted.name),
                Action::Order { wanted, replaces } => self.order(wanted, replaces),
                Action::Ask(name) => self.ask(&name),
                Action::Stands(name, standing) => self.stands(&name, standing),
                Action::Remove(name) => {
                    // What stays is looked at again after a restart.
                    let _ = self.shared.store.remove(&name);
                }
                Action::ClockSet(by) => {
                    let (way, by) = (if by < 0 { "back" } else { "ahead" }, in_words(by.unsigned_abs()));
                    self.teller.note(format!("the clock was set {way} by {by}; certificates are planned anew"));
                }
            }
        }
        let (waiting, under_way) = self.manager.orders();
        self.shared.tally.waiting.store(waiting as u64, Ordering::Relaxed);
        self.shared.tally.under_way.store(under_way as u64, Ordering::Relaxed);
        let closed = self.manager.closed();
        self.shared.closed.store(closed.as_ref().map_or(0, |(until, _)| *until), Ordering::Relaxed);
        self.teller.settle(now_ms(), waiting + under_way);
    }

    /// Writes down what happened. Whether it is on the disk.
    fn write(&mut self, records: &[Record], all: bool) -> bool {
        if self.disk_again.is_some() {
            return false;
        }
        // A directory that nobody needs is not made.
        if !self.prepared && (records.is_empty() || self.source.is_none()) {
            return records.is_empty();
        }
        let book = self.manager.book();
        let written = match records {
            _ if all || self.ledger.is_long(book) => self.ledger.rewrite(book),
            [] => return true,
            records => self.ledger.write(records),
        };
        match written {
            Ok(()) => true,
            Err(e) => {
                self.disk_fails(&e);
                false
            }
        }
    }

    fn disk_fails(&mut self, e: &io::Error) {
        self.teller.state("disk", Some(trouble(e)), "");
        self.disk_again = Some(now_ms() + DISK_AGAIN);
        self.manager.can_write(false);
    }

    /// Tries what the disk did not take.
    fn mend(&mut self) {
        if self.unread {
            return;
        }
        let mut tried = if self.prepared { Ok(()) } else { self.shared.store.prepare() };
        let names: Vec<Box<str>> = self.unkept.keys().cloned().collect();
        for name in names {
            if tried.is_ok() {
                let Unkept { issued, .. } = &self.unkept[&name];
                tried = self.shared.store.keep(&name, &issued.chain, &issued.key);
            }
            if tried.is_ok()
                && let Some(Unkept { pair, issued }) = self.unkept.remove(&name)
            {
                self.issued(&name, &pair, &issued);
            }
        }
        if let Err(e) = tried.and_then(|()| self.ledger.rewrite(self.manager.book())) {
            return self.disk_fails(&e);
        }
        self.prepared = true;
        self.disk_again = None;
        self.manager.can_write(true);
        self.teller.state("disk", None, "certificates can be kept again; orders go on");
    }

    fn order(&mut self, wanted: Wanted, replaces: bool) {
        let Some(source) = &self.source else { return self.manager.not_sent(&wanted.name) };
        let name = wanted.name.clone();
        let task = fly(Arc::clone(&source.issuer), Arc::clone(&self.shared), wanted, replaces);
        let id = self.tasks.spawn(task).id();
        self.under_way.insert(id, (name, true));
    }

    fn ask(&mut self, name: &str) {
        let Some(source) = &self.source else { return self.manager.window(name, None, 0) };
        let (issuer, store, name) = (Arc::clone(&source.issuer), self.shared.store.clone(), Box::<str>::from(name));
        let asked = name.clone();
        let task = async move {
            let named = asked.clone();
            let pair = tokio::task::spawn_blocking(move || store.load(&named)).await;
            let window = match pair {
                Ok(Ok(pair)) => tokio::time::timeout(ASKING, issuer.window(pair.leaf())).await.ok().flatten(),
                // It is found out in a handshake.
                Ok(Err(_)) | Err(_) => None,
            };
            Done::Asked(asked, window)
        };
        let id = self.tasks.spawn(task).id();
        self.under_way.insert(id, (name, false));
    }

    fn done(&mut self, done: Result<(Id, Done), tokio::task::JoinError>) {
        match done {
            Ok((id, Done::Order(name, Ok((pair, issued))))) => {
                self.under_way.remove(&id);
                self.keep(name, pair, issued);
            }
            Ok((id, Done::Order(name, Err(failure)))) => {
                self.under_way.remove(&id);
                self.failed(&name, failure);
            }
            Ok((id, Done::Asked(name, window))) => {
                self.under_way.remove(&id);
                self.asked(&name, window);
            }
            // It panicked, which is on standard error.
            Err(e) => match self.under_way.remove(&e.id()) {
                Some((name, true)) => {
                    let said = "the order failed in a way that nobody expected".to_owned();
                    self.failed(&name, Failure { cause: Cause::Ours, said, retry_after: None });
                }
                Some((name, false)) => self.asked(&name, None),
                None => {}
            },
        }
    }

    /// A certificate was issued: it serves at once, and is kept.
    fn keep(&mut self, name: Box<str>, pair: Pair, issued: Issued) {
        if let Some(slot) = self.shared.slots.get(&name) {
            slot.until.store(pair.validity.until, Ordering::Relaxed);
            self.shared.keep_hot(&name, &pair, &slot.used);
            slot.stands(Standing::Here);
        }
        match self.shared.store.keep(&name, &issued.chain, &issued.key) {
            Ok(()) => self.issued(&name, &pair, &issued),
            Err(e) => {
                // Its order is not over until it is kept: nothing else is ordered meanwhile.
                self.unkept.insert(name, Unkept { pair, issued });
                self.disk_fails(&e);
            }
        }
    }

    fn issued(&mut self, name: &str, pair: &Pair, issued: &Issued) {
        let validity = pair.validity;
        let by = Arc::clone(&issued.by);
        let issue = Issue { by: Arc::clone(&by), from: validity.from, until: validity.until, window: None };
        let renews = self.manager.issued(name, issue);
        self.shared.tally.issued(renews);
        self.teller.issued(name, renews, &by, validity.until, now_ms());
    }

    fn failed(&mut self, name: &str, failure: Failure) {
        self.shared.tally.failed(failure.cause);
        let said = failure.said.clone();
        let next = self.manager.failed(name, failure);
        let served = self.manager.book().entry(name).and_then(|entry| entry.issue.as_ref()).map(|issue| issue.until);
        self.teller.failed(name, &said, next, served, now_ms());
    }

    fn asked(&mut self, name: &str, window: Option<Window>) {
        let ms = |at: SystemTime| {
            u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
        };
        let again = window.as_ref().map_or(0, |w| u64::try_from(w.ask_again.as_millis()).unwrap_or(u64::MAX));
        self.manager.window(name, window.map(|window| (ms(window.start), ms(window.end))), again);
    }

    fn stands(&mut self, name: &str, standing: Standing) {
        if standing == Standing::Unwanted {
            if !self.shared.inbox.wants(name) {
                if let Some(slot) = self.shared.slots.get(name) {
                    slot.stands(standing);
                }
                self.shared.slots.remove(name);
                self.shared.cool(name);
            }
            return;
        }
        let slot = self.shared.slots.of(name);
        let until = self.manager.book().entry(name).and_then(|entry| entry.issue.as_ref()).map(|issue| issue.until);
        slot.until.store(until.unwrap_or(0), Ordering::Relaxed);
        slot.stands(standing);
    }
}

/// Does one order.
async fn fly(issuer: Arc<dyn Issuer>, shared: Arc<Certificates>, wanted: Wanted, replaces: bool) -> Done {
    let Wanted { name, via, .. } = wanted;
    let replaces = if replaces {
        let (store, named) = (shared.store.clone(), name.clone());
        let loaded = tokio::task::spawn_blocking(move || store.load(&named)).await;
        loaded.ok().and_then(Result::ok).map(|pair| pair.leaf().clone())
    } else {
        None
    };
    let order = Order { name, via, replaces };
    let issued = tokio::time::timeout(LONGEST, issuer.issue(&order)).await.unwrap_or_else(|_| {
        Err(IssueError::new(Cause::Timeout, "the authority did not come to an end with the order"))
    });
    let read = |issued: Issued| match Pair::read(issued.chain.as_bytes(), issued.key.as_bytes(), &order.name) {
        Ok(pair) => Ok((pair, issued)),
        Err(why) => {
            let said = format!("what the authority issued is of no use: {why}");
            Err(Failure { cause: Cause::Ours, said, retry_after: None })
        }
    };
    Done::Order(order.name.clone(), issued.map_err(failure).and_then(read))
}

fn failure(error: IssueError) -> Failure {
    let retry_after = error.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    Failure { cause: error.kind, said: error.said, retry_after }
}

/// Where the ledger and the store tell different things, the store is right.
pub(crate) fn differs(
    book: &super::book::Book,
    there: &HashSet<Box<str>>,
    load: impl Fn(&str) -> Result<Pair, LoadError>,
) -> Vec<Record> {
    let mut records = Vec::new();
    for name in there {
        let entry = book.entry(name);
        let known = entry.is_some_and(|entry| entry.issue.is_some() && entry.under_way.is_none());
        if known {
            continue;
        }
        // Not known, or replaced by an order whose end was not written down. What cannot be read now is found
        // out in a handshake.
        let Ok(pair) = load(name) else { continue };
        let before = entry.and_then(|entry| entry.issue.as_ref());
        if before.is_some_and(|issue| issue.validity() == pair.validity) {
            continue;
        }
        let by = before.map_or_else(|| Arc::from(""), |issue| Arc::clone(&issue.by));
        let issue = Issue { by, from: pair.validity.from, until: pair.validity.until, window: None };
        let at = entry.map_or(pair.validity.from * 1_000, |entry| entry.at);
        records.push(Record::Issued { at, name: (**name).into(), issue, elsewhere: false });
    }
    for (name, entry) in &book.names {
        if entry.issue.is_some() && !there.contains(&**name) {
            let entry = super::book::Entry { issue: None, ..entry.clone() };
            records.push(Record::Known { name: Arc::clone(name), entry });
        }
    }
    records
}

fn trouble(e: &io::Error) -> String {
    format!(
        "certificates cannot be kept: {e}; those that there are serve on, and nothing is ordered; it is tried again"
    )
}
