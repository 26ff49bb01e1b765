//! Planning a statement whose columns differ only in a cast, such as `count(DISTINCT t::DATE), count(DISTINCT t)`.
//!
//! DataFusion names a column without its casts, so that it takes these two for one and refuses them, even where each
//! has an alias: the alias is put on later. A statement it refuses for that is planned again with its casts inside a
//! function that shows in the name and gives its argument back.
//!
//! Why not at once: the names of columns that nobody named would change.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, SchemaError, exec_err, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{
    self, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    Value, VisitMut, VisitorMut, visit_expressions,
};

use super::bind::statement;

/// No statement can call it: the guard looked for it before.
const NAME: &str = "_named_cast";

/// Plans `parsed`.
pub(super) async fn plan(state: &SessionState, parsed: Parsed) -> Result<LogicalPlan> {
    // Planning takes the statement. One without a cast is not planned again, and most have none.
    let again = parsed_with_casts(&parsed).cloned();
    let error = match state.statement_to_plan(parsed).await {
        Err(error) if is_about_a_name(&error) => error,
        outcome => return outcome,
    };
    let Some(mut named) = again else { return Err(error) };
    if let Some(statement) = statement_mut(&mut named) {
        // Nothing in there breaks off.
        let _ = VisitMut::visit(statement, &mut Naming);
    }
    let mut state = state.clone();
    state.register_udf(Arc::new(ScalarUDF::new_from_impl(NamedCast::new())))?;
    match state.statement_to_plan(named).await {
        Err(again) if is_about_a_name(&again) => Err(error),
        outcome => outcome,
    }
}

fn is_about_a_name(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::SchemaError(cause, _) => matches!(
            cause.as_ref(),
            SchemaError::DuplicateQualifiedField { .. } | SchemaError::DuplicateUnqualifiedField { .. }
        ),
        DataFusionError::Plan(message) => message.contains("require unique expression names"),
        _ => false,
    }
}

/// The same, if there is a cast in it.
fn parsed_with_casts(parsed: &Parsed) -> Option<&Parsed> {
    let found = visit_expressions(statement(parsed)?, |expr| match expr {
        ast::Expr::Cast { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break().then_some(parsed)
}

fn statement_mut(parsed: &mut Parsed) -> Option<&mut ast::Statement> {
    match parsed {
        Parsed::Statement(found) => Some(found),
        Parsed::Explain(explain) => statement_mut(&mut explain.statement),
        _ => None,
    }
}

/// Puts each cast of a statement into the function.
struct Naming;

impl VisitorMut for Naming {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Cast { data_type, .. } = expr {
            let data_type = text(data_type.to_string());
            let cast = std::mem::replace(expr, text(String::new()));
            *expr = call(vec![cast, data_type]);
        }
        ControlFlow::Continue(())
    }
}

fn text(text: String) -> ast::Expr {
    ast::Expr::Value(Value::SingleQuotedString(text).with_empty_span())
}

fn call(args: Vec<ast::Expr>) -> ast::Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    ast::Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(NAME)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Gives its first argument, a cast; the second is the type as the statement calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NamedCast {
    signature: Signature,
}

impl NamedCast {
    fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for NamedCast {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let [cast, Expr::Literal(ScalarValue::Utf8(Some(data_type)), _)] = args else {
            return internal_err!("a named cast of other arguments");
        };
        // DataFusion's name of a cast is that of what is cast.
        Ok(format!("CAST({} AS {data_type})", cast.schema_name()))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("the type of a named cast is asked for with its field")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [cast, _] => Ok(Arc::clone(cast)),
            _ => internal_err!("a named cast of other arguments"),
        }
    }

    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        args.truncate(1);
        Ok(args.pop().map_or(ExprSimplifyResult::Original(args), ExprSimplifyResult::Simplified))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(cast) => Ok(cast),
            None => exec_err!("a named cast of nothing"),
        }
    }
}
