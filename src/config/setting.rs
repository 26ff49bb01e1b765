//! One setting, and the reader that turns text into values while it gathers what is wrong.

/// One environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub name: &'static str,
    /// The default as it would be written, and it is read as if it had been; `None` when there is none.
    pub default: Option<&'static str>,
    /// What it does, in a sentence without a full stop.
    pub meaning: &'static str,
}

/// Reads settings and remembers every problem, so that an operator sees all of them at once.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// The value, or the default, as `parse` reads it; `None` when `parse` does not, which is a problem.
    pub(super) fn required<T>(
        &mut self,
        setting: &Setting,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(setting);
        let text = text.as_deref().unwrap_or_default();
        let value = parse(text);
        if value.is_none() {
            self.problem(format!("`{}` is `{text}`: expected {expected}", setting.name));
        }
        value
    }

    /// The same for a setting that may be left out: `Some(None)` then.
    #[expect(clippy::option_option, reason = "outer: could it be read; inner: was it there")]
    pub(super) fn optional<T>(
        &mut self,
        setting: &Setting,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.text(setting) {
            None => Some(None),
            Some(_) => self.required(setting, expected, parse).map(Some),
        }
    }

    /// A whole number between two bounds, both included.
    pub(super) fn number(&mut self, setting: &Setting, min: u64, max: u64) -> Option<u64> {
        let expected = format!("a whole number, {min} to {max}");
        self.required(setting, &expected, |text| bounded(text, min, max))
    }

    /// The same for a setting that may be left out.
    #[expect(clippy::option_option, reason = "outer: could it be read; inner: was it there")]
    pub(super) fn optional_number(&mut self, setting: &Setting, min: u64, max: u64) -> Option<Option<u64>> {
        let expected = format!("a whole number, {min} to {max}");
        self.optional(setting, &expected, |text| bounded(text, min, max))
    }

    /// `true` or `false`, in any case.
    pub(super) fn switch(&mut self, setting: &Setting) -> Option<bool> {
        self.required(setting, "`true` or `false`", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        })
    }

    /// Text as it was set or as its default says.
    pub(super) fn text(&self, setting: &Setting) -> Option<String> {
        self.set(setting.name).or_else(|| setting.default.map(str::to_owned))
    }

    /// Whether something was set.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.set(name).is_some()
    }

    pub(super) fn problem(&mut self, problem: String) {
        self.problems.push(problem);
    }

    pub(super) fn into_problems(self) -> Vec<String> {
        self.problems
    }

    fn set(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }
}

fn bounded(text: &str, min: u64, max: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (min..=max).contains(number))
}
