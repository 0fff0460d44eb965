//! There is no permit by default.

use strongroom_core::Read;
use strongroom_engine::Permit;

fn main() {
    let _permit = Permit::<Read>::default(); //~ E0599
}
