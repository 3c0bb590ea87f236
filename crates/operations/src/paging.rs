//! Sizes of pages.

use crate::error::OperationError;
use crate::error_codes::ErrorCode;
use skep_model::limits;

/// How many items a page may have.
pub(crate) fn page_limit(wanted: Option<usize>) -> Result<usize, OperationError> {
    let limit = wanted.unwrap_or(limits::PAGE_ITEMS_DEFAULT);
    if (1..=limits::PAGE_ITEMS_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(OperationError::new(
        ErrorCode::QueryMalformed,
        format!(
            "`limit` is `{limit}`; want a whole number from 1 to {}",
            limits::PAGE_ITEMS_MAX
        ),
    ))
}
