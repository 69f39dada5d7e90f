//! Patterns as they are written.

use crate::tree::ir::{Class, HostHead, HostPattern, PathPattern, Segment};

/// `*.example.com`; captures without their names.
pub(crate) fn host(pattern: &HostPattern) -> String {
    let head = match &pattern.head {
        HostHead::Many => "**".to_owned(),
        HostHead::Label(Segment::Capture { prefix, class: Class::Any, suffix })
            if prefix.is_empty() && suffix.is_empty() =>
        {
            "*".to_owned()
        }
        HostHead::Label(label) => segment(label),
    };
    if pattern.parent.is_empty() { head } else { format!("{head}.{}", pattern.parent) }
}

/// `/u/{_}/*`; captures without their names.
pub(crate) fn path(pattern: &PathPattern) -> String {
    let mut out: String = pattern.segments.iter().map(|s| format!("/{}", segment(s))).collect();
    if pattern.splat {
        out.push_str("/*");
    } else if out.is_empty() {
        out.push('/');
    }
    out
}

fn segment(s: &Segment) -> String {
    match s {
        Segment::Lit(text) => text.to_string(),
        Segment::Capture { prefix, class, suffix } => {
            let class = match class {
                Class::Any => String::new(),
                Class::Set(all) => format!(":{}", all.join("|")),
                Class::Int => ":int".to_owned(),
                Class::Uuid => ":uuid".to_owned(),
                Class::Regex(regex) => format!(":\"{}\"", regex.source()),
            };
            format!("{prefix}{{_{class}}}{suffix}")
        }
    }
}
