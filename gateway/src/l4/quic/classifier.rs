//! Which flow a QUIC datagram belongs to: found by connection ID, else by its hello.
//!
//! A flow is a client's address and the endpoint that its connection lives at. Who comes from another
//! address gets another flow to the same endpoint, with a socket of its own: the upstream sees that the
//! client has moved, and finds out whether it really has (RFC 9000 section 9.3) before it sends much
//! there. Several connections of one client's address to one endpoint may share a flow.

use super::cids::{self, Home, Share};
use super::collector::{Cid, Collected, Collector, Dropped, Offered};
use super::packet::Header;
use super::parameters::max_idle_ms;
use crate::l4::udp::classify::{Classify, Datagram, FlowId, Hello, New, Start, Verdict};
use crate::l4::{End, passthrough};
use crate::listen::hello;
use crate::runtime::counters::Counters;
use crate::snapshot::Snapshot;
use crate::upstream::EndpointHandle;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// IDs that are kept of a flow: a server chooses one while a connection is made, two with a Retry.
const IDS: usize = 8;
/// Flows that were asked for and may begin yet.
const ASKED: usize = 256;
/// What a client sends again is not taken for another connection for so long.
const ASKED_MS: u64 = 500;
/// A connection is kept for a while longer than both sides say: three round trips at least (RFC 9000
/// section 10.1), which may be long.
const SLACK_MS: u64 = 10_000;
/// What follows a short header is no shorter: a tag of 16 bytes, and a number of at least one
/// (RFC 9000 section 10.3 lets nobody tell shorter ones from others).
const SHORTEST: usize = 21;

/// Why a QUIC datagram is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// No QUIC packet, or one that begins no connection and belongs to none.
    Unknown,
    /// It belongs to one of several connections, and nothing tells which.
    Ambiguous,
    /// A version that is not known here.
    Version,
    /// An Initial packet in a datagram of less than 1200 bytes.
    Short,
    /// An Initial packet that does not decrypt, or a hello that is none.
    Malformed,
    /// A hello of more than 16 KB, or in more parts than any.
    TooLong,
    /// A hello that was not whole in time, or made room for others.
    Forgotten,
    /// No passthrough has the name of the hello.
    Unserved,
}

impl Lost {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Unknown,
        Self::Ambiguous,
        Self::Version,
        Self::Short,
        Self::Malformed,
        Self::TooLong,
        Self::Forgotten,
        Self::Unserved,
    ];

    /// The label in counts.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ambiguous => "ambiguous",
            Self::Version => "version",
            Self::Short => "short",
            Self::Malformed => "malformed",
            Self::TooLong => "too-long",
            Self::Forgotten => "forgotten",
            Self::Unserved => "unserved",
        }
    }

    const fn end(self) -> End {
        match self {
            Self::Unknown | Self::Ambiguous | Self::Unserved => End::NoRoute,
            Self::Version | Self::Short | Self::Malformed | Self::TooLong => End::Hello,
            Self::Forgotten => End::HelloTimeout,
        }
    }
}

impl From<Dropped> for Lost {
    fn from(dropped: Dropped) -> Self {
        match dropped {
            Dropped::NotInitial => Self::Unknown,
            Dropped::Version => Self::Version,
            Dropped::Short => Self::Short,
            Dropped::Malformed => Self::Malformed,
            Dropped::TooLong => Self::TooLong,
        }
    }
}

/// A client's address, and the address of ours that it reached.
type Who = (SocketAddr, IpAddr);

/// Tells QUIC datagrams apart that arrive at a worker's socket.
#[derive(Debug)]
pub struct ByConnection {
    listening: SocketAddr,
    counters: Arc<Counters>,
    collector: Collector,
    /// Flows that are here.
    flows: HashMap<FlowId, Flow>,
    /// By their clients: one as a rule.
    clients: HashMap<Who, Vec<FlowId>>,
    /// By the IDs that clients drew, until they use the server's.
    drawn: HashMap<(Who, Cid), FlowId>,
    /// By the IDs that servers chose.
    ids: HashMap<Cid, Arc<Home>>,
    /// How many of [`Self::ids`] have each length.
    lengths: [u32; super::packet::LONGEST_CID + 1],
    asked: VecDeque<Asked>,
    token: u64,
}

#[derive(Debug)]
struct Flow {
    who: Who,
    home: Arc<Home>,
    drawn: Option<Cid>,
    ids: Vec<(Cid, Share)>,
    _there: Share,
}

/// A flow that the engine was asked to begin.
#[derive(Debug)]
struct Asked {
    token: u64,
    who: Who,
    by: By,
    at: u64,
}

#[derive(Debug)]
enum By {
    /// A hello, with the ID that the client drew.
    Hello(Cid, Hello),
    /// A packet of a connection that lives somewhere, with the ID that told so.
    Home(Option<Cid>, Arc<Home>),
}

impl ByConnection {
    /// For a worker's socket on this address.
    #[must_use]
    pub fn new(listening: SocketAddr, counters: Arc<Counters>) -> Self {
        Self {
            listening,
            counters,
            collector: Collector::default(),
            flows: HashMap::new(),
            clients: HashMap::new(),
            drawn: HashMap::new(),
            ids: HashMap::new(),
            lengths: Default::default(),
            asked: VecDeque::new(),
            token: 0,
        }
    }

