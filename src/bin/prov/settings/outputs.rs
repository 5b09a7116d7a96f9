//! What is said of outputs and expected of them: from options.

use std::collections::BTreeMap;

use prov::codec::Value;
use prov::config::Override;
use prov::hash::Id;
use prov::run::{About, AboutOutputs};

use crate::args::OutputOptions;
use crate::error::Failure;

/// Joins what the step's settings and the command line say; the latter wins, and expectations add up.
///
/// # Errors
/// A word that has no meaning.
pub(crate) fn about(file: &OutputOptions, given: &OutputOptions) -> Result<AboutOutputs, Failure> {
    let mut by_key: BTreeMap<String, About> = BTreeMap::new();
    for options in [file, given] {
        for (key, spec) in pairs(&options.expect) {
            by_key.entry(key).or_default().expect.push(spec);
        }
        for (key, name) in pairs(&options.format) {
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
            if !is_name {
                return Err(Failure::usage(format!(
                    "--format {key}={name}: a format has letters, digits, `.`, `+`, `-`"
                )));
            }
            by_key.entry(key).or_default().format = Some(name.to_lowercase());
        }
        for (key, text) in pairs(&options.output_hash) {
            let id: Id = text.parse().map_err(|_| {
                Failure::usage(format!("--output-hash {key}={text}: this is no id"))
                    .hint("an id has 64 hexadecimal digits: `prov id FILE` prints it, and so does `b3sum FILE`")
            })?;
            by_key.entry(key).or_default().hash = Some(id);
        }
        for (key, name) in pairs(&options.schema) {
            by_key.entry(key).or_default().schema = Some(name);
        }
        for word in &options.output_facet {
            let (key, name, value) = remark(word)?;
            by_key.entry(key).or_default().facets.insert(name, value);
        }
        for word in &options.output_meta {
            let (key, name, value) = remark(word)?;
            by_key.entry(key).or_default().meta.insert(name, value);
        }
    }
    Ok(AboutOutputs {
        by_key,
        facets_from: file.facet_from.iter().chain(&given.facet_from).cloned().collect(),
        metrics_from: file.metrics_from.iter().chain(&given.metrics_from).cloned().collect(),
        on_mismatch: super::request::on_missing(given.on_mismatch.or(file.on_mismatch)),
    })
}

/// `KEY=REST` each; checked by the grammar already.
fn pairs(words: &[String]) -> impl Iterator<Item = (String, String)> {
    words.iter().filter_map(|word| word.split_once('=')).map(|(key, rest)| (key.to_owned(), rest.to_owned()))
}

/// `KEY:K=V`: V is a YAML 1.2 scalar.
fn remark(word: &str) -> Result<(String, String, Value), Failure> {
    let Some((key, rest)) = word.split_once(':').filter(|(key, _)| !key.is_empty() && !key.contains('=')) else {
        return Err(Failure::usage(format!("`{word}`: write it as KEY:K=V, where KEY is the output's")));
    };
    let read = Override::parse(rest).map_err(|err| Failure::usage(format!("`{word}`")).because_of(Some(&err)))?;
    Ok((key.to_owned(), read.keys.join("."), read.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_name_an_output_and_keep_their_kind() {
        assert_eq!(remark("a:x.y=1").unwrap(), ("a".to_owned(), "x.y".to_owned(), Value::Int(1)));
        assert!(remark("x=1").is_err() && remark("x=a:b").is_err() && remark(":x=1").is_err());
    }

    #[test]
    fn the_command_line_wins_and_expectations_add_up() {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let file = OutputOptions { expect: texts(&["a=1.."]), format: texts(&["a=csv"]), ..OutputOptions::default() };
        let given = OutputOptions { expect: texts(&["a=year=1,2"]), format: texts(&["a=Parquet"]), ..file.clone() };
        let made = about(&file, &given).unwrap();
        assert_eq!(made.by_key["a"].expect, ["1..", "year=1,2"]);
        assert_eq!(made.by_key["a"].format.as_deref(), Some("parquet"));
        let bad = OutputOptions { output_hash: texts(&["a=12"]), ..OutputOptions::default() };
        assert!(about(&bad, &OutputOptions::default()).is_err());
    }
}
