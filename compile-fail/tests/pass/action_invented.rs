//! The actions are strongroom's.

use strongroom_core::{Action, ActionName, Read};

fn main() {
    fn name<A: Action>() -> ActionName {
        A::NAME
    }
    assert_eq!(name::<Read>(), ActionName::Read);
}
