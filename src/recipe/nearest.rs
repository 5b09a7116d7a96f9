//! Which earlier recipe a new one is best compared with.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::clock::Micros;
use crate::hash::Id;
use crate::object::recipe::Recipe;

/// An earlier recipe and when it last ran.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Its id, which breaks ties.
    pub id: Id,
    /// When it ran.
    pub at: Micros,
}

/// The position of the candidate that differs in the fewest parts, the newest of several, then the smallest id.
/// `None` if there are no candidates.
///
/// A config or a code tree counts as one part, since nothing is read; so do each input, each variable, each word.
pub fn nearest<'a>(recipe: &Recipe, candidates: impl IntoIterator<Item = Candidate<'a>>) -> Option<usize> {
    candidates
        .into_iter()
        .enumerate()
        .min_by_key(|(_, c)| (difference(recipe, c.recipe), Reverse(c.at), c.id))
        .map(|(position, _)| position)
}

/// In how many parts two recipes differ.
pub fn difference(a: &Recipe, b: &Recipe) -> usize {
    let words = a.action.argv.len().max(b.action.argv.len())
        - a.action.argv.iter().zip(&b.action.argv).filter(|(x, y)| x == y).count();
    let single = [
        a.rules != b.rules,
        a.step != b.step,
        a.action.kind != b.action.kind,
        a.action.cwd != b.action.cwd,
        a.action.stdin != b.action.stdin,
        a.action.spec != b.action.spec,
        a.code.tree != b.code.tree,
        a.code.program != b.code.program,
        a.config != b.config,
        a.container != b.container,
        a.version != b.version,
        a.epochs.project != b.epochs.project,
        a.epochs.scenario != b.epochs.scenario,
        a.epochs.step != b.epochs.step,
    ];
    words
        + single.into_iter().filter(|differs| *differs).count()
        + in_map(&a.params, &b.params)
        + in_map(&a.inputs, &b.inputs)
        + in_map(&a.identity, &b.identity)
        + in_map(&a.env, &b.env)
        + in_map(&a.tools, &b.tools)
        + in_map(&a.dims, &b.dims)
        + in_map(&a.outputs, &b.outputs)
}

fn in_map<V: PartialEq>(a: &BTreeMap<String, V>, b: &BTreeMap<String, V>) -> usize {
    let only_b = b.keys().filter(|key| !a.contains_key(*key)).count();
    a.iter().filter(|(key, value)| b.get(*key) != Some(value)).count() + only_b
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::{blob, full};
    use super::*;

    #[test]
    fn the_fewest_differences_win_then_the_newest() {
        let new = full().build().unwrap();
        let mut one = full();
        one.inputs.insert("raw".into(), blob("other"));
        let one = one.build().unwrap();
        let mut two = full();
        two.version = 9;
        two.env.clear();
        let two = two.build().unwrap();
        let candidate = |built: &'_ super::super::Built, at| (built.recipe.clone(), built.id, Micros(at));
        let list = [candidate(&two, 30), candidate(&one, 10), candidate(&one, 20)];
        let all = || list.iter().map(|(recipe, id, at)| Candidate { recipe, id: *id, at: *at });
        assert_eq!(nearest(&new.recipe, all()), Some(2));
        assert_eq!(nearest(&new.recipe, all().take(1)), Some(0));
        assert_eq!(nearest(&new.recipe, []), None);
        assert_eq!(difference(&new.recipe, &two.recipe), 3);
        assert_eq!(difference(&two.recipe, &new.recipe), 3);
    }
}
