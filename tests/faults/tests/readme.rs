//! The README's table of faults is that of docs/faults.md, shorter.

use std::fs;

use millrace_harness::repo;

#[test]
fn the_readme_says_what_the_docs_say_was_seen() {
    let read = |name: &str| fs::read_to_string(repo::root().join(name)).unwrap();
    let (readme, docs) = (read("README.md"), read("docs/faults.md"));
    let section = readme.split("## What a fault costs").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| fault"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 10, "{} faults", rows.len());
    for row in rows {
        let start = format!("    {}  ", row[0]);
        let line = docs.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("no line {start:?} in docs/faults.md"));
        // sent, unlogged, lost, doubled, discont., silence, before, gap s, next s, …
        let figures: Vec<&str> = line[start.len()..].split_whitespace().collect();
        let count = |column: usize| figures[column].parse::<u32>().unwrap();
        let lost = (count(1) + count(2)).to_string();
        assert_eq!(row[1..], [lost.as_str(), figures[7], figures[8]], "{}", row[0]);
    }
}
