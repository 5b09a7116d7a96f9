//! Names that may have been meant.

/// The names that differ from `typed` by no more than a typing mistake or two, or begin or end like it.
pub(super) fn near(typed: &str, names: &[String]) -> Vec<String> {
    let lower = typed.to_lowercase();
    let most = if lower.chars().count() < 5 { 1 } else { 2 };
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_lowercase();
    let mut found: Vec<(usize, String)> = names
        .iter()
        .filter_map(|name| {
            let other = name.to_lowercase();
            let apart = distance(&lower, &other);
            let is_part =
                lower.len() >= 3 && (other.starts_with(&lower) || last(&other) == lower || other.ends_with(&lower));
            (apart <= most || is_part).then(|| (apart, name.clone()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).take(8).collect()
}

/// How many letters must be inserted, removed or replaced to get from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = corner + usize::from(from != to);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_almost_right_are_suggested() {
        let names = ["status", "started_at", "step"].map(String::from);
        assert_eq!(near("statsu", &names), ["status"]);
        assert_eq!(near("started", &names), ["started_at"]);
        assert!(near("zzzzzz", &names).is_empty());
    }
}
