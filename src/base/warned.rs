//! Damage is data: a result, and what was wrong on the way to it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was found, and what a person should know about how it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Warned<T> {
    pub output: T,
    pub warnings: Vec<Warning>,
}

/// One thing that was wrong with a document. It reaches the record, the report and the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The page it concerns, counted from 1; none where it concerns the whole document.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub page: Option<u32>,
    /// A sentence without a final dot.
    pub message: String,
}

impl Warning {
    pub fn document(message: impl Into<String>) -> Warning {
        Warning { page: None, message: message.into() }
    }

    pub fn page(page: u32, message: impl Into<String>) -> Warning {
        Warning { page: Some(page), message: message.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.page {
            Some(page) => write!(f, "page {page}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
