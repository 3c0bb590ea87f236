//! `CreateToken` and `RevokeToken`.

use crate::apply::Step;
use crate::bounds::within;
use crate::state::State;
use skep_model::event::Event;
use skep_model::ids::TokenId;
use skep_model::limits::TOKENS_MAX;
use skep_model::refusal::{LimitName, Refusal};
use skep_model::token::TokenRecord;

impl State {
    /// A token whose id or secret is known already is refused by its name. A lifetime counts from
    /// this entry, whatever clock the proposer looked at.
    pub(crate) fn create_token(
        &mut self,
        step: &mut Step,
        token: &TokenRecord,
    ) -> Result<(), Refusal> {
        if self.tokens.contains_key(&token.id) || self.token_hashes.contains_key(&token.hash) {
            return Err(Refusal::NameTaken(token.name.clone()));
        }
        within(LimitName::TokensMax, TOKENS_MAX, self.tokens.len() + 1)?;
        self.token_hashes.insert(token.hash, token.id);
        let ttl_ms = token.expires_at.map(|end| end.since(token.created_at));
        let made = TokenRecord {
            created_at: self.now,
            expires_at: ttl_ms.map(|ttl_ms| self.now.plus(ttl_ms)),
            ..token.clone()
        };
        self.tokens.insert(token.id, made);
        self.changes.token(token.id);
        step.emit(Event::TokenCreated {
            token: token.id,
            name: token.name.clone(),
        });
        Ok(())
    }

    pub(crate) fn revoke_token(&mut self, step: &mut Step, token: TokenId) -> Result<(), Refusal> {
        let record = self.tokens.remove(&token);
        let record = record.ok_or(Refusal::TokenUnknown(token))?;
        self.token_hashes.remove(&record.hash);
        self.changes.token(token);
        step.emit(Event::TokenRevoked { token });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::script::check;
    use expect_test::expect;

    #[test]
    fn a_token_is_made_and_ended() {
        check(
            "token 1; revoke 1; revoke 1",
            &expect![[r#"
            > token 1
            TokenCreated { token: token_1, name: "k1" }
            > revoke 1
            TokenRevoked { token: token_1 }
            > revoke 1
            Refused { reason: TokenUnknown(token_1) }
        "#]],
        );
    }

    #[test]
    fn an_id_or_secret_that_is_known_is_refused() {
        check(
            "token 1 hash=1 | token 1 hash=2; token 2 hash=1; revoke 1; token 2 hash=1",
            &expect![[r#"
                > token 1 hash=2
                Refused { reason: NameTaken("k1") }
                > token 2 hash=1
                Refused { reason: NameTaken("k2") }
                > revoke 1
                TokenRevoked { token: token_1 }
                > token 2 hash=1
                TokenCreated { token: token_2, name: "k2" }
            "#]],
        );
    }
}
