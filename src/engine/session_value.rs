//! Values of ours in the options of a session. They are all that functions and rules of the optimiser are given of it.

use std::any::Any;
use std::fmt;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::error::{DataFusionError, Result};

/// What can be such a value.
pub(super) trait OfSession: Clone + fmt::Debug + Send + Sync + 'static {
    /// By which it is found: no other has it.
    const NAME: &'static str;
}

/// Such a value. Nobody can set or read it as text.
#[derive(Debug, Clone)]
pub(super) struct SessionValue<T>(pub(super) T);

impl<T: OfSession> ConfigExtension for SessionValue<T> {
    const PREFIX: &'static str = T::NAME;
}

impl<T: OfSession> ExtensionOptions for SessionValue<T> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _: &str) -> Result<()> {
        Err(DataFusionError::Configuration(format!("`{key}` cannot be set")))
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}
