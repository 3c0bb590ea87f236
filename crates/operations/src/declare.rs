//! Short ways to declare operations of the usual kinds.

use crate::operation::{Cost, Declaration, Method, Repetition};
use crate::permission::Permission;
use skep_model::token::Scope;

/// For everybody: the operation itself checks what the caller shows.
pub(crate) const OPEN: Permission = Permission::OPEN;
pub(crate) const READ: Permission = Permission::any_of(&[Scope::Read]);
pub(crate) const WRITE: Permission = Permission::any_of(&[Scope::Write]);
pub(crate) const ADMIN: Permission = Permission::any_of(&[Scope::Admin]);

const fn declare(
    method: Method,
    id: &'static str,
    path: &'static str,
    permission: Permission,
    summary: &'static str,
) -> Declaration {
    Declaration {
        id,
        method,
        path,
        permission,
        cost: Cost::Medium,
        summary,
        success: 200,
        repetition: Repetition::Harmless,
    }
}

/// Reads.
pub(crate) const fn read(
    id: &'static str,
    path: &'static str,
    permission: Permission,
    summary: &'static str,
) -> Declaration {
    Declaration {
        cost: Cost::Low,
        ..declare(Method::Get, id, path, permission, summary)
    }
}

/// Asks for an action that, once done, is not done again.
pub(crate) const fn act(
    id: &'static str,
    path: &'static str,
    permission: Permission,
    summary: &'static str,
) -> Declaration {
    declare(Method::Post, id, path, permission, summary)
}

/// Takes in something new under the caller's idempotency key.
pub(crate) const fn submit(
    id: &'static str,
    path: &'static str,
    permission: Permission,
    summary: &'static str,
) -> Declaration {
    Declaration {
        success: 201,
        repetition: Repetition::Keyed,
        ..declare(Method::Post, id, path, permission, summary)
    }
}

/// Changes something that is there, or stores it under the name it is sent to.
pub(crate) const fn put(
    id: &'static str,
    path: &'static str,
    permission: Permission,
    summary: &'static str,
) -> Declaration {
    declare(Method::Put, id, path, permission, summary)
}

/// Ends or removes something.
pub(crate) const fn end(
    id: &'static str,
    path: &'static str,
    permission: Permission,
    summary: &'static str,
) -> Declaration {
    declare(Method::Delete, id, path, permission, summary)
}

impl Declaration {
    /// Its answer has this status.
    pub(crate) const fn success(self, status: u16) -> Self {
        Self {
            success: status,
            ..self
        }
    }

    /// It costs this much.
    pub(crate) const fn cost(self, cost: Cost) -> Self {
        Self { cost, ..self }
    }

    /// A second call does this.
    pub(crate) const fn repetition(self, repetition: Repetition) -> Self {
        Self { repetition, ..self }
    }

    /// It uses this method.
    pub(crate) const fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }
}
