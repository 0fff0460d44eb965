//! A permit is used up.

use strongroom_core::{Password, Read};
use strongroom_engine::{Error, Permit};

async fn read(permit: Permit<Read>) -> Result<(), Error> {
    permit.read::<Password>().await?;
    permit.read::<Password>().await?; //~ E0382
    Ok(())
}

fn main() {
    let _read = read;
}