    fn lost(&self, lost: Lost) -> Verdict {
        self.counters.quic_lost(lost, 1);
        Verdict::Drop(lost.end(), None)
    }

    /// A packet that begins a connection, as far as it can be told.
    fn first(&mut self, snapshot: &Snapshot, datagram: &Datagram<'_>) -> Verdict {
        if self.is_asked(datagram) {
            return Verdict::Hold;
        }
        let offered = self.collector.offer(datagram.client, datagram.bytes, datagram.now);
        self.count_forgotten();
        match offered {
            Offered::Whole(collected) => self.hello(snapshot, datagram, *collected),
            Offered::Kept => Verdict::Hold,
            Offered::Dropped(dropped) => self.lost(dropped.into()),
        }
    }

    /// Whether a flow was asked for by the hello that this is a copy of, and has neither begun nor failed
    /// to: its endpoint's name is being looked up.
    fn is_asked(&self, datagram: &Datagram<'_>) -> bool {
        let Some(Header::Long(long)) = Header::of(datagram.bytes) else { return false };
        let who = who(datagram);
        self.asked.iter().any(|asked| {
            let same = matches!(&asked.by, By::Hello(drawn, _) if drawn.bytes() == long.to);
            same && asked.who == who && datagram.now < asked.at + ASKED_MS
        })
    }

    fn hello(&mut self, snapshot: &Snapshot, datagram: &Datagram<'_>, collected: Collected) -> Verdict {
        let Ok(read) = hello::open(&collected.hello) else { return self.lost(Lost::Malformed) };
        let said = read.accepted.client_hello();
        let sni = passthrough::name(&said);
        let Some(route) = sni.as_deref().and_then(|name| passthrough::route(snapshot, name)) else {
            return self.lost(Lost::Unserved);
        };
        let Some(alpn) = passthrough::protocols(&said) else { return self.lost(Lost::Malformed) };
        // The hello is one record; who is slow has a while more.
        let idle_ms = collected.hello.get(5..).and_then(max_idle_ms).map(|ms| ms.saturating_add(SLACK_MS));
        let hello = Hello { sni, alpn, idle_ms };
        let token = self.ask(who(datagram), By::Hello(collected.drawn, hello.clone()), datagram.now);
        Verdict::New(New { route, hello: Some(Box::new(hello)), before: collected.before, to: None, token })
    }

    /// A packet of a connection that lives somewhere.
    fn at_home(&mut self, snapshot: &Snapshot, datagram: &Datagram<'_>, id: Option<Cid>, home: Arc<Home>) -> Verdict {
        let who = who(datagram);
        let mine = || self.clients.get(&who).into_iter().flatten().copied();
        // Of two flows to one endpoint the one by which the ID was learned: a server does not take it
        // for the same client while the connection is being made.
        if let Some(flow) = mine().find(|flow| id.is_some_and(|id| self.has(*flow, &id))) {
            return Verdict::Flow(flow);
        }
        if let Some(flow) = mine().find(|flow| self.lives_at(*flow, &home.endpoint)) {
            return Verdict::Flow(flow);
        }
        let name = home.hello.sni.as_deref();
        let Some(route) = name.and_then(|name| passthrough::route(snapshot, name)) else {
            return self.lost(Lost::Unserved);
        };
        let hello = Some(Box::new(home.hello.clone()));
        let to = Some(Arc::clone(&home.endpoint));
        let token = self.ask(who, By::Home(id, home), datagram.now);
        Verdict::New(New { route, hello, before: Vec::new(), to, token })
    }

    fn lives_at(&self, flow: FlowId, endpoint: &Arc<EndpointHandle>) -> bool {
        self.flows.get(&flow).is_some_and(|flow| Arc::ptr_eq(&flow.home.endpoint, endpoint))
    }

    fn has(&self, flow: FlowId, id: &Cid) -> bool {
        self.flows.get(&flow).is_some_and(|flow| flow.ids.iter().any(|(known, _)| known == id))
    }

    fn ask(&mut self, who: Who, by: By, at: u64) -> u64 {
        self.token += 1;
        if self.asked.len() >= ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back(Asked { token: self.token, who, by, at });
        self.token
    }

    /// The longest ID that a short header's rest begins with, among those that this worker knows.
    fn of_short(&self, rest: &[u8]) -> Option<(Cid, Arc<Home>)> {
        let mut lengths = self.lengths.iter().enumerate().rev().filter(|(_, count)| **count > 0);
        lengths.find_map(|(length, _)| {
            let id = Cid::of(rest.get(..length)?)?;
            Some((id, Arc::clone(self.ids.get(&id)?)))
        })
    }

