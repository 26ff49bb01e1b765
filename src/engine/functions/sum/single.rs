//! One total: of all rows, of a window that slides, of different values.

use std::collections::HashMap;
use std::mem::{size_of, size_of_val};

use arrow::array::{Array as _, ArrayRef, AsArray as _, PrimitiveArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;
use datafusion_functions_aggregate_common::aggregate::sum_distinct::DistinctSumAccumulator;

use super::total::{Summed, Total};

/// The total of what came.
#[derive(Debug)]
pub(super) struct Plain<T: Summed> {
    total: Option<Total<T::Native>>,
    data_type: DataType,
}

impl<T: Summed> Plain<T> {
    pub(super) fn new(data_type: DataType) -> Self {
        Self { total: None, data_type }
    }

    fn add(&mut self, values: &PrimitiveArray<T>) {
        if let Some(more) = Total::of(values) {
            self.total.get_or_insert_default().add(more);
        }
    }
}

impl<T: Summed> Accumulator for Plain<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values[0].as_primitive());
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.add(states[0].as_primitive());
        if let Some(total) = &mut self.total {
            total.past += past_of(states);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = self.total.map(|total| total.exact(&self.data_type)).transpose()?;
        ScalarValue::new_primitive::<T>(value, &self.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let value = ScalarValue::new_primitive::<T>(self.total.map(|total| total.value), &self.data_type)?;
        Ok(vec![value, ScalarValue::from(self.total.map_or(0, |total| total.past))])
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The total of what is in a window. What has left it is taken away again.
#[derive(Debug)]
pub(super) struct Sliding<T: Summed> {
    total: Total<T::Native>,
    /// Values that are there; of none the total is NULL.
    count: usize,
    data_type: DataType,
}

impl<T: Summed> Sliding<T> {
    pub(super) fn new(data_type: DataType) -> Self {
        Self { total: Total::default(), count: 0, data_type }
    }
}

impl<T: Summed> Accumulator for Sliding<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        self.count += values.len() - values.null_count();
        self.total.add(Total::of(values).unwrap_or_default());
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        self.count -= values.len() - values.null_count();
        self.total.subtract(Total::of(values).unwrap_or_default());
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = (self.count > 0).then(|| self.total.exact(&self.data_type)).transpose()?;
        ScalarValue::new_primitive::<T>(value, &self.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let value = (self.count > 0).then_some(self.total.value);
        Ok(vec![ScalarValue::new_primitive::<T>(value, &self.data_type)?, ScalarValue::from(self.total.past)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)?;
        self.total.past += past_of(states);
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// How often the totals of parts went past the end, together.
fn past_of(states: &[ArrayRef]) -> i64 {
    states[1].as_primitive::<Int64Type>().values().iter().sum()
}

/// The total of different values. They are collected as DataFusion does it, and only added here.
#[derive(Debug)]
pub(super) struct Distinct<T: Summed> {
    inner: DistinctSumAccumulator<T>,
    data_type: DataType,
}

impl<T: Summed> Distinct<T> {
    pub(super) fn new(data_type: DataType) -> Self {
        Self { inner: DistinctSumAccumulator::new(&data_type), data_type }
    }
}

impl<T: Summed> Accumulator for Distinct<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut total: Option<Total<T::Native>> = None;
        for state in self.inner.state()? {
            let ScalarValue::List(values) = state else { continue };
            if let Some(more) = Total::of(values.values().as_primitive::<T>()) {
                total.get_or_insert_default().add(more);
            }
        }
        let value = total.map(|total| total.exact(&self.data_type)).transpose()?;
        ScalarValue::new_primitive::<T>(value, &self.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

/// The total of the different values that are in a window.
#[derive(Debug)]
pub(super) struct SlidingDistinct<T: Summed> {
    /// Each value in the window, and how often it is there.
    counts: HashMap<T::Native, usize>,
    total: Total<T::Native>,
    data_type: DataType,
}

impl<T: Summed> SlidingDistinct<T> {
    pub(super) fn new(data_type: DataType) -> Self {
        Self { counts: HashMap::new(), total: Total::default(), data_type }
    }
}

impl<T: Summed> Accumulator for SlidingDistinct<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<T>().iter().flatten() {
            let count = self.counts.entry(value).or_default();
            if *count == 0 {
                self.total.add(Total { value, past: 0 });
            }
            *count += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<T>().iter().flatten() {
            let Some(count) = self.counts.get_mut(&value) else { continue };
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&value);
                self.total.subtract(Total { value, past: 0 });
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = (!self.counts.is_empty()).then(|| self.total.exact(&self.data_type)).transpose()?;
        ScalarValue::new_primitive::<T>(value, &self.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values =
            self.counts.keys().map(|value| ScalarValue::new_primitive::<T>(Some(*value), &self.data_type));
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&values, &self.data_type))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|values| self.update_batch(&[values]))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.capacity() * size_of::<(T::Native, usize)>()
    }
}
