//! Columns: arrows, `=` and the comments behind neighbouring lines.

use super::block::Entry;
use super::layout::Line;
use super::tree::Run;

/// What is wider than this on the left of a column stands for itself, and its neighbours with it.
const LEFT: usize = 60;

/// A comment behind a line that is wider than this stands for itself.
const BEHIND: usize = 90;

/// Aligns the columns of neighbouring statements of a kind. Comments between them do not part them,
/// blank lines do.
pub(super) fn columns(entries: &mut [Entry]) {
    let mut run: Vec<usize> = Vec::new();
    let mut kind = Run::Alone;
    for at in 0..entries.len() {
        let this = match &entries[at] {
            Entry::Comment(_) => continue,
            Entry::Statement { lines, run } if *run != Run::Alone && first_column(&lines[0]) <= LEFT => *run,
            Entry::Statement { .. } | Entry::Blank | Entry::AsIs { .. } => Run::Alone,
        };
        if this != kind {
            pad(entries, &run);
            run.clear();
            kind = this;
        }
        if this != Run::Alone {
            run.push(at);
        }
    }
    pad(entries, &run);
}

fn first_column(line: &Line) -> usize {
    line.columns.first().map_or(0, |at| line.text[..*at].chars().count())
}

fn pad(entries: &mut [Entry], run: &[usize]) {
    if run.len() < 2 {
        return;
    }
    let mut table: Vec<(usize, Vec<String>)> = Vec::new();
    for at in run {
        if let Entry::Statement { lines, .. } = &entries[*at] {
            table.push((*at, cells(&lines[0])));
        }
    }
    let columns = table.iter().map(|(_, cells)| cells.len()).max().unwrap_or_default();
    for column in 0..columns {
        // The last cell of a line pushes nothing.
        let wide =
            table.iter().filter(|(_, cells)| cells.len() > column + 1).map(|(_, cells)| width(&cells[column])).max();
        for (_, cells) in &mut table {
            if cells.len() > column + 1 {
                let missing = wide.unwrap_or_default() - width(&cells[column]);
                cells[column].extend(std::iter::repeat_n(' ', missing));
            }
        }
    }
    for (at, cells) in table {
        if let Entry::Statement { lines, .. } = &mut entries[at] {
            lines[0].text = cells.join(" ");
        }
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn cells(line: &Line) -> Vec<String> {
    let mut out = Vec::new();
    let mut from = 0;
    for at in &line.columns {
        out.push(line.text[from..*at].trim_end().to_owned());
        from = *at;
    }
    out.push(line.text[from..].to_owned());
    out
}

/// Puts the comments behind neighbouring lines of a level into one column, two blanks behind the
/// longest line.
pub(super) fn comments(lines: &mut [Line]) {
    let mut from = 0;
    while from < lines.len() {
        let joins = |line: &Line| {
            line.comment.is_some()
                && line.width() <= BEHIND
                && !line.text.ends_with('{')
                && line.indent == lines[from].indent
        };
        let count = lines[from..].iter().take_while(|line| joins(line)).count().max(1);
        let run = &mut lines[from..from + count];
        let wide = run.iter().map(Line::width).max().unwrap_or_default();
        for line in run.iter_mut().filter(|line| line.comment.is_some()) {
            let missing = wide - line.width() + 2;
            line.text.extend(std::iter::repeat_n(' ', missing));
        }
        from += count;
    }
}
