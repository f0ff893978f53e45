//! What somebody may have meant.

/// How many changes may be between what was typed and what was meant.
const CHANGES_MAX: usize = 3;

/// `; did you mean x?` where something is near, else nothing.
pub(crate) fn suggestion<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, known).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

/// The nearest of what is known, if it is near enough: a third of its letters may differ.
pub(crate) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = typed.to_ascii_lowercase();
    let known = known.into_iter();
    let near = known.map(|each| (changes(&lower, &each.to_ascii_lowercase()), each));
    near.filter(|(changes, each)| *changes <= CHANGES_MAX.min(each.len() / 3))
        .min()
        .map(|(_, each)| each)
}

/// Letters to add, drop, replace or swap until one text is the other.
fn changes(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for at in 0..from.len() {
        let mut next = vec![at + 1];
        for to_at in 0..to.len() {
            let replaced = row[to_at] + usize::from(from[at] != to[to_at]);
            let mut least = replaced.min(row[to_at + 1] + 1).min(next[to_at] + 1);
            let swapped =
                at > 0 && to_at > 0 && from[at] == to[to_at - 1] && from[at - 1] == to[to_at];
            if swapped {
                least = least.min(before[to_at - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_suggested() {
        for (typed, expected) in [
            ("ordres", Some("orders")),
            ("Orders", Some("orders")),
            ("order", Some("orders")),
            ("payment", Some("payments")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, ["orders", "payments", "x"]), expected, "{typed}");
        }
    }
}
