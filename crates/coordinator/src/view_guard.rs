//! Reading the view, at most once at a time in each thread.

use crate::view::View;
use parking_lot::{RwLock, RwLockReadGuard};
use std::cell::Cell;
use std::ops::Deref;

thread_local! {
    /// Whether this thread reads a view. Only kept in debug builds.
    static READS: Cell<bool> = const { Cell::new(false) };
}

/// A view that is being read. It stays as it is while this is held.
#[derive(Debug)]
pub struct ViewGuard<'a> {
    guard: RwLockReadGuard<'a, View>,
}

impl<'a> ViewGuard<'a> {
    /// Waits for a writer, if there is one.
    pub(crate) fn of(view: &'a RwLock<View>) -> Self {
        if cfg!(debug_assertions) {
            let nested = READS.with(|reads| reads.replace(true));
            assert!(!nested, "a view is read while this thread reads one");
        }
        Self { guard: view.read() }
    }
}

impl Deref for ViewGuard<'_> {
    type Target = View;

    fn deref(&self) -> &View {
        &self.guard
    }
}

impl Drop for ViewGuard<'_> {
    fn drop(&mut self) {
        if cfg!(debug_assertions) {
            READS.with(|reads| reads.set(false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(debug_assertions)]
    fn a_second_read_by_one_thread_is_a_mistake() {
        let view = RwLock::new(View::default());
        let twice = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _first = ViewGuard::of(&view);
            let _second = ViewGuard::of(&view);
        }));
        assert!(twice.is_err());
    }

    #[test]
    fn one_read_may_follow_another() {
        let view = RwLock::new(View::default());
        for _ in 0..2 {
            let guard = ViewGuard::of(&view);
            assert_eq!(guard.state.task_count(), 0);
        }
    }
}
