//! What the gateway tells about connections: its log lines and its metrics.

use crate::sluice::Sluice;
use crate::wait::{self, PATIENCE};
use crate::wire::Wire;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The lines of the connection log in what a console printed.
pub fn records(console: &[String]) -> Vec<Value> {
    let lines = console.iter().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

impl Sluice {
    /// The lines of its connection log so far.
    pub fn records(&self) -> Vec<Value> {
        records(&self.console())
    }

    /// Waits for the line of a connection.
    ///
    /// # Panics
    ///
    /// When none comes in time.
    #[track_caller]
    pub fn record(&self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let found = wait::within(PATIENCE, || self.records().into_iter().find(|record| wanted(record)));
        found.unwrap_or_else(|| panic!("no line in the log of {what}"))
    }

    /// Waits for the line of the connection that a client made from an address.
    #[track_caller]
    pub fn record_of(&self, client: SocketAddr) -> Value {
        let client = client.to_string();
        self.record(&client, |record| record["client"] == client.as_str())
    }
}

/// A sample's labels.
pub type Labels = BTreeMap<String, String>;

/// The metrics at one time.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: Vec<(String, Labels, f64)>,
}

impl Metrics {
    /// Asks for them.
    ///
    /// # Panics
    ///
    /// When the answer is none, or no text that Prometheus reads.
    #[track_caller]
    pub fn of(addr: SocketAddr) -> Self {
        let mut wire = Wire::connect(addr);
        wire.send(format!("GET /metrics HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"));
        let reply = wire.reply();
        assert_eq!(reply.status, 200, "{reply:?}");
        let kind = reply.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain"), "{kind}");
        Self::parse(&reply.text())
    }

    /// Reads the text form.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let samples = lines.map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line:?}")));
        Self { samples: samples.collect() }
    }

    /// The sum of a metric over all samples that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name, labels).into_iter().fold(0.0, |sum, (_, value)| sum + value)
    }

    /// The samples of a metric that have these labels.
    pub fn samples(&self, name: &str, labels: &[(&str, &str)]) -> Vec<(&Labels, f64)> {
        let has = |found: &Labels| labels.iter().all(|(name, value)| found.get(*name).is_some_and(|v| v == value));
        let wanted = self.samples.iter().filter(|(n, l, _)| n == name && has(l));
        wanted.map(|(_, labels, value)| (labels, *value)).collect()
    }

    /// The names of all metrics.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.samples.iter().map(|(name, _, _)| name.as_str()).collect();
        names.dedup();
        names
    }
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Labels::new();
    let mut rest = rest.trim_start();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, quoted) = rest.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next()? {
                    (_, '\\') => value.push(match chars.next()?.1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (at, '"') => break at,
                    (_, other) => value.push(other),
                }
            };
            labels.insert(label.trim().to_owned(), value);
            rest = quoted[end + 1..].trim_start_matches(',').trim_start();
        }
        rest = &rest[1..];
    }
    let number = rest.split_whitespace().next()?.parse().ok()?;
    Some((name.to_owned(), labels, number))
}

#[test]
fn samples_are_read() {
    let metrics = Metrics::parse("# TYPE a counter\na 3\nb{x=\"1\",y=\"q\\\"}\"} 4\nb{x=\"2\",y=\"\"} 5.5\n");
    assert_eq!(metrics.names(), ["a", "b"]);
    assert_eq!(metrics.sum("b", &[]).to_string(), "9.5");
    assert_eq!(metrics.sum("b", &[("y", "q\"}")]).to_string(), "4");
}
