//! Two texts, line by line, as `diff -u` shows them.

use std::fmt::Write;

/// Lines around a change.
const CONTEXT: usize = 3;

/// More cells than this are not filled: what differs is then shown as one change.
const MOST_CELLS: usize = 16 << 20;

/// What turns one text into the other; empty where they are equal.
pub(super) fn unified(path: &str, old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let (old, new) = (lines(old), lines(new));
    let steps = steps(&old, &new);
    let mut out = format!("--- {path}\n+++ {path}\n");
    for hunk in hunks(&steps) {
        let steps = &steps[hunk];
        let (first_old, first_new) = (steps[0].old, steps[0].new);
        let removed = steps.iter().filter(|s| s.kind != '+').count();
        let added = steps.iter().filter(|s| s.kind != '-').count();
        let _ = writeln!(out, "@@ -{} +{} @@", range(first_old, removed), range(first_new, added));
        for step in steps {
            let line = if step.kind == '+' { new[step.new] } else { old[step.old] };
            out.push(step.kind);
            out.push_str(line);
            if !line.ends_with('\n') {
                out.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    out
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// `3,2`; `3` for one line, and the line before it where there is none.
fn range(first: usize, count: usize) -> String {
    match count {
        0 => format!("{first},0"),
        1 => format!("{}", first + 1),
        _ => format!("{},{count}", first + 1),
    }
}

/// A line that stays, goes or comes, and where both texts are then.
#[derive(Clone, Copy)]
struct Step {
    kind: char,
    old: usize,
    new: usize,
}

/// The longest common subsequence, by its table: files are small, and their ends mostly agree.
fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let end = old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    let mut out: Vec<Step> = (0..start).map(|n| Step { kind: ' ', old: n, new: n }).collect();
    let width = b.len() + 1;
    let mut table = Vec::new();
    if (a.len() + 1).saturating_mul(width) <= MOST_CELLS {
        table = vec![0u32; (a.len() + 1) * width];
        for i in (0..a.len()).rev() {
            for j in (0..b.len()).rev() {
                table[i * width + j] = if a[i] == b[j] {
                    table[(i + 1) * width + j + 1] + 1
                } else {
                    table[(i + 1) * width + j].max(table[i * width + j + 1])
                };
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let at = Step { kind: ' ', old: start + i, new: start + j };
        let same = !table.is_empty() && i < a.len() && j < b.len() && a[i] == b[j];
        let goes =
            i < a.len() && (j == b.len() || table.is_empty() || table[(i + 1) * width + j] >= table[i * width + j + 1]);
        if same {
            out.push(at);
            (i, j) = (i + 1, j + 1);
        } else if goes {
            out.push(Step { kind: '-', ..at });
            i += 1;
        } else {
            out.push(Step { kind: '+', ..at });
            j += 1;
        }
    }
    out.extend((0..end).map(|n| Step { kind: ' ', old: old.len() - end + n, new: new.len() - end + n }));
    out
}

/// Changes with what stands around them; near ones together.
fn hunks(steps: &[Step]) -> Vec<std::ops::Range<usize>> {
    let mut out: Vec<std::ops::Range<usize>> = Vec::new();
    for (n, _) in steps.iter().enumerate().filter(|(_, step)| step.kind != ' ') {
        let range = n.saturating_sub(CONTEXT)..(n + 1 + CONTEXT).min(steps.len());
        match out.last_mut() {
            Some(last) if last.end >= range.start => last.end = range.end,
            _ => out.push(range),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_diff_prints_it() {
        assert_eq!(unified("a", "x\n", "x\n"), "");
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        let new = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\n12\n13\n";
        let expected =
            "--- a\n+++ a\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n@@ -10,3 +10,4 @@\n 10\n 11\n 12\n+13\n";
        assert_eq!(unified("a", old, new), expected);
        assert_eq!(unified("a", "", "x"), "--- a\n+++ a\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n");
        assert_eq!(unified("a", "a\nb\n", "b\n"), "--- a\n+++ a\n@@ -1,2 +1 @@\n-a\n b\n");
    }
}
