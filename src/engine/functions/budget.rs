//! What all calls of one query may make together.
//!
//! Why: each call is bounded, and a statement may hold two thousand of them, whose results are there at the same
//! time: as columns of one batch, or as constants of its plan.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::FieldRef;
use datafusion::error::Result;
use datafusion::logical_expr::ScalarFunctionArgs;

use super::bounded::refused;
use super::growth::Predicted;
use crate::engine::session_value::{OfSession, SessionValue};
use crate::limits;

/// Below it, results are not worth counting: a column of a batch is that large.
const COUNTED_BYTES: u64 = 128 << 10;

/// As [`COUNTED_BYTES`], for work.
const COUNTED_STEPS: u64 = 1 << 17;

/// The budget of one query. It travels in the session's options, which are all that a function is given.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Budget(Arc<Mutex<Used>>);

#[derive(Debug, Default)]
struct Used {
    /// The largest call of each place in the plan: its results are gone when the next batch comes.
    places: HashMap<usize, Predicted>,
    /// Constants stay.
    constants: Predicted,
}

impl Predicted {
    fn max(self, other: Self) -> Self {
        Self { bytes: self.bytes.max(other.bytes), steps: self.steps.max(other.steps) }
    }

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), steps: self.steps.saturating_add(other.steps) }
    }
}

/// Counts a call, and refuses it when there is nothing left for it.
pub(super) fn count(args: &ScalarFunctionArgs, constant: bool, call: Predicted) -> Result<()> {
    if call.bytes < COUNTED_BYTES && call.steps < COUNTED_STEPS {
        return Ok(());
    }
    let Some(SessionValue(budget)) = args.config_options.extensions.get::<SessionValue<Budget>>() else {
        return Ok(());
    };
    let all = budget.with(&args.return_field, constant, call);
    if all.bytes <= limits::FUNCTIONS_RESULT_BYTES_MAX && all.steps <= limits::FUNCTIONS_STEPS_MAX {
        return Ok(());
    }
    Err(refused(
        "the functions of the query would make or compare too much at once: ask in several steps".to_owned(),
    ))
}

impl Budget {
    /// All that is used once this call is.
    fn with(&self, place: &FieldRef, constant: bool, call: Predicted) -> Predicted {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if constant {
            used.constants = used.constants.add(call);
        } else {
            // The field is made once for each place of a plan.
            let largest = used.places.entry(Arc::as_ptr(place).addr()).or_default();
            *largest = largest.max(call);
        }
        used.places.values().fold(used.constants, |sum, place| sum.add(*place))
    }
}

impl OfSession for Budget {
    const NAME: &'static str = "shirabe_budget";
}
