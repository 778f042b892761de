//! Expressions of `when`, `expr` and `-F`: the engine's language between braces, without braces.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use minijinja::value::ValueKind;

use crate::campaign::model::Value;
use crate::campaign::template::compare::single_equals;
use crate::campaign::template::engine;
use crate::campaign::template::slices::as_subscripts;
use crate::campaign::template::values::{Slots, Values};
use crate::campaign::template::{Name, Reference, RenderError, Scope, TemplateError};

/// A checked expression of `when`, `expr` and `-F`.
///
/// A name that the [`Scope`] has no value for is undefined: it equals nothing, is less than every number, and `is
/// defined` tells.
#[derive(Clone)]
pub struct Expression {
    text: String,
    names: BTreeSet<Name>,
    slots: Arc<Slots>,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// Syntax, braces, and names that only a host can resolve.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if let Some(at) = text.find("{{") {
            return Err(TemplateError::new("an expression stands without braces")
                .at(at..at + 2)
                .help("leave `{{` and `}}` out"));
        }
        engine::check_size(text, None)?;
        let compiled = engine::expressions().compile_expression_owned(text.to_owned()).map_err(
            |error| match (engine::syntax_error(&error, text), single_equals(text)) {
                (error, Some(at)) => error.at(at..at + 1).help("`==` compares"),
                (error, None) => error,
            },
        )?;
        let mut plain = compiled.undeclared_variables(true).into_iter().collect::<BTreeSet<_>>();
        if let Cow::Owned(copy) = as_subscripts(text, false)
            && let Ok(copy) = engine::expressions().compile_expression_owned(copy)
        {
            plain = copy.undeclared_variables(true).into_iter().collect();
        }
        let host = plain.remove("host");
        let (mut names, errors) = engine::free_names(plain, text);
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        if host {
            names.insert(Name::Axis("host".to_owned()));
        }
        if let Some(name) = names.iter().find(|name| matches!(name, Name::Ref(_))) {
            let spelled = name.to_string();
            let error = TemplateError::new(format!("`{spelled}` is known on the host only")).help(
                match name {
                    Name::Ref(Reference::HostVar(_)) => {
                        "choose hosts by `when` in `[hosts.NAME]`, from the job's values"
                    }
                    _ => "decide by axes, `repeat` and `vars`",
                },
            );
            return Err(match text.find(&spelled) {
                Some(at) => error.at(at..at + spelled.len()),
                None => error,
            });
        }
        let slots = Slots::new(&names);
        Ok(Self { text: text.to_owned(), names, slots, compiled: Arc::new(compiled) })
    }

    /// The expression as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names that the expression takes from its [`Scope`].
    pub fn names(&self) -> &BTreeSet<Name> {
        &self.names
    }

    /// Whether the expression holds.
    ///
    /// # Errors
    /// A result that is neither true nor false, and whatever the engine refuses.
    pub fn test(&self, scope: &dyn Scope) -> Result<bool, RenderError> {
        let values = Values::collect(&self.slots, scope)?;
        let result = self.compiled.eval(minijinja::Value::from_dyn_object(values))?;
        match result.kind() {
            ValueKind::Bool => Ok(result.is_true()),
            ValueKind::Undefined => Err(RenderError::new(format!(
                "`{}` has no value; compare it with something",
                self.text
            ))),
            _ => Err(RenderError::new(format!(
                "`{}` is `{result}`, neither true nor false; compare it with something",
                self.text
            ))),
        }
    }

    /// The value of the expression.
    ///
    /// # Errors
    /// A list, none or undefined, a number outside 64 bits or not finite, and whatever the engine refuses.
    pub fn value(&self, scope: &dyn Scope) -> Result<Value, RenderError> {
        let values = Values::collect(&self.slots, scope)?;
        let result = self.compiled.eval(minijinja::Value::from_dyn_object(Arc::clone(&values)))?;
        let refuse = |why: &str| Err(RenderError::new(format!("`{}` {why}", self.text)));
        match result.kind() {
            ValueKind::Bool => Ok(Value::Bool(result.is_true())),
            ValueKind::String => Ok(Value::Str(result.to_string())),
            ValueKind::Number if result.is_integer() => match result.as_i64() {
                Some(number) => Ok(Value::Int(number)),
                None => refuse("is an integer of more than 64 bits"),
            },
            ValueKind::Number => match f64::try_from(result) {
                Ok(value) if value.is_finite() => {
                    let spelled = values.spelling(value).unwrap_or_else(|| format!("{value:?}"));
                    Ok(Value::Float { value, spelled })
                }
                _ => refuse("is not a finite number"),
            },
            ValueKind::Undefined => refuse("has no value; an axis it uses is empty in this job"),
            ValueKind::None => refuse("is none, which is no value"),
            _ => refuse("is a list or a map; an axis has single values"),
        }
    }
}
