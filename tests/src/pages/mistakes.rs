//! `docs/mistakes.md`: mistakes that people make, each with what the program prints about it.
//!
//! Each is a route file in `docs/mistakes/`. Its first comment is the title, then the text, then a command where
//! that is not `sluice lint`; what follows the first empty line is the file that is asked about.

use std::fmt::Write;
use std::path::Path;

/// A mistake.
#[derive(Debug)]
pub struct Mistake {
    /// In a few words.
    pub title: String,
    /// What people expect, and what happens.
    pub text: String,
    /// `sluice lint`, or another command.
    pub command: String,
    /// The file, below `sites`.
    pub path: &'static str,
    /// What stands in it.
    pub route: String,
}

/// Every mistake, in the order of the files.
///
/// # Panics
/// A file has no title, or no route.
pub fn all(root: &Path) -> Vec<Mistake> {
    let entries = std::fs::read_dir(root.join("docs/mistakes")).expect("docs/mistakes is there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a directory is read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "route"));
    files.sort();
    let read = |file: &std::path::PathBuf| read(&std::fs::read_to_string(file).expect("a file is read"));
    files.iter().map(read).collect()
}

fn read(text: &str) -> Mistake {
    let (head, route) = text.split_once("\n\n").expect("a blank line ends the text");
    let mut lines = head.lines().map(|line| line.trim_start_matches('#').trim());
    let title = lines.next().expect("the first line is the title").to_owned();
    let (commands, words): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("$ "));
    let command = commands.first().map_or("sluice lint", |line| &line[2..]).to_owned();
    let path = if route.contains("\ngateway {") || route.starts_with("gateway {") { "gateway" } else { "shop" };
    let path = if path == "gateway" { "sites/gateway.route" } else { "sites/shop.route" };
    Mistake { title, text: words.join("\n").trim().to_owned(), command, path, route: route.to_owned() }
}

/// The page.
pub fn page(root: &Path) -> String {
    let mistakes = all(root);
    let mut out = String::from(
        "# Mistakes, and what Sluice says\n\n\
         Generated from the files in [mistakes](mistakes) by `tests/generate`, which runs the program on each.\n\n",
    );
    for (n, mistake) in (1..).zip(&mistakes) {
        let anchor: String = mistake.title.to_lowercase().chars().filter_map(in_anchor).collect();
        let _ = writeln!(out, "{n}. [{}](#{n}-{anchor})", mistake.title);
    }
    for (n, mistake) in (1..).zip(&mistakes) {
        let Mistake { title, text, command, path, route } = mistake;
        let said = super::printed(path, route, command);
        let _ = write!(out, "\n## {n}. {title}\n\n{text}\n\n```route\n{}\n```\n\n", route.trim_end());
        let _ = write!(out, "```text\n$ {command}\n{said}```\n");
    }
    out
}

/// As links to headings are made.
fn in_anchor(c: char) -> Option<char> {
    match c {
        ' ' | '-' => Some('-'),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    }
}
