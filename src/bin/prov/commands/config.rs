//! `prov config`.

use prov::config::Settings;
use prov::run::adapter::Mode;
use serde_json::{Map, Value, json};

use super::{Context, config_plan};
use crate::args::{ConfigArgs, ConfigCommand};
use crate::error::Failure;
use crate::exit::Exit;
use crate::open;
use crate::output::json;
use crate::output::record::shown;

/// Shows the settings that hold.
pub(crate) fn run(cx: &Context, args: &ConfigArgs) -> Result<Exit, Failure> {
    let show_origin = match &args.command {
        ConfigCommand::List { show_origin } => *show_origin,
        ConfigCommand::Plan(words) => return config_plan::run(cx, words, Mode::Plan),
        ConfigCommand::Validate(words) => return config_plan::run(cx, words, Mode::Validate),
    };
    let settings = settings(cx)?;
    if cx.ui.is_json() {
        let items = settings.all().map(|(key, setting)| {
            let mut map = Map::new();
            map.insert("key".to_owned(), json!(key));
            map.insert("value".to_owned(), json::stored(&setting.value));
            map.insert("origin".to_owned(), json!(setting.origin.to_string()));
            Value::Object(map)
        });
        let mut document = json::document("config");
        document.insert("items".to_owned(), items.collect());
        cx.ui.document(document)?;
    } else {
        cx.ui.page(&cx.environment);
        for (key, setting) in settings.all() {
            // As it would stand in a settings file: JSON of texts, numbers and lists is TOML too.
            let value = shown(prov::config::to_json(&setting.value));
            let origin = if show_origin { format!("{}\t", setting.origin) } else { String::new() };
            cx.ui.line(format_args!("{origin}{key} = {value}"))?;
        }
    }
    Ok(Exit::Done)
}

/// The user's file, those of the project if there is one, then the environment. The store need not be there.
fn settings(cx: &Context) -> Result<Settings, Failure> {
    let files = match open::find(cx) {
        Ok(found) => prov::repo::settings_files(&found.root, &found.layout, &open::places(cx)),
        Err(prov::repo::Error::NotFound { .. }) => cx.settings.user_config.iter().cloned().collect(),
        Err(err) => return Err(err.into()),
    };
    let mut settings = Settings::read(&cx.fs, &files)?;
    settings.add_environment(&|name| cx.environment.utf8(name).ok().flatten())?;
    Ok(settings)
}
