//! The strategy that a plan names, compared with those that there are.

use crate::error::{ErrorCode, PlanErrors, Problem, Problems};
use crate::file::PlanFile;
use crate::suggest;

impl PlanFile {
    /// Whether the plan names one of these strategies, or none.
    pub fn check_strategy(&self, known: &[&str]) -> Result<(), PlanErrors> {
        let mut problems = Problems::new(&self.origin);
        if let Some(strategy) = &self.strategy
            && !known.contains(&strategy.value.as_str())
        {
            let message = format!("`strategy` must be {}", known.join(" or "));
            let fix = suggest::hint(&strategy.value, known.iter().copied());
            let problem = Problem::new(ErrorCode::WrongType, message, fix);
            problems.add(strategy.position, problem.found(&strategy.value));
        }
        problems.finish(())
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    #[test]
    fn a_strategy_that_does_not_exist_is_named_with_its_place_and_those_that_do() {
        let plan = |strategy: &str| {
            let text = format!("name: x\n{strategy}\ntasks: {{a: {{run: x}}}}\n");
            parse(&text, "plan.yaml").unwrap()
        };
        let known = ["by-score", "in-turn"];
        for good in ["", "strategy: by-score", "strategy: in-turn"] {
            assert_eq!(plan(good).check_strategy(&known), Ok(()), "{good}");
        }
        let errors = plan("strategy: in-trun").check_strategy(&known);
        assert_eq!(
            errors.unwrap_err().to_string(),
            "plan.yaml:2:11: `strategy` must be by-score or in-turn, found `in-trun` \
             (plan_wrong_type): did you mean `in-turn`?"
        );
    }
}
