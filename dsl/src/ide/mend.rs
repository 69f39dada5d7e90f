//! A file with what does not parse left out.

use crate::syntax::scan;
use crate::syntax::span::FileId;

/// Passes: what is left out can bring something else to light.
const PASSES: usize = 12;

/// The text with its broken statements blanked out, byte for byte as long; `None` where everything
/// parses. What cannot be mended so stays, and its item is missing.
pub(super) fn mended(file: FileId, text: &str) -> Option<String> {
    let mut out: Option<String> = None;
    for _ in 0..PASSES {
        let now = out.as_deref().unwrap_or(text);
        let parsed = crate::syntax::parse(file, now);
        if parsed.diagnostics.is_empty() {
            break;
        }
        let found = scan::scan(file, now);
        let mut bytes = now.as_bytes().to_vec();
        for diagnostic in &parsed.diagnostics {
            let at = (diagnostic.primary.loc.span.start as usize).min(now.len());
            let start = now[..at].rfind('\n').map_or(0, |n| n + 1);
            let mut end = now[at..].find('\n').map_or(now.len(), |n| at + n);
            let line = &now[start..end];
            let of_an_item = line.starts_with(|c: char| !c.is_ascii_whitespace() && c != '}');
            if of_an_item {
                // Its head is broken: the whole item goes, or else its statements would be items.
                end = found.items.iter().find(|item| item.start <= at && at <= item.end).map_or(end, |item| item.end);
            } else if line.trim_end().ends_with(" {") {
                // With its block.
                let open = start + line.trim_end().len() - 1;
                end = found
                    .blocks
                    .iter()
                    .find(|(at, _)| *at == open)
                    .map_or(end, |(_, close)| (close + 1).min(now.len()));
            }
            for byte in bytes[start..end].iter_mut().filter(|byte| **byte != b'\n') {
                *byte = b' ';
            }
        }
        let Ok(next) = String::from_utf8(bytes) else { break };
        if next == now {
            break;
        }
        out = Some(next);
    }
    out
}
