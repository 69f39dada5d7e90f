//! JUnit's XML, which CI systems read: a suite for each file, a case for each test and proof.

use super::report::{Case, Report};
use std::fmt::Write;

/// The report as a document.
pub(super) fn junit(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = report.cases.len() + report.refused.len();
    let failures = report.failed();
    let _ = writeln!(out, "<testsuites tests=\"{all}\" failures=\"{failures}\" errors=\"{}\">", report.refused.len());
    let mut rest = report.cases.as_slice();
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|case| case.file != first.file).unwrap_or(rest.len());
        let (suite, after) = rest.split_at(end);
        rest = after;
        let failed = suite.iter().filter(|case| !case.ok).count();
        let name = escaped(&first.file);
        let _ =
            writeln!(out, "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\">", suite.len());
        for case in suite {
            test_case(&mut out, case);
        }
        out.push_str("  </testsuite>\n");
    }
    for refused in &report.refused {
        let (name, why) = (escaped(&refused.file), escaped(&refused.why));
        let _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"1\" failures=\"0\" errors=\"1\">");
        let _ = writeln!(out, "    <testcase classname=\"{name}\" name=\"loads\">");
        let _ = writeln!(out, "      <error message=\"{why}\">{}</error>", escaped(&refused.place));
        out.push_str("    </testcase>\n  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn test_case(out: &mut String, case: &Case) {
    let (file, title) = (escaped(&case.file), escaped(&case.title));
    if case.ok {
        let _ = writeln!(out, "    <testcase classname=\"{file}\" name=\"{title}\"/>");
        return;
    }
    let _ = writeln!(out, "    <testcase classname=\"{file}\" name=\"{title}\">");
    for failure in &case.failures {
        let message = escaped(&format!("expected {}, got {}", failure.expected, failure.got));
        let mut text = format!("{}\n", failure.place);
        if let Some(request) = &failure.request {
            let _ = writeln!(text, "{}  [{}]", request.shown, request.place);
        }
        for line in &failure.trace {
            let place = line.place.as_ref().map(|place| format!("  [{place}]")).unwrap_or_default();
            let _ = writeln!(text, "{}{place}", line.text);
        }
        let _ = writeln!(out, "      <failure message=\"{message}\">{}</failure>", escaped(&text));
    }
    out.push_str("    </testcase>\n");
}

/// Text as XML takes it; control characters, which it does not, are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_does_not_take_is_escaped() {
        assert_eq!(escaped("a<b & \"c\" \u{1b}"), "a&lt;b &amp; &quot;c&quot; \u{fffd}");
    }
}
