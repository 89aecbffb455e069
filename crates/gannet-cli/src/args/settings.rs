//! Settings that stand for options: gannet.toml and `GANNET_*`. The environment counts for more than the file, and
//! what stands on the command line for most. Files are read here; what a setting means is decided elsewhere.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::given::flag;
use super::rivals;
use super::toml_file;
use super::vocabulary::{Known, Takes, Vocabulary, canonical, is_secret};
use super::words::without_userinfo;
use crate::say::Complaint;

/// What settings' variables begin with.
const PREFIX: &str = "GANNET_";
/// What the variables of gannet's own tests begin with.
const FOR_TESTS: &str = "GANNET_TEST_";
/// The variable that names the file.
const NAMES_FILE: &str = "GANNET_CONFIG";

/// What surrounds the program, as far as settings go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// The variables that begin with `GANNET_`.
    pub(crate) variables: Vec<(String, OsString)>,
    /// Where the user's gannet.toml would be.
    pub(crate) file: Option<PathBuf>,
    /// What alone is taken from them, if not all is: the secrets of a job that keeps its other settings itself, as
    /// [`Given`](super::Given) names them.
    pub(crate) alone: Option<Vec<String>>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_this_process() -> Self {
        let named = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
        let ours = |(name, _): &(String, OsString)| name.starts_with(PREFIX) && !name.starts_with(FOR_TESTS);
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let settings = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
        Self {
            variables: std::env::vars_os().filter_map(named).filter(ours).collect(),
            file: settings.map(|folder| folder.join("gannet").join("gannet.toml")),
            alone: None,
        }
    }

    /// Whether there is neither a variable nor a file.
    pub(super) fn hold_nothing(&self) -> bool {
        self.variables.is_empty() && !self.file.as_ref().is_some_and(|path| path.exists())
    }

    fn variable(&self, name: &str) -> Option<&OsString> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value).filter(|value| !value.is_empty())
    }
}

/// All settings that hold, whatever the subcommand.
#[derive(Debug)]
pub(crate) struct Settings {
    held: Vec<Setting>,
    looked_at: Vec<String>,
}

/// One setting.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) option: Known,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// What it is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Flag(bool),
    Texts(Vec<String>),
}

/// Where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    File { path: PathBuf, line: usize },
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

impl Settings {
    /// Reads the file that `--config` names, or `GANNET_CONFIG`, or the user's own if it is there, and the
    /// environment.
    ///
    /// # Errors
    /// A file that cannot be read, and what no fetching subcommand knows.
    pub(super) fn gather(
        named: Option<&Path>,
        surroundings: &Surroundings,
        vocabulary: &mut Vocabulary,
    ) -> Result<Self, Complaint> {
        let named = named.map(Path::to_owned);
        let named = named.or_else(|| surroundings.variable(NAMES_FILE).map(PathBuf::from));
        let file = match (&named, &surroundings.file) {
            (Some(path), _) => toml_file::read(path, vocabulary).map(Some)?,
            (None, Some(path)) if path.exists() => toml_file::read(path, vocabulary).map(Some)?,
            (None, _) => None,
        };
        let variables = variables(surroundings, vocabulary)?;
        let mut looked_at = Vec::new();
        if let Some(path) = named.as_ref().or(surroundings.file.as_ref()) {
            looked_at.push(match &file {
                Some(settings) => format!("{} ({})", path.display(), counted(settings.len())),
                None => format!("{} (not there)", path.display()),
            });
        }
        looked_at.push(format!("GANNET_* in the environment ({})", counted(variables.len())));
        let mut held = file.unwrap_or_default();
        held.retain(|setting| !variables.iter().any(|stronger| stronger.replaces(setting)));
        held.extend(variables);
        if let Some(alone) = &surroundings.alone {
            held.retain_mut(|setting| setting.keep_alone(alone));
        }
        for setting in &held {
            for word in setting.words() {
                if let Some(reason) = vocabulary.refusal(&setting.option, &word) {
                    return Err(setting.complaint("cannot be used").why(reason));
                }
            }
        }
        Ok(Self { held, looked_at })
    }

    /// The words that stand for the settings of a subcommand, unless what was given speaks against them.
    pub(super) fn words(&self, vocabulary: &Vocabulary, given: &[String]) -> Vec<String> {
        let known = |setting: &&Setting| vocabulary.long(&setting.option.long).is_some();
        let kept: Vec<&Setting> = self
            .held
            .iter()
            .filter(known)
            .filter(|setting| !given.iter().any(|name| rivals::are_rivals(&setting.option.long, name)))
            .collect();
        let mut names: Vec<&str> = given.iter().map(String::as_str).collect();
        names.extend(
            kept.iter().filter(|setting| setting.value != Value::Flag(false)).map(|kept| &*kept.option.long),
        );
        let useful = kept.iter().filter(|setting| rivals::has_what_it_needs(&setting.option.long, &names));
        useful.flat_map(|setting| setting.words()).collect()
    }

