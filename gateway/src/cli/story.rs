//! The lines of a request's way, as `explain` and `test` print them.

use crate::console::Style;
use crate::sites::report::Texts;
use dsl::syntax::span::Loc;
use dsl::tree::tell::Line;

/// A line with the place that says so, and the line below it.
pub(super) fn line(line: &Line, style: Style, texts: &Texts) -> String {
    let status = line.refused.map(|status| format!("{} ", style.red(&status.to_string()))).unwrap_or_default();
    let mut text = line.text.replacen('·', &style.dim("·"), 1);
    if let Some(why) = text.strip_prefix("refused: ") {
        text = format!("{}: {why}", style.red("refused"));
    }
    let more = line.more.iter().map(|more| format!("{:11}{more}\n", "")).collect::<String>();
    format!("{:<11}{status}{text}{}\n{more}", line.label, place(line.loc, style, texts))
}

/// `  [sites/a.route:3]`
pub(super) fn place(loc: Option<Loc>, style: Style, texts: &Texts) -> String {
    loc.map(|loc| format!("  {}", style.dim(&format!("[{}]", texts.line(loc))))).unwrap_or_default()
}
