//! Names that another reader may take for the same name.

/// Whether two different names are one to readers that do not tell cases apart: of JSON, those of Go and .NET.
pub(super) fn same_but_case(a: &str, b: &str) -> bool {
    a != b && folded(a).eq(folded(b))
}

/// Upper case first: `ſ` is an `S` there, and the sign of Kelvin a `k` on the way back.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Whether two different names of form fields are one to some reader. PHP drops blanks before a name, ends it at
/// `[` (the field becomes a list) and writes `_` for `.` and blanks; ASP does not tell cases apart.
pub(super) fn same_to_forms(a: &str, b: &str) -> bool {
    a != b && folded(bare(a)).map(plain).eq(folded(bare(b)).map(plain))
}

fn bare(name: &str) -> &str {
    let name = name.trim_start_matches(' ');
    // A bracket at the start is a part of the name.
    let end = name.char_indices().skip(1).find(|(_, c)| *c == '[').map_or(name.len(), |(at, _)| at);
    &name[..end]
}

fn plain(c: char) -> char {
    if matches!(c, '.' | ' ' | '[') { '_' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_other_spellings() {
        for (a, b) in [("role", "Role"), ("role", "ROLE"), ("user", "u\u{17f}er"), ("key", "\u{212a}ey")] {
            assert!(same_but_case(a, b), "{a} {b}");
        }
        assert!(!same_but_case("role", "role"), "it is the name itself");
        assert!(!same_but_case("role", "roles"));
        for (a, b) in
            [("role", "role[]"), ("role", "role[0][x]"), ("role", " role"), ("user_id", "user.id"), ("a_b", "A b")]
        {
            assert!(same_to_forms(a, b), "{a} {b}");
        }
        assert!(!same_to_forms("role", "roles"));
        assert!(!same_to_forms("role", "role"));
    }
}
