//! Names with gaps: `{year}`, `{iteration}`, `{step}`, `{scenario}`, `{model}`, `{stage}`, `{phase}` and the dimensions, filled in when a request is made.
//!
//! They are filled in the name of the run, its message and its tags, and in the paths of a step of `prov.toml`, so that one step serves
//! every year. A command has `{dim.KEY}` for that, since its braces may be its own.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice};
use prov::codec::Value;
use prov::run::request::{Container, Request};

use crate::error::Failure;

/// What the gaps of one request stand for.
pub(super) struct Template {
    /// By name; `None` for a name that exists and has no value here.
    values: BTreeMap<String, Option<String>>,
}

impl Template {
    /// The values of a request.
    pub(super) fn of(request: &Request) -> Self {
        let mut values: BTreeMap<String, Option<String>> =
            ["year", "iteration", "step", "scenario", "model", "stage", "phase"]
                .into_iter()
                .map(|name| (name.to_owned(), None))
                .collect();
        for (name, value) in &request.dims {
            let text = match value {
                Value::Text(text) => text.clone(),
                value => prov::config::to_json(value),
            };
            values.insert(name.clone(), Some(text));
        }
        let lifecycle = &request.lifecycle;
        for (name, value) in [
            ("step", &request.step),
            ("scenario", &request.scenario),
            ("model", &lifecycle.model),
            ("stage", &lifecycle.stage),
            ("phase", &lifecycle.phase),
        ] {
            if value.is_some() {
                values.insert(name.to_owned(), value.clone());
            }
        }
        Self { values }
    }

    /// Fills the gaps of a request; those in paths only if they come from a step.
    ///
    /// # Errors
    /// A gap that names nothing, or something that has no value here.
    pub(super) fn fill(&self, request: &mut Request, has_step: bool) -> Result<(), Failure> {
        // Prose may have braces of its own.
        let prose = |text: &String| self.filled(text, &|_, _| Ok(None));
        request.message = prose(&request.message)?;
        request.tags = request.tags.iter().map(prose).collect::<Result<_, _>>()?;
        request.run_name = request.run_name.as_deref().map(|name| self.text(name)).transpose()?;
        if !has_step {
            return Ok(());
        }
        let declared = [&mut request.inputs, &mut request.outputs, &mut request.identity, &mut request.locks];
        for one in declared.into_iter().flatten() {
            one.path = self.path(&one.path)?;
        }
        let config = request.config_files.iter_mut().chain(&mut request.config_folder.dirs);
        for path in config.chain(&mut request.stdin) {
            *path = self.path(path)?;
        }
        if let Some(Container::Image(image)) = &mut request.container {
            *image = self.path(image)?;
        }
        Ok(())
    }

    fn path(&self, path: &BString) -> Result<BString, Failure> {
        match path.to_str() {
            Ok(text) => Ok(self.text(text)?.into()),
            // What is not UTF-8 was no template.
            Err(_) => Ok(path.clone()),
        }
    }

    /// `text` with its gaps filled; one that has no value is an error.
    fn text(&self, text: &str) -> Result<String, Failure> {
        self.filled(text, &|name, exists| {
            let failure = Failure::usage(format!(
                "`{{{name}}}` in `{text}` {}",
                if exists { "has no value" } else { "names nothing" }
            ));
            Err(if exists {
                failure.hint(format!("give it with --{name}"))
            } else {
                let known: Vec<String> = self.values.keys().map(|name| format!("{{{name}}}")).collect();
                failure.hint(format!("known are {}; others are dimensions: --dim {name}=VALUE", known.join(", ")))
            })
        })
    }

    /// `text` with its gaps filled. Only a lower-case word between braces is a gap. `open` is asked about one that has no value: its name, and
    /// whether the name is known; `None` leaves it as it is.
    fn filled(
        &self,
        text: &str,
        open: &dyn Fn(&str, bool) -> Result<Option<String>, Failure>,
    ) -> Result<String, Failure> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let name = from[1..].split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
            let value = match name.map(|name| (name, self.values.get(name))) {
                None => None,
                Some((_, Some(Some(value)))) => Some(value.clone()),
                Some((name, found)) => open(name, found.is_some())?,
            };
            match (name, value) {
                (Some(name), Some(value)) => {
                    out.push_str(&value);
                    rest = &from[name.len() + 2..];
                }
                _ => {
                    out.push('{');
                    rest = &from[1..];
                }
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let mut request = Request::command(["x"]).step("fit");
        request.dims = BTreeMap::from([
            ("year".to_owned(), Value::Int(2030)),
            ("region".to_owned(), Value::Text("north".to_owned())),
        ]);
        Template::of(&request)
    }

    #[test]
    fn gaps_are_filled_and_other_braces_left_alone() {
        let text = |text: &str| template().text(text).unwrap();
        assert_eq!(text("{step}_{year}/{region}.csv"), "fit_2030/north.csv");
        for other in ["{a,b}.csv", "{year:int}", "{}", "{", "x{year", "{Year}", "{{}}", "{ year }"] {
            assert_eq!(text(other), other);
        }
    }

    #[test]
    fn a_gap_without_a_value_is_an_error() {
        let failure = template().text("{iteration}").unwrap_err();
        assert_eq!(failure.hint.as_deref(), Some("give it with --iteration"));
        assert!(template().text("{yaer}").unwrap_err().message.contains("names nothing"));
    }
}
