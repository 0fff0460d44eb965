//! No host adds an action.

use strongroom_core::{Action, ActionName, SecretPath};

enum Peek {}

impl Action for Peek {
    //~^ E0277
    const NAME: ActionName = ActionName::Read;
    type Target = SecretPath;
}

fn main() {
    fn name<A: Action>() -> ActionName {
        A::NAME
    }
    assert_eq!(name::<Peek>(), ActionName::Read);
}
