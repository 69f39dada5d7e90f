//! Counts as text: the Prometheus format, and OpenMetrics for those that ask for it.
//!
//! Our counts are sharded by worker and kept where they happen. A metrics library would hold them a
//! second time, behind a lock of its own; what is left for it is these few lines.

use std::fmt::{Display, Write};

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows. Its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Format {
    /// By an `Accept` header.
    #[must_use]
    pub fn of(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// An exposition that is being written.
#[derive(Debug)]
pub struct Text {
    format: Format,
    out: String,
}

/// One family of it.
#[derive(Debug)]
pub struct Family<'t> {
    text: &'t mut Text,
    name: &'static str,
    kind: Kind,
}

impl Text {
    /// Nothing yet.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, out: String::with_capacity(16 * 1024) }
    }

    /// Begins a family: its name without `_total`, and what it counts, with its unit.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // In OpenMetrics the family's name is that of its samples without `_total`.
        let suffix = if self.format == Format::Prometheus { suffix(kind) } else { "" };
        // Writing to a `String` cannot fail.
        let _ = write!(self.out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {word}\n");
        Family { text: self, name, kind }
    }

    /// The whole of it.
    #[must_use]
    pub fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

fn suffix(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "_total",
        Kind::Gauge => "",
    }
}

impl Family<'_> {
    /// Adds a number, with its labels.
    pub fn add(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let out = &mut self.text.out;
        out.push_str(self.name);
        out.push_str(suffix(self.kind));
        for (n, (name, value)) in labels.iter().enumerate() {
            let _ = write!(out, "{}{name}=\"", if n == 0 { '{' } else { ',' });
            for c in value.chars() {
                match c {
                    '\\' => out.push_str("\\\\"),
                    '"' => out.push_str("\\\""),
                    '\n' => out.push_str("\\n"),
                    c => out.push(c),
                }
            }
            out.push('"');
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {value}");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: Format) -> String {
        let mut text = Text::new(format);
        text.family("sluice_a", Kind::Counter, "What a counts.").add(&[("route", "tcp \"x\"\\\n"), ("b", "c")], 7_u64);
        text.family("sluice_b", Kind::Gauge, "What b is.").add(&[], 1.5);
        text.end()
    }

    #[test]
    fn both_formats_name_counters_as_they_want() {
        let prometheus = "# HELP sluice_a_total What a counts.\n# TYPE sluice_a_total counter\n\
                          sluice_a_total{route=\"tcp \\\"x\\\"\\\\\\n\",b=\"c\"} 7\n\
                          # HELP sluice_b What b is.\n# TYPE sluice_b gauge\nsluice_b 1.5\n";
        assert_eq!(text(Format::Prometheus), prometheus);
        let open = prometheus.replacen("HELP sluice_a_total", "HELP sluice_a", 1);
        let open = open.replacen("TYPE sluice_a_total", "TYPE sluice_a", 1) + "# EOF\n";
        assert_eq!(text(Format::OpenMetrics), open);
        assert_eq!(Format::of("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), Format::OpenMetrics);
        assert_eq!(Format::of("*/*"), Format::Prometheus);
    }
}
