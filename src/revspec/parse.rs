//! The text of a revision, taken apart.

use crate::clock::Micros;

/// A revision as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec<'a> {
    /// What it starts from.
    pub base: Base<'a>,
    /// `~n`: the n-th earlier run of the same step.
    pub back: u64,
    /// What of the run is meant; `None` for the run itself.
    pub part: Option<Part<'a>>,
}

/// What a revision starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base<'a> {
    /// `@last`: the newest run of the scenario.
    Last,
    /// `@SCENARIO:KEY`: the newest success in a scenario that has this output.
    Newest(&'a str),
    /// `SCENARIO@{n}` or `SCENARIO@{date}`: a run by its place in the scenario's history.
    At(&'a str, Moment),
    /// A run, scenario, tag, step, key, object or path, whatever it turns out to be.
    Word(&'a str),
}

/// A place in a scenario's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The n-th newest run, 0 is the newest.
    Nth(u64),
    /// The newest run that began at or before this time.
    Time(Micros),
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// One artifact by its key.
    Key(&'a str),
    /// All outputs.
    All,
    /// The config it was given; with `/ROLE` or `/ROLE/PATH`, one of several, or a file of a folder.
    Config(Option<&'a str>),
    /// The code it was given.
    Code,
}

/// Takes a revision apart; `None` if the text can't be one (it may still be a path).
pub fn parse(text: &str) -> Option<Spec<'_>> {
    if text.is_empty() {
        return None;
    }
    if let Some(rest) = text.strip_prefix('@')
        && rest != "last"
        && !rest.starts_with("last:")
        && !rest.starts_with("last~")
    {
        let (scenario, key) = rest.split_once(':')?;
        return (!scenario.is_empty() && !key.is_empty()).then_some(Spec {
            base: Base::Newest(scenario),
            back: 0,
            part: Some(Part::Key(key)),
        });
    }
    // A moment may hold colons, so the braces are looked for before the part.
    let braces_end = text.find("@{").and_then(|at| text[at..].find('}').map(|end| at + end + 1));
    let (head, part) = match text[braces_end.unwrap_or(0)..].find(':') {
        Some(at) => {
            let at = at + braces_end.unwrap_or(0);
            let part = match &text[at + 1..] {
                "" => return None,
                "*" => Part::All,
                "@config" => Part::Config(None),
                "@code" => Part::Code,
                key => match key.strip_prefix("@config/") {
                    Some("") => return None,
                    Some(role) => Part::Config(Some(role)),
                    None => Part::Key(key),
                },
            };
            (&text[..at], Some(part))
        }
        None => (text, None),
    };
    let (head, back) = match head.rsplit_once('~') {
        Some((head, "")) => (head, 1),
        Some((head, n)) => (head, n.parse().ok()?),
        None => (head, 0),
    };
    let base = if head == "@last" {
        Base::Last
    } else if let Some((scenario, inside)) = head.strip_suffix('}').and_then(|h| h.split_once("@{")) {
        let moment = match inside.parse() {
            Ok(n) => Moment::Nth(n),
            Err(_) => Moment::Time(Micros::parse(inside)?),
        };
        Base::At(scenario, moment)
    } else if head.is_empty() {
        return None;
    } else {
        Base::Word(head)
    };
    Some(Spec { base, back, part })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "what `parse` gives")]
    fn spec<'a>(base: Base<'a>, back: u64, part: Option<Part<'a>>) -> Option<Spec<'a>> {
        Some(Spec { base, back, part })
    }

    #[test]
    fn every_form_is_understood() {
        assert_eq!(parse("@last"), spec(Base::Last, 0, None));
        assert_eq!(parse("@last~2:raw"), spec(Base::Last, 2, Some(Part::Key("raw"))));
        assert_eq!(parse("k3f9"), spec(Base::Word("k3f9"), 0, None));
        assert_eq!(parse("clean~"), spec(Base::Word("clean"), 1, None));
        assert_eq!(parse("k3f9:*"), spec(Base::Word("k3f9"), 0, Some(Part::All)));
        assert_eq!(parse("k3f9:@config"), spec(Base::Word("k3f9"), 0, Some(Part::Config(None))));
        assert_eq!(parse("k3f9:@config/a/b.yaml"), spec(Base::Word("k3f9"), 0, Some(Part::Config(Some("a/b.yaml")))));
        assert_eq!(parse("k3f9~3:@code"), spec(Base::Word("k3f9"), 3, Some(Part::Code)));
        assert_eq!(parse("@base:skims"), spec(Base::Newest("base"), 0, Some(Part::Key("skims"))));
        assert_eq!(parse("main@{2}"), spec(Base::At("main", Moment::Nth(2)), 0, None));
        let noon = Micros::parse("2026-03-01T12:00:00").unwrap();
        assert_eq!(
            parse("main@{2026-03-01T12:00:00}:x"),
            spec(Base::At("main", Moment::Time(noon)), 0, Some(Part::Key("x")))
        );
    }

    #[test]
    fn what_is_no_revision_is_none() {
        for text in ["", ":x", "a:", "@", "@x", "main@{yesterday}", "a~b"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
