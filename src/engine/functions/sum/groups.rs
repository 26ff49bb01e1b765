//! Totals of many groups.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, Int64Array, PrimitiveArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::accumulate::NullState;
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::nulls::filtered_null_mask;

use super::total::{Addend as _, Summed, overflow};

/// One total for each group. How often each went past the end is kept from when the first one does: then the others
/// cost what they would without.
#[derive(Debug)]
pub(super) struct Groups<T: Summed> {
    values: Vec<T::Native>,
    /// Shorter than `values`: the others never did.
    past: Vec<i64>,
    nulls: NullState,
    data_type: DataType,
}

impl<T: Summed> Groups<T> {
    pub(super) fn new(data_type: DataType) -> Self {
        Self { values: Vec::new(), past: Vec::new(), nulls: NullState::new(), data_type }
    }

    fn update(
        &mut self,
        values: &PrimitiveArray<T>,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        n_groups: usize,
    ) {
        self.values.resize(n_groups, T::Native::ZERO);
        let (totals, pasts) = (&mut self.values, &mut self.past);
        self.nulls.accumulate(groups, values, filter, n_groups, |group, value| {
            let total = &mut totals[group];
            let (sum, past) = total.plus(value);
            *total = sum;
            if past != 0 {
                went_past(pasts, group, past);
            }
        });
    }

    /// What there is of the first groups, which are then gone.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<T::Native>, Vec<i64>, Option<NullBuffer>) {
        let values = emit_to.take_needed(&mut self.values);
        let past = match emit_to {
            EmitTo::First(first) if first < self.past.len() => emit_to.take_needed(&mut self.past),
            _ => std::mem::take(&mut self.past),
        };
        (values, past, self.nulls.build(emit_to))
    }
}

#[cold]
fn went_past(pasts: &mut Vec<i64>, group: usize, past: i64) {
    if pasts.len() <= group {
        pasts.resize(group + 1, 0);
    }
    pasts[group] += past;
}

impl<T: Summed> GroupsAccumulator for Groups<T> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        n_groups: usize,
    ) -> Result<()> {
        self.update(values[0].as_primitive(), groups, filter, n_groups);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], n_groups: usize) -> Result<()> {
        self.update(states[0].as_primitive(), groups, None, n_groups);
        let pasts = states[1].as_primitive::<Int64Type>().values();
        if pasts.iter().any(|past| *past != 0) {
            for (group, past) in groups.iter().zip(pasts) {
                went_past(&mut self.past, *group, *past);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (values, past, nulls) = self.take(emit_to);
        let fits = |value: &T::Native| value.fits(&self.data_type);
        if past.iter().any(|past| *past != 0) || !values.iter().all(fits) {
            return Err(overflow(&self.data_type));
        }
        let values = PrimitiveArray::<T>::new(values.into(), nulls);
        Ok(Arc::new(values.with_data_type(self.data_type.clone())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (values, mut past, nulls) = self.take(emit_to);
        past.resize(values.len(), 0);
        let values = PrimitiveArray::<T>::new(values.into(), nulls);
        Ok(vec![Arc::new(values.with_data_type(self.data_type.clone())), Arc::new(Int64Array::from(past))])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let nulls = filtered_null_mask(filter, values[0].as_ref());
        let values = values[0].as_primitive::<T>().values().clone();
        let past = Int64Array::from_value(0, values.len());
        let values = PrimitiveArray::<T>::new(values, nulls).with_data_type(self.data_type.clone());
        Ok(vec![Arc::new(values), Arc::new(past)])
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>()
            + self.past.capacity() * size_of::<i64>()
            + self.nulls.size()
    }
}