    /// How many there are, and where was looked.
    pub(crate) fn summary(&self) -> String {
        self.looked_at.join(", ")
    }

    /// The settings as `gannet config` shows them: TOML, and behind each where it comes from.
    pub(crate) fn listing(&self) -> String {
        let mut text = String::from("# Looked at, the later counting for more:\n");
        for place in &self.looked_at {
            text += &format!("#   {place}\n");
        }
        let mut held: Vec<&Setting> = self.held.iter().collect();
        held.sort_by(|one, other| one.option.long.cmp(&other.option.long));
        for setting in held {
            text += &format!("{} = {}  # {}\n", setting.key(), setting.shown(), setting.origin);
        }
        text
    }
}

impl Setting {
    pub(super) fn complaint(&self, what: &str) -> Complaint {
        match &self.origin {
            Origin::File { .. } => Complaint::new(format!("{}: {} {what}", self.origin, self.option.long)),
            Origin::Variable(name) => Complaint::new(format!("{name} in the environment {what}")),
        }
    }

    /// Keeps only values of these options; whether there are any.
    fn keep_alone(&mut self, alone: &[String]) -> bool {
        let long = &self.option.long;
        match &mut self.value {
            Value::Flag(_) => false,
            Value::Texts(texts) => {
                texts.retain(|text| alone.contains(&flag(long, text)));
                !texts.is_empty()
            }
        }
    }

    /// Whether this one, from a stronger place, leaves nothing of the other.
    fn replaces(&self, other: &Self) -> bool {
        let is_on = self.value != Value::Flag(false);
        self.option == other.option || is_on && rivals::are_rivals(&self.option.long, &other.option.long)
    }

    fn words(&self) -> Vec<String> {
        let name = &self.option.long;
        match &self.value {
            Value::Flag(true) => vec![format!("--{name}")],
            Value::Flag(false) => Vec::new(),
            Value::Texts(texts) => texts.iter().map(|text| format!("--{name}={text}")).collect(),
        }
    }

    fn key(&self) -> String {
        let name = &self.option.long;
        if name.contains('.') { format!("{name:?}") } else { name.clone() }
    }

    fn shown(&self) -> String {
        let shown = |text: &String| match is_secret(&self.option.long) {
            true => "\"(not shown)\"".to_owned(),
            // A name of a file may hold an `@`, too.
            false if !text.contains("//") && self.option.long != "mirror" => format!("{text:?}"),
            false => format!("{:?}", without_userinfo(text)),
        };
        match (&self.value, self.option.takes) {
            (Value::Flag(is_on), _) => is_on.to_string(),
            (Value::Texts(texts), Takes::Many) => {
                format!("[{}]", texts.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
            (Value::Texts(texts), _) => texts.iter().map(shown).collect(),
        }
    }
}

fn counted(settings: usize) -> String {
    crate::plan::plural(settings, "setting")
}

/// The settings of the environment; a variable that is empty is not set.
fn variables(surroundings: &Surroundings, vocabulary: &Vocabulary) -> Result<Vec<Setting>, Complaint> {
    let mut settings = Vec::new();
    for (name, value) in &surroundings.variables {
        if name == NAMES_FILE || name.starts_with(FOR_TESTS) || value.is_empty() {
            continue;
        }
        let key = canonical(name.strip_prefix(PREFIX).unwrap_or(name));
        let Some(option) = vocabulary.long(&key) else { return Err(unknown(name, &key, vocabulary)) };
        let unusable = || Complaint::new(format!("{name} in the environment cannot be used"));
        let text = value.to_str().ok_or_else(|| unusable().why("its value is no UTF-8"))?;
        let value = match option.takes {
            Takes::Nothing => Value::Flag(
                switch(text)
                    .ok_or_else(|| unusable().why("it is on or off").fix("1, true, yes or 0, false, no"))?,
            ),
            Takes::One | Takes::Many => Value::Texts(vec![text.to_owned()]),
        };
        settings.push(Setting { option, value, origin: Origin::Variable(name.clone()) });
    }
    settings.sort_by(|one, other| one.option.long.cmp(&other.option.long));
    Ok(settings)
}

fn unknown(name: &str, key: &str, vocabulary: &Vocabulary) -> Complaint {
    let complaint = Complaint::new(format!("{name} in the environment is no setting of gannet"));
    match vocabulary.nearest(key) {
        Some(near) => {
            let near = near.replace(['-', '.'], "_").to_ascii_uppercase();
            complaint.fix(format!("did you mean {PREFIX}{near}? else: unset {name}"))
        }
        None => complaint.fix(format!("unset {name}; its name would be that of a long option")),
    }
}

/// On or off.
fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" => Some(true),
        "0" | "false" | "no" => Some(false),
        _ => None,
    }
}