    /// A packet without the long header.
    fn short(&mut self, snapshot: &Snapshot, datagram: &Datagram<'_>, rest: &[u8]) -> Verdict {
        if datagram.bytes.len() < SHORTEST {
            return self.lost(Lost::Unknown);
        }
        // What another worker knows comes before the address: a client that moved may have come here with
        // one of its connections only.
        if let Some((id, home)) = self.of_short(rest).or_else(|| cids::shared().of_short(self.listening, rest)) {
            return self.at_home(snapshot, datagram, Some(id), home);
        }
        // An ID that was told inside the encryption, of a client that is known by its address.
        if let Some(flows) = self.clients.get(&who(datagram))
            && let [first, others @ ..] = &flows[..]
            && let Some(flow) = self.flows.get(first)
        {
            let together = others.iter().all(|other| self.lives_at(*other, &flow.home.endpoint));
            return if together { Verdict::Flow(*first) } else { self.lost(Lost::Ambiguous) };
        }
        match cids::shared().only(self.listening, datagram.client.ip()) {
            Some(home) => self.at_home(snapshot, datagram, None, home),
            None => self.lost(Lost::Unknown),
        }
    }

    fn learn(&mut self, flow: FlowId, id: Cid) {
        let Some(it) = self.flows.get_mut(&flow) else { return };
        if it.ids.len() >= IDS || it.ids.iter().any(|(known, _)| *known == id) {
            return;
        }
        let Some(share) = cids::shared().learn(self.listening, id, &it.home) else { return };
        it.ids.push((id, share));
        if self.ids.insert(id, Arc::clone(&it.home)).is_none() {
            self.lengths[id.bytes().len()] += 1;
        }
    }

    fn count_forgotten(&mut self) {
        let forgotten = self.collector.forgotten();
        if forgotten > 0 {
            self.counters.quic_lost(Lost::Forgotten, forgotten);
        }
    }
}

fn who(datagram: &Datagram<'_>) -> Who {
    (datagram.client, datagram.local.ip())
}

impl Classify for ByConnection {
    const EACH: bool = true;
    const MOVES: bool = false;

    fn classify(&mut self, snapshot: &Snapshot, datagram: &Datagram<'_>, _: Option<FlowId>) -> Verdict {
        let long = match Header::of(datagram.bytes) {
            Some(Header::Long(long)) => long,
            Some(Header::Short(rest)) => return self.short(snapshot, datagram, rest),
            None => return self.lost(Lost::Unknown),
        };
        // Lengths were looked at with the header.
        let Some(to) = Cid::of(long.to) else { return self.lost(Lost::Unknown) };
        if let Some(flow) = self.drawn.get(&(who(datagram), to)) {
            return Verdict::Flow(*flow);
        }
        let home = self.ids.get(&to).map(Arc::clone).or_else(|| cids::shared().find(self.listening, &to));
        match home {
            Some(home) => self.at_home(snapshot, datagram, Some(to), home),
            None => self.first(snapshot, datagram),
        }
    }

    fn began(&mut self, flow: FlowId, start: Start<'_>) {
        let Some(at) = self.asked.iter().rposition(|asked| asked.token == start.token) else { return };
        let Some(Asked { who, by, .. }) = self.asked.remove(at) else { return };
        let home_of = |hello| Arc::new(Home { endpoint: Arc::clone(start.endpoint), hello });
        let (home, drawn, id) = match by {
            By::Hello(drawn, hello) => (home_of(hello), Some(drawn), None),
            By::Home(id, home) if Arc::ptr_eq(&home.endpoint, start.endpoint) => (home, None, id),
            By::Home(_, home) => (home_of(home.hello.clone()), None, None),
        };
        if let Some(drawn) = drawn {
            self.drawn.insert((who, drawn), flow);
        }
        self.clients.entry(who).or_default().push(flow);
        let there = cids::shared().is_at(self.listening, who.0.ip(), &home);
        self.flows.insert(flow, Flow { who, home, drawn, ids: Vec::new(), _there: there });
        if let Some(id) = id {
            // Known for as long as this flow lasts, too.
            self.learn(flow, id);
        }
    }

    fn answered(&mut self, flow: FlowId, bytes: &[u8]) {
        if let Some(Header::Long(long)) = Header::of(bytes)
            && let Some(id) = Cid::of(long.from)
        {
            self.learn(flow, id);
        }
    }

    fn ended(&mut self, flow: FlowId) {
        let Some(ended) = self.flows.remove(&flow) else { return };
        if let Some(drawn) = ended.drawn {
            self.drawn.remove(&(ended.who, drawn));
        }
        if let Some(flows) = self.clients.get_mut(&ended.who) {
            flows.retain(|other| *other != flow);
            if flows.is_empty() {
                self.clients.remove(&ended.who);
            }
        }
        for (id, share) in ended.ids {
            drop(share);
            // Others here may have come to know it by this flow and go on.
            if cids::shared().find(self.listening, &id).is_none() && self.ids.remove(&id).is_some() {
                self.lengths[id.bytes().len()] -= 1;
            }
        }
    }

    fn tick(&mut self, now: u64) {
        self.collector.expire(now);
        self.count_forgotten();
    }

    fn is_idle(&self) -> bool {
        self.collector.is_empty()
    }
}

#[cfg(test)]
#[path = "classifier_tests.rs"]
mod tests;
