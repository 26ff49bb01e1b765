//! What is checked before a macro is stored, so that a statement that calls it does not meet it for the first time.

use datafusion::sql::sqlparser::ast::{Expr, Function};
use futures::FutureExt as _;

use super::body::Body;
use super::calls::{is_built_in, of_expression, simple_name};
use super::expand::Expander;
use super::scope::Known;
use crate::catalog::name::NameKey;
use crate::catalog::record::MacroRecord;
use crate::catalog::store::MacroStore;
use crate::engine::Engine;
use crate::engine::classify::classify;
use crate::engine::deep::on_deep_stack;
use crate::engine::statement::{self, read};
use crate::error::{Error, Result};
use crate::limits::{MACRO_EXPRESSION_BYTES_MAX, MACRO_PARAMETERS_MAX};

/// Longest name of a macro or a parameter, in characters.
const NAME_CHARS_MAX: usize = 63;

/// Longest type of a parameter, in bytes.
const TYPE_BYTES_MAX: usize = 200;

impl Engine {
    /// Checks a macro that is to be stored, and fills in what it calls.
    ///
    /// # Errors
    /// `Invalid` for names and numbers of parameters, `Duplicate` for the name of a function, `InvalidSql` and
    /// `UnknownName` for the expression, `OverLimit` when it would cost too much to plan.
    pub async fn check_macro(&self, store: &dyn MacroStore, mut draft: MacroRecord) -> Result<MacroRecord> {
        check_names(&draft)?;
        draft.calls = on_deep_stack(|| {
            let body = Body::parse(draft.clone())?;
            Result::<_>::Ok(of_expression(&body.expression))
        })?;
        let known = Known::load(store, &draft.owner_id, Vec::new(), Some(draft.clone())).await?;
        let statement = on_deep_stack(|| statement_of(&draft, &known))?;
        let engine = self.clone();
        let planned = async move {
            let parsed = statement::parse(&statement)?.parsed;
            let state = engine.0.sessions.open(None, [])?;
            state.statement_to_plan(parsed).await.map_err(classify)
        };
        self.by_planner(planned.boxed()).await?;
        Ok(draft)
    }
}

/// A statement that is planned in order to check the macro: a call of it when the types of all values are known, and
/// otherwise the types that are.
fn statement_of(draft: &MacroRecord, known: &Known) -> Result<String> {
    let null = |kind: &Option<String>| match kind {
        Some(kind) => format!("CAST(NULL AS {kind})"),
        None => "NULL".to_owned(),
    };
    let nulls: Vec<String> = draft.parameters.iter().map(|parameter| null(&parameter.kind)).collect();
    let call = read(&format!("\"{}\"({})", draft.name, nulls.join(", ")), |parser| parser.parse_expr())?;
    let call = Expander::new(known).expand(call, draft.shared)?.to_string();
    // What is put into a text must be read there as what it was here.
    let written = format!("SELECT {call}");
    statement::parse(&written)?;
    let all_typed = draft.parameters.iter().all(|parameter| parameter.kind.is_some());
    let columns = nulls.iter().enumerate().map(|(n, null)| format!("{null} AS \"{n}\""));
    if all_typed { Ok(written) } else { Ok(format!("SELECT {}", columns.collect::<Vec<_>>().join(", "))) }
}

fn check_names(draft: &MacroRecord) -> Result<()> {
    check_name("name", &draft.name)?;
    let is_call = |expr: &Expr| match expr {
        Expr::Function(Function { name, .. }) => {
            simple_name(name).is_some_and(|ident| ident.value == draft.name)
        }
        _ => false,
    };
    if is_built_in(&draft.name_key) {
        return Err(Error::Duplicate(format!(
            "`{}` is a function that everybody has: choose another name",
            draft.name
        )));
    }
    if !read(&format!("{}(1)", draft.name), |parser| parser.parse_expr()).is_ok_and(|expr| is_call(&expr)) {
        return Err(Error::invalid_field(
            "name",
            format!("`{}` is a word of SQL: choose another name", draft.name),
        ));
    }
    if draft.expression.len() > MACRO_EXPRESSION_BYTES_MAX {
        return Err(Error::OverLimit(format!(
            "`expression` has {} bytes; at most {MACRO_EXPRESSION_BYTES_MAX} are accepted",
            draft.expression.len()
        )));
    }
    check_parameters(draft)
}

fn check_parameters(draft: &MacroRecord) -> Result<()> {
    if draft.parameters.len() > MACRO_PARAMETERS_MAX {
        return Err(Error::OverLimit(format!(
            "`parameters` has {} items; at most {MACRO_PARAMETERS_MAX} are accepted",
            draft.parameters.len()
        )));
    }
    let mut seen: Vec<NameKey> = Vec::new();
    for parameter in &draft.parameters {
        check_name("parameters", &parameter.name)?;
        let is_name = |expr: &Expr| matches!(expr, Expr::Identifier(ident) if ident.value == parameter.name);
        if !read(&parameter.name, |parser| parser.parse_expr()).is_ok_and(|expr| is_name(&expr)) {
            let message = format!("the parameter `{}` is a word of SQL: choose another name", parameter.name);
            return Err(Error::invalid_field("parameters", message));
        }
        if parameter.kind.as_ref().is_some_and(|kind| kind.len() > TYPE_BYTES_MAX) {
            let message = format!("the type of `{}` has more than {TYPE_BYTES_MAX} bytes", parameter.name);
            return Err(Error::invalid_field("parameters", message));
        }
        let key = NameKey::of(&parameter.name);
        if seen.contains(&key) {
            let message = format!("the parameter `{}` is there twice", parameter.name);
            return Err(Error::invalid_field("parameters", message));
        }
        seen.push(key);
    }
    Ok(())
}

/// A name that stands in a statement as it is, without quotes.
fn check_name(field: &'static str, name: &str) -> Result<()> {
    let n_chars = name.chars().count();
    let starts = name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_');
    if starts && n_chars <= NAME_CHARS_MAX && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
    Err(Error::invalid_field(
        field,
        format!(
            "`{shown}` is no name: expected a letter or `_`, then letters, digits and `_`, at most {NAME_CHARS_MAX} in all"
        ),
    ))
}
