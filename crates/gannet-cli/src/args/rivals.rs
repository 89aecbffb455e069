//! Which options speak against one another, and which are nothing without another: a setting gives way to what the
//! command line says instead of it, and rests where it has nothing to work on. Data; two options on one command line
//! are judged by the plan.

/// Groups of options of which one is meant; those of one part go together.
const RIVALS: [&[&[&str]]; 9] = [
    &[&["http1.1"], &["http2"]],
    &[&["quiet"], &["verbose"], &["silent"]],
    &[&["output"], &["remote-name"], &["directory-prefix"], &["no-body"]],
    &[&["data", "data-raw", "data-binary", "data-urlencode"], &["json"], &["form"]],
    &[&["no-location"], &["location", "max-redirs"]],
    &[&["dry-run"], &["curl"]],
    &[&["progress"], &["progress-bar"]],
    &[&["tlsv1.2"], &["tlsv1.3"]],
    &[&["input"], &["url"]],
];

/// An option, and those of which it needs one.
const NEEDS: [(&str, &[&str]); 13] = [
    ("if-exists", &["output", "remote-name", "directory-prefix"]),
    ("remote-time", &["output", "remote-name", "directory-prefix"]),
    ("create-dirs", &["output", "remote-name"]),
    ("output-dir", &["output", "remote-name"]),
    ("name", &["directory-prefix"]),
    ("report-order", &["report"]),
    ("report-attempts", &["report"]),
    ("strict", &["input"]),
    ("journal", &["output", "remote-name", "directory-prefix", "no-body"]),
    ("durability", &["output", "remote-name", "directory-prefix", "journal"]),
    ("new-job", &["output", "remote-name", "directory-prefix", "journal"]),
    ("input-format", &["input"]),
    ("url-column", &["input"]),
];

/// Whether one says something else than the other.
pub(super) fn are_rivals(one: &str, other: &str) -> bool {
    RIVALS.iter().any(|group| {
        let part = |name: &str| group.iter().position(|names| names.contains(&name));
        part(one).zip(part(other)).is_some_and(|(one, other)| one != other)
    })
}

/// Whether an option has something to work on among these.
pub(super) fn has_what_it_needs(name: &str, given: &[&str]) -> bool {
    NEEDS.iter().all(|(needy, needed)| *needy != name || needed.iter().any(|needed| given.contains(needed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rivals_are_those_of_other_parts_of_a_group() {
        assert!(are_rivals("output", "directory-prefix") && are_rivals("json", "data-raw"));
        assert!(!are_rivals("data", "data-raw") && !are_rivals("output", "output") && !are_rivals("a", "b"));
    }

    #[test]
    fn what_needs_nothing_has_it() {
        assert!(has_what_it_needs("retry", &[]) && !has_what_it_needs("name", &["output"]));
        assert!(has_what_it_needs("if-exists", &["output"]));
    }

    #[test]
    fn each_name_is_an_option() {
        let vocabulary = super::super::vocabulary_of("get");
        let rivals = RIVALS.iter().flat_map(|group| group.iter().flat_map(|part| part.iter()));
        let needs = NEEDS.iter().flat_map(|(name, needed)| needed.iter().chain([name]));
        for name in rivals.chain(needs).filter(|name| **name != "url") {
            assert!(vocabulary.long(name).is_some_and(|known| known.long == *name), "{name}");
        }
    }
}
